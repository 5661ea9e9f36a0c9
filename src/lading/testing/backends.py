"""The contract of a `lading.ports.backend.Backend`, clause by clause.

Subclass `BackendContract`, override the fixture `place`, and your backend is held to it::

    class TestMine(BackendContract):
        @pytest.fixture
        def place(self, tmp_path):
            return MyPlace(tmp_path)
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Literal, Protocol

import pytest

from lading.errors import NotReady, ServingError, WrongModelServed
from lading.ports.backend import Backend, Endpoint, ServeRequest

Behaviour = Literal["well", "silent", "other_name"]
PATIENCE_S = 20.0
SHORT_S = 1.5
SLACK_S = 3.0


class Place(Protocol):
    """Where a backend runs servers, seen from behind."""

    @property
    def starts(self) -> bool:
        """Whether it starts and stops servers, rather than asking one that runs anyway."""

    def backend(self, behaviour: Behaviour = "well") -> Backend:
        """A new backend over the same place: what another process would see. *behaviour* matters where it only asks."""

    def request(self, name: str, behaviour: Behaviour = "well", *, lease: str | None = None) -> ServeRequest:
        """For a server called *name* with a behaviour.

        ``well``: it works; ``silent``: it says that it is ready, and never answers; ``other_name``: it answers under
        another name than the request's.
        """

    def changed(self, request: ServeRequest) -> ServeRequest:
        """The same server with another parameter; only where servers are started."""

    async def answer(self, endpoint: Endpoint) -> str | None:
        """The model name in the answer to a real request, None when nobody answers."""

    def lease(self) -> str:
        """A lease that is held until the test ends."""

    def dead_lease(self) -> str:
        """A lease whose holder is gone."""


class BackendContract:
    """Every backend passes this."""

    @pytest.fixture
    def place(self) -> Place:
        """Override: a place where nothing of this test runs yet."""
        raise NotImplementedError("override the fixture `place`")

    @pytest.fixture
    async def backend(self, place: Place) -> AsyncIterator[Backend]:
        """A backend; whatever the test started is removed."""
        backend = place.backend()
        yield backend
        for name in await backend.names():
            await backend.remove(name, within_s=PATIENCE_S)

    # ------------------------------------------------------------------------------------------------------ plan

    async def test_the_same_request_gives_the_same_plan(self, place: Place, backend: Backend) -> None:
        """Asked twice, and by two backends."""
        request = place.request("one")
        assert backend.plan(request) == backend.plan(request) == place.backend().plan(request)

    async def test_a_plan_carries_the_request(self, place: Place, backend: Backend) -> None:
        """Name, model, parameters and lease; and a hash of the command."""
        request = place.request("one", lease=place.lease())
        plan = backend.plan(request)
        assert (plan.name, plan.served_name, plan.model) == (request.name, request.served_name, request.model)
        assert (dict(plan.params), plan.lease, plan.backend) == (dict(request.params), request.lease, backend.kind)
        assert re.fullmatch(r"[0-9a-f]{64}", plan.argv_sha256)

    async def test_another_command_has_another_hash(self, place: Place, backend: Backend) -> None:
        """So that two plans can be told apart."""
        if place.starts:
            request = place.request("one")
            assert backend.plan(request).argv_sha256 != backend.plan(place.changed(request)).argv_sha256

    async def test_a_plan_starts_nothing(self, place: Place, backend: Backend) -> None:
        """It is what ``--dry-run`` prints."""
        backend.plan(place.request("one"))
        assert await backend.names() == ()
        assert not await backend.alive("one")

    # ------------------------------------------------------------------------------------------------------ apply, ready

    async def test_ready_means_a_real_request_is_answered_under_the_served_name(
        self, place: Place, backend: Backend
    ) -> None:
        """Whoever asks the endpoint then is answered, too."""
        request = place.request("one")
        await backend.apply(backend.plan(request))
        ready = await backend.ready("one", within_s=PATIENCE_S)
        assert ready.endpoint.served_name == request.served_name
        assert await place.answer(ready.endpoint) == request.served_name
        assert 0 < ready.ready_s < PATIENCE_S

    async def test_the_argv_of_a_ready_server_is_the_one_that_was_planned(self, place: Place, backend: Backend) -> None:
        """From the operating system, up to a port that was left open."""
        plan = backend.plan(place.request("one"))
        await backend.apply(plan)
        ready = await backend.ready("one", within_s=PATIENCE_S)
        if ready.argv is not None:
            for planned, runs in zip(plan.argv, ready.argv, strict=True):
                assert re.fullmatch(re.escape(planned).replace(re.escape("{port}"), "[0-9]+"), runs)

    async def test_applying_twice_equals_once(self, place: Place, backend: Backend) -> None:
        """The server that runs is kept."""
        plan = backend.plan(place.request("one"))
        await backend.apply(plan)
        first = await backend.ready("one", within_s=PATIENCE_S)
        await backend.apply(plan)
        second = await backend.ready("one", within_s=PATIENCE_S)
        assert second.endpoint == first.endpoint
        assert await backend.names() == ("one",)

    async def test_a_name_that_runs_something_else_is_refused_and_left_alone(
        self, place: Place, backend: Backend
    ) -> None:
        """The first one goes on."""
        if not place.starts:
            return
        request = place.request("one")
        await backend.apply(backend.plan(request))
        ready = await backend.ready("one", within_s=PATIENCE_S)
        with pytest.raises(ServingError, match="one"):
            await backend.apply(backend.plan(place.changed(request)))
        assert await place.answer(ready.endpoint) == request.served_name

    async def test_two_servers_do_not_disturb_each_other(self, place: Place, backend: Backend) -> None:
        """Removing one leaves the other."""
        for name in ("one", "two"):
            await backend.apply(backend.plan(place.request(name)))
        ready = {name: await backend.ready(name, within_s=PATIENCE_S) for name in ("one", "two")}
        assert sorted(await backend.names()) == ["one", "two"]
        await backend.remove("one", within_s=PATIENCE_S)
        assert await backend.names() == ("two",)
        assert await place.answer(ready["two"].endpoint) is not None

    async def test_ready_past_its_deadline_raises_and_leaves_the_object_for_remove(
        self, place: Place, backend: Backend
    ) -> None:
        """With a server that says it is ready, and never answers."""
        backend = backend if place.starts else place.backend("silent")
        await backend.apply(backend.plan(place.request("one", "silent")))
        began = time.monotonic()
        with pytest.raises(NotReady):
            await backend.ready("one", within_s=SHORT_S)
        assert time.monotonic() - began < SHORT_S + SLACK_S
        assert await backend.names() == ("one",)
        await backend.remove("one", within_s=PATIENCE_S)
        assert await backend.names() == ()

    async def test_a_server_that_answers_under_another_name_is_not_ready(self, place: Place, backend: Backend) -> None:
        """Measuring it would measure another model."""
        backend = backend if place.starts else place.backend("other_name")
        await backend.apply(backend.plan(place.request("one", "other_name")))
        with pytest.raises(WrongModelServed):
            await backend.ready("one", within_s=PATIENCE_S)

    async def test_ready_of_the_unknown_raises(self, backend: Backend) -> None:
        """At once."""
        with pytest.raises(ServingError):
            await backend.ready("nobody", within_s=SHORT_S)

    async def test_alive_says_what_runs(self, place: Place, backend: Backend) -> None:
        """Before, while and after."""
        assert not await backend.alive("one")
        await backend.apply(backend.plan(place.request("one")))
        await backend.ready("one", within_s=PATIENCE_S)
        assert await backend.alive("one")
        await backend.remove("one", within_s=PATIENCE_S)
        assert not await backend.alive("one")

    async def test_the_log_is_the_servers_own_newest_last(self, place: Place, backend: Backend) -> None:
        """Empty for the unknown."""
        assert backend.log("nobody") == ()
        await backend.apply(backend.plan(place.request("one")))
        ready = await backend.ready("one", within_s=PATIENCE_S)
        before = backend.log("one", lines=10_000)
        await place.answer(ready.endpoint)
        if place.starts:
            assert before
            assert backend.log("one", lines=10_000)[: len(before)] == before
            assert len(backend.log("one", lines=1)) == 1

    # ------------------------------------------------------------------------------------------------------ remove

    async def test_removing_the_unknown_is_silent(self, backend: Backend) -> None:
        """Clean-up may run before anything was started."""
        await backend.remove("nobody", within_s=PATIENCE_S)

    async def test_what_was_removed_is_gone_and_removing_it_again_is_silent(
        self, place: Place, backend: Backend
    ) -> None:
        """Nobody answers at its endpoint; a server that ran anyway goes on."""
        await backend.apply(backend.plan(place.request("one")))
        ready = await backend.ready("one", within_s=PATIENCE_S)
        await backend.remove("one", within_s=PATIENCE_S)
        await backend.remove("one", within_s=PATIENCE_S)
        assert await backend.names() == ()
        assert (await place.answer(ready.endpoint) is None) == place.starts

    async def test_the_name_of_what_was_removed_is_free_again(self, place: Place, backend: Backend) -> None:
        """Nothing of the first is in the way of the second."""
        for _ in range(2):
            await backend.apply(backend.plan(place.request("one")))
            await backend.ready("one", within_s=PATIENCE_S)
            await backend.remove("one", within_s=PATIENCE_S)

    async def test_another_process_can_remove_it(self, place: Place, backend: Backend) -> None:
        """State is on disk, not in the object."""
        if not place.starts:
            return
        await backend.apply(backend.plan(place.request("one")))
        ready = await backend.ready("one", within_s=PATIENCE_S)
        other = place.backend()
        assert await other.names() == ("one",)
        await other.remove("one", within_s=PATIENCE_S)
        assert await place.answer(ready.endpoint) is None
        assert await backend.names() == ()

    async def test_a_cancelled_removal_is_carried_through(self, place: Place, backend: Backend) -> None:
        """Ctrl-C during clean-up leaves nothing."""
        await backend.apply(backend.plan(place.request("one")))
        ready = await backend.ready("one", within_s=PATIENCE_S)
        removal = asyncio.ensure_future(backend.remove("one", within_s=PATIENCE_S))
        await asyncio.sleep(0)
        removal.cancel()
        for _ in range(60 if place.starts else 1):
            if await place.answer(ready.endpoint) is None:
                break
            await asyncio.sleep(0.05)
        assert (await place.answer(ready.endpoint) is None) == place.starts

    # ------------------------------------------------------------------------------------------------------ reap

    async def test_reap_removes_exactly_what_belongs_to_leases_nobody_holds(
        self, place: Place, backend: Backend
    ) -> None:
        """What a live run holds and what a user started stay."""
        for name, lease in (("dead", place.dead_lease()), ("held", place.lease()), ("users", None)):
            await backend.apply(backend.plan(place.request(name, lease=lease)))
            await backend.ready(name, within_s=PATIENCE_S)
        reaped = await place.backend().reap()
        if place.starts:
            assert reaped == ("dead",)
            assert sorted(await backend.names()) == ["held", "users"]
            assert await place.backend().reap() == ()
        else:
            assert reaped == ()
