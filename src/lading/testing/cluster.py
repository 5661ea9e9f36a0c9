"""The contract of `lading.cluster.client.Cluster`, clause by clause: on any API server, and under its faults.

Subclass `ClusterContract` and override the fixture `place`; the faults are planted in `lading.testing.fake_cluster`.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Protocol

import pytest

from lading.cluster import access
from lading.cluster.access import Right
from lading.cluster.client import Cluster
from lading.cluster.kinds import CONFIG_MAP, NODE, POD, Kind, Object
from lading.cluster.watch import Change
from lading.errors import ClusterConflict, ClusterDenied, ClusterError, ObjectMissing, StillRunning
from lading.testing.fake_cluster import FakeCluster, Log

UNKNOWN = Kind("nobody.example", "v1", "Nothing", "nothings")
#: A right that the place's user does not have.
FORBIDDEN = Right("list", NODE)
WITHIN_S = 60.0


def config_map(name: str, data: dict[str, str] | None = None, **metadata: Any) -> Object:
    """A small object."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": data or {"a": "1"}}


def value(state: Object | None, key: str = "a") -> str | None:
    """What a ConfigMap holds."""
    return None if state is None else state["data"].get(key)


async def counted(cluster: Cluster, name: str, times: int) -> None:
    """Count a ConfigMap up."""

    def up(found: Object) -> Object:
        found["data"]["a"] = str(int(found["data"]["a"]) + 1)
        return found

    for _ in range(times):
        await cluster.update(CONFIG_MAP, name, up)


async def until(changes: AsyncGenerator[Change], name: str, text: str | None) -> list[tuple[str, str, str | None]]:
    """Type, name and value of changes, up to the one of *name* with *text* (None: deleted)."""
    seen: list[tuple[str, str, str | None]] = []
    async for change in changes:
        told = change.object["metadata"]["name"], value(change.object)
        seen.append((change.type, *told))
        if told[0] == name and ((change.type == "deleted") if text is None else told[1] == text):
            return seen
    raise AssertionError("the watch ended")


async def asleep(task: "asyncio.Task[Any]") -> None:
    """Give *task* its turns."""
    for _ in range(5):
        await asyncio.sleep(0.02)
    assert not task.done() or task.exception() is None


class Place(Protocol):
    """An empty namespace."""

    def connect(self) -> Cluster:
        """A client that may do everything there; to be entered."""

    def connect_as_user(self) -> Cluster:
        """A client without the right `FORBIDDEN`."""

    async def prints(self, pod: str, lines: Sequence[str]) -> None:
        """A pod whose container prints *lines* and ends."""


class ClusterContract:
    """Every API server gives this through our client."""

    @pytest.fixture
    def place(self) -> Place:
        """Override: an empty namespace."""
        raise NotImplementedError("override the fixture `place`")

    async def test_what_is_created_is_read_back_and_created_once(self, place: Place) -> None:
        """A second creation is a conflict that names the object."""
        async with place.connect() as cluster:
            made = await cluster.create(config_map("one"))
            assert (await cluster.get(CONFIG_MAP, "one"))["metadata"]["uid"] == made["metadata"]["uid"]
            with pytest.raises(ClusterConflict, match="one"):
                await cluster.create(config_map("one"))

    async def test_what_is_missing_is_named(self, place: Place) -> None:
        """Verb, object and namespace are in the message; `find` gives None."""
        async with place.connect() as cluster:
            assert await cluster.find(CONFIG_MAP, "absent") is None
            with pytest.raises(
                ObjectMissing, match=f"get configmaps absent in namespace {cluster.namespace}"
            ) as missing:
                await cluster.get(CONFIG_MAP, "absent")
            assert missing.value.status == 404

    async def test_what_is_no_name_goes_nowhere(self, place: Place) -> None:
        """A name from outside does not lead to another object."""
        async with place.connect() as cluster:
            await cluster.create(config_map("one"))
            for name in ("", "..", "../configmaps/one", "one/status", "./one", "one%2fstatus"):
                with pytest.raises(ClusterError, match="is no name"):
                    await cluster.get(CONFIG_MAP, name)
            for name in ("one?x=1", "one#x", "one "):
                assert await cluster.find(CONFIG_MAP, name) is None

    async def test_lists_are_whole_over_pages(self, place: Place) -> None:
        """However many answers it takes; each item says its kind."""
        async with place.connect() as cluster:
            cluster.page_items = 2
            for number in range(5):
                await cluster.create(config_map(f"m{number}", labels={"set": "mine"}))
            found = await cluster.list(CONFIG_MAP, labels="set=mine")
            assert [item["metadata"]["name"] for item in found] == [f"m{number}" for number in range(5)]
            assert {(item["apiVersion"], item["kind"]) for item in found} == {("v1", "ConfigMap")}

    async def test_lists_are_what_the_selectors_choose(self, place: Place) -> None:
        """By labels and by fields; nothing of another namespace."""
        async with place.connect() as cluster:
            await cluster.create(config_map("red", labels={"colour": "red"}))
            await cluster.create(config_map("blue", labels={"colour": "blue"}))
            by_label = await cluster.list(CONFIG_MAP, labels="colour=red")
            by_field = await cluster.list(CONFIG_MAP, fields="metadata.name=blue")
            assert [item["metadata"]["name"] for item in (*by_label, *by_field)] == ["red", "blue"]
            assert await cluster.list(CONFIG_MAP, namespace="kube-node-lease", labels="colour") == ()

    async def test_an_unknown_kind_has_no_objects(self, place: Place) -> None:
        """A cluster without KServe has no InferenceServices; that is no error."""
        async with place.connect() as cluster:
            assert await cluster.list(UNKNOWN) == ()

    async def test_applying_twice_equals_once(self, place: Place) -> None:
        """The second changes nothing."""
        async with place.connect() as cluster:
            first = await cluster.apply(config_map("one"))
            again = await cluster.apply(config_map("one"))
            assert first["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"]
            assert value(await cluster.apply(config_map("one", {"a": "2"}))) == "2"

    async def test_a_field_of_another_owner_is_a_conflict(self, place: Place) -> None:
        """It names the owner and the field; force takes it."""
        async with place.connect() as cluster:
            await cluster.create(config_map("one"))  # by the manager of that one call
            with pytest.raises(ClusterConflict) as conflict:
                await cluster.apply(config_map("one", {"a": "2"}))
            assert "lading-" in str(conflict.value.hint)
            assert ".data.a" in str(conflict.value.hint)
            assert value(await cluster.get(CONFIG_MAP, "one")) == "1"
            assert value(await cluster.apply(config_map("one", {"a": "2"}), force=True)) == "2"

    async def test_a_patch_merges(self, place: Place) -> None:
        """What it does not name stays, null removes."""
        async with place.connect() as cluster:
            await cluster.create(config_map("one", {"a": "1", "b": "1"}))
            patched = await cluster.patch(CONFIG_MAP, "one", {"data": {"b": None, "c": "2"}})
            assert patched["data"] == {"a": "1", "c": "2"}

    async def test_updates_do_not_lose_each_other(self, place: Place) -> None:
        """Two who count at once count everything."""
        async with place.connect() as cluster:
            await cluster.create(config_map("one", {"a": "0"}))
            await asyncio.gather(*(counted(cluster, "one", 4) for _ in range(2)))
            assert value(await cluster.get(CONFIG_MAP, "one")) == "8"
            assert value(await cluster.update(CONFIG_MAP, "one", lambda _: None)) == "8"

    async def test_deleting_is_silent_about_what_is_missing(self, place: Place) -> None:
        """And deletes only the object that was meant."""
        async with place.connect() as cluster:
            await cluster.delete(CONFIG_MAP, "absent")
            made = await cluster.create(config_map("one"))
            with pytest.raises(ClusterConflict):
                await cluster.delete(CONFIG_MAP, "one", uid="another")
            await cluster.delete(CONFIG_MAP, "one", uid=made["metadata"]["uid"])
            assert await cluster.find(CONFIG_MAP, "one") is None

    async def test_a_dry_run_leaves_nothing(self, place: Place) -> None:
        """It answers what would be."""
        async with place.connect() as cluster:
            assert value(await cluster.create(config_map("one"), dry_run=True)) == "1"
            assert value(await cluster.apply(config_map("two"), dry_run=True)) == "1"
            assert [await cluster.find(CONFIG_MAP, name) for name in ("one", "two")] == [None, None]

    async def test_a_watch_tells_what_is_there_then_each_change(self, place: Place) -> None:
        """In order, a deleted object as it was last."""
        async with place.connect() as cluster:
            await cluster.create(config_map("one", labels={"w": "1"}))
            async with aclosing(cluster.watch(CONFIG_MAP, labels="w")) as changes:
                assert await until(changes, "one", "1") == [("added", "one", "1")]
                await cluster.patch(CONFIG_MAP, "one", {"data": {"a": "2"}})
                await cluster.create(config_map("two", labels={"w": "1"}))
                await cluster.delete(CONFIG_MAP, "one")
                assert await until(changes, "one", None) == [
                    ("modified", "one", "2"), ("added", "two", "1"), ("deleted", "one", "2"),
                ]  # fmt: skip

    async def test_a_wait_ends_with_what_it_waited_for(self, place: Place) -> None:
        """From no object at all over its states; None is a state."""
        async with place.connect() as cluster:
            states: list[str | None] = []

            def third(state: Object | None) -> str | None:
                states.append(value(state))
                return value(state, "b")

            waiting = asyncio.create_task(
                cluster.wait(CONFIG_MAP, "one", third, within_s=WITHIN_S, what="b to be there")
            )
            await asleep(waiting)
            await cluster.create(config_map("other"))
            await cluster.create(config_map("one"))
            await cluster.patch(CONFIG_MAP, "one", {"data": {"a": "2", "b": "done"}})
            assert await waiting == "done"
            assert states == [None, "1", "2"]

    async def test_a_wait_sees_the_object_go(self, place: Place) -> None:
        """Deleted is the state None."""
        async with place.connect() as cluster:
            await cluster.create(config_map("one"))
            waiting = asyncio.create_task(
                cluster.wait(CONFIG_MAP, "one", lambda state: state is None, within_s=WITHIN_S, what="it to go")
            )
            await asleep(waiting)
            await cluster.delete(CONFIG_MAP, "one")
            assert await waiting is True

    async def test_a_wait_past_its_deadline_says_what_it_waited_for(self, place: Place) -> None:
        """And how long."""
        async with place.connect() as cluster:
            with pytest.raises(StillRunning, match=r"waited 0\.3 s for the moon"):
                await cluster.wait(CONFIG_MAP, "one", value, within_s=0.3, what="the moon")

    async def test_a_log_is_every_line_once(self, place: Place) -> None:
        """In order, with its time, a long one whole, to the container's end; the pod need not have started."""
        lines = [*(f"line {number}" for number in range(50)), "", "x" * 200_000, "last"]
        async with place.connect() as cluster:
            await place.prints("worker", lines)
            told = [line async for line in cluster.logs("worker")]
            assert [line.text for line in told] == lines
            assert all(line.at.tzinfo is not None for line in told)
            assert [line async for line in cluster.logs("worker", follow=False)] == told
            since = [line.text async for line in cluster.logs("worker", since=told[-1].at)]
            assert since[-1] == "last"

    async def test_a_log_of_what_is_missing_is_named(self, place: Place) -> None:
        """The pod, or the container with those there are."""
        async with place.connect() as cluster:
            with pytest.raises(ObjectMissing, match="absent"):
                _ = [line async for line in cluster.logs("absent")]
            await place.prints("worker", ["one"])
            with pytest.raises(ObjectMissing, match="no container other") as missing:
                _ = [line async for line in cluster.logs("worker", container="other")]
            assert "main" in str(missing.value.hint)

    async def test_a_missing_right_is_found_before_and_said_after(self, place: Place) -> None:
        """`missing` names it; a refusal's hint is the rule that gives exactly it."""
        async with place.connect_as_user() as cluster:
            allowed = Right("create", access_reviews())
            assert await cluster.missing([allowed, FORBIDDEN, FORBIDDEN]) == (FORBIDDEN,)
            with pytest.raises(ClusterDenied, match="list nodes in the cluster") as denied:
                await cluster.list(NODE)
            rule = '- {apiGroups: [""], resources: ["nodes"], verbs: ["list"]}'
            assert rule in str(denied.value.hint)
            assert rule in str(access.denied(await cluster.missing([FORBIDDEN])).hint)


def access_reviews() -> Kind:
    """What everybody may create."""
    return Kind("authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", namespaced=False)


# --------------------------------------------------------------------------------------------------------------- faults


@contextlib.asynccontextmanager
async def watching(cluster: Cluster) -> AsyncGenerator[AsyncGenerator[Change]]:
    """A watch that has told the ConfigMap ``one``."""
    await cluster.create(config_map("one"))
    async with aclosing(cluster.watch(CONFIG_MAP)) as changes:
        assert await until(changes, "one", "1") == [("added", "one", "1")]
        yield changes


class FakePlace:
    """The fake as a place, and its faults."""

    def __init__(self, fake: FakeCluster, client: type[Cluster] = Cluster) -> None:
        self.fake, self.client = fake, client

    def connect(self) -> Cluster:
        """See `Place`."""
        return self.client(self.fake.connection())

    def connect_as_user(self) -> Cluster:
        """See `Place`."""
        self.fake.denied.add((FORBIDDEN.verb, FORBIDDEN.resource))
        return self.connect()

    async def prints(self, pod: str, lines: Sequence[str]) -> None:
        """See `Place`."""
        await self.runs(pod)
        await self.fake.write("default", pod, *lines)
        await self.ends(pod)

    async def runs(self, pod: str, *, cut_after: Sequence[int] = ()) -> None:
        """A pod with a running container; its log's streams break after so many lines each."""
        self.fake.logs["default", pod] = Log(cut_after=[*cut_after])
        async with Cluster(self.fake.connection()) as cluster:
            await cluster.create(
                {
                    "apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod},
                    "spec": {"containers": [{"name": "main"}]}, "status": container("running"),
                }
            )  # fmt: skip

    async def ends(self, pod: str) -> None:
        """Its container ends."""
        async with Cluster(self.fake.connection()) as cluster:
            await cluster.patch(POD, pod, {"status": container("terminated")})
        await self.fake.write("default", pod, end=True)


def container(state: str, id_: str = "containerd://1") -> Object:
    """A pod's status."""
    inner = {"containerID": id_} if state == "terminated" else {}
    return {"containerStatuses": [{"name": "main", "containerID": id_, "state": {state: inner}}]}


class FaultContract:
    """What our client bears."""

    @pytest.fixture
    async def place(self) -> AsyncGenerator[FakePlace]:
        """A fake."""
        async with FakeCluster() as fake:
            yield FakePlace(fake)

    @pytest.mark.parametrize(
        "fault", [{"lost": "before"}, {"lost": "after"}, {"status": 429, "headers": {"Retry-After": "0"}},
                  {"status": 500}, {"status": 503}, {"status": 504}],
    )  # fmt: skip
    async def test_a_fault_is_borne(self, place: FakePlace, fault: dict[str, Any]) -> None:
        """Reading and applying go on after two of it."""
        async with place.connect() as cluster:
            for on in ("PATCH configmaps", "GET configmaps"):
                place.fake.plant(on, times=2, **fault)
            assert value(await cluster.apply(config_map("one"))) == "1"
            assert value(await cluster.get(CONFIG_MAP, "one")) == "1"

    async def test_other_refusals_are_not_repeated(self, place: FakePlace) -> None:
        """What is wrong stays wrong."""
        async with place.connect() as cluster:
            place.fake.plant("GET configmaps", status=422)
            with pytest.raises(ClusterError, match="planted"):
                await cluster.get(CONFIG_MAP, "one")

    @pytest.mark.parametrize("lost", ["before", "after"])
    async def test_a_lost_creation_is_made_once(self, place: FakePlace, lost: str) -> None:
        """The object that the lost request made is the answer."""
        async with place.connect() as cluster:
            place.fake.plant("POST configmaps", lost=lost)
            made = await cluster.create(config_map("one"))
            assert made["metadata"]["uid"] == (await cluster.get(CONFIG_MAP, "one"))["metadata"]["uid"]

    async def test_what_another_made_meanwhile_is_a_conflict(self, place: FakePlace) -> None:
        """A lost creation is not taken for it."""
        async with place.connect() as cluster:
            await cluster.create(config_map("one"))
            place.fake.plant("POST configmaps", lost="before")
            with pytest.raises(ClusterConflict):
                await cluster.create(config_map("one"))

    async def test_what_cannot_be_found_again_is_not_repeated(self, place: FakePlace) -> None:
        """A lost creation with a generated name: one object at most, and the user is told."""
        async with place.connect() as cluster:
            nameless = {**config_map("x"), "metadata": {"generateName": "x-"}}
            place.fake.plant("POST configmaps", lost="after")
            with pytest.raises(ClusterError, match="not known"):
                await cluster.create(nameless)
            assert len(await cluster.list(CONFIG_MAP)) == 1

    async def test_an_update_that_was_done_and_lost_is_looked_at_again(self, place: FakePlace) -> None:
        """The second write is refused by its version; the change is asked again, with what is there."""
        async with place.connect() as cluster:
            await cluster.create(config_map("one"))
            place.fake.plant("PUT configmaps", lost="after")

            def marked(found: Object) -> Object | None:
                return None if value(found, "mark") else {**found, "data": {**found["data"], "mark": "1"}}

            assert value(await cluster.update(CONFIG_MAP, "one", marked), "mark") == "1"
            assert sum(entry.startswith("PUT") for entry in place.fake.seen) == 2

    async def test_an_update_that_always_conflicts_ends(self, place: FakePlace) -> None:
        """With the conflict."""
        async with place.connect() as cluster:
            await cluster.create(config_map("one"))
            place.fake.plant("PUT configmaps", status=409, times=1000)
            with pytest.raises(ClusterConflict, match="times in a row"):
                await cluster.update(CONFIG_MAP, "one", lambda found: found)

    async def test_a_list_whose_pages_expire_is_begun_anew(self, place: FakePlace) -> None:
        """Whole, and nothing twice."""
        async with place.connect() as cluster:
            cluster.page_items = 2
            for number in range(5):
                await cluster.create(config_map(f"m{number}"))
            place.fake.plant("GET continue=", status=410)
            assert len(await cluster.list(CONFIG_MAP)) == 5

    async def test_a_denied_list_is_no_empty_list(self, place: FakePlace) -> None:
        """Not to be allowed is not the same as nothing there."""
        place.fake.denied.add(("list", "configmaps"))
        async with place.connect() as cluster:
            with pytest.raises(ClusterDenied):
                await cluster.list(CONFIG_MAP)

    async def test_a_refused_identity_is_renewed_once(self, place: FakePlace) -> None:
        """A token that was rotated is read again; one that stays wrong is said, and not shown."""
        identity = Rotating()
        place.fake.token = "new-secret"  # noqa: S105 - made up
        connection = place.fake.connection()
        object.__setattr__(connection, "identity", identity)
        async with place.client(connection) as cluster:
            assert await cluster.list(CONFIG_MAP) == ()
            place.fake.token = "never"  # noqa: S105 - made up
            with pytest.raises(ClusterDenied) as denied:
                await cluster.list(CONFIG_MAP)
            assert "secret" not in f"{denied.value.message}{denied.value.hint}"

    @pytest.mark.parametrize("how", ["cut", "forgotten", "status 410", "status 500", "garbage", "ended"])
    async def test_a_watch_goes_on_after(self, place: FakePlace, how: str) -> None:
        """Each state is told once, deletions in between too."""
        fake = place.fake
        async with place.connect() as cluster, watching(cluster) as changes:
            for name in ("kept", "two"):
                await cluster.create(config_map(name))
            assert await until(changes, "two", "1") == [("added", "kept", "1"), ("added", "two", "1")]
            match how:
                case "forgotten" | "status 410":
                    fake.plant("GET watch=true", **({"status": 410} if how == "status 410" else {"wait_s": 0.05}))
                case "status 500":
                    fake.plant("GET watch=true", status=500, times=2)
                case "garbage":
                    fake.junk = b'{"type": "MODIFIED"}\nnonsense\n'
                case "ended":
                    fake.watches_last_s = 0.05
            fake.cut_watches()
            await cluster.delete(CONFIG_MAP, "two")
            await cluster.patch(CONFIG_MAP, "one", {"data": {"a": "2"}})
            if how == "forgotten":
                fake.forget()
            told = await until(changes, "one", "2")
            assert told == [("deleted", "two", "1"), ("modified", "one", "2")]

    async def test_an_object_made_anew_was_deleted_before(self, place: FakePlace) -> None:
        """The same name is not the same object, also when nobody saw it go."""
        async with place.connect() as cluster, watching(cluster) as changes:
            place.fake.plant("GET watch=true", status=410)
            place.fake.cut_watches()
            await cluster.delete(CONFIG_MAP, "one")
            await cluster.create(config_map("one", {"a": "2"}))
            assert await until(changes, "one", "2") == [("deleted", "one", "1"), ("added", "one", "2")]

    async def test_a_wait_bears_an_outage_to_its_deadline(self, place: FakePlace) -> None:
        """And goes on; past it, it says that there was no answer."""
        async with place.connect() as cluster:
            await cluster.create(config_map("one"))
            waiting = asyncio.create_task(
                cluster.wait(CONFIG_MAP, "one", lambda it: value(it, "b"), within_s=WITHIN_S, what="b")
            )
            await asleep(waiting)
            place.fake.plant("GET configmaps", lost="before", times=4)
            place.fake.cut_watches()
            await cluster.patch(CONFIG_MAP, "one", {"data": {"b": "x"}})
            assert await waiting == "x"
            for on in ("GET watch=true", "GET configmaps"):
                place.fake.plant(on, lost="before", times=1000)
                with pytest.raises(StillRunning, match="broke off"):
                    await cluster.wait(CONFIG_MAP, "one", lambda it: value(it, "c"), within_s=0.5, what="c")

    async def test_a_log_goes_on_where_it_broke(self, place: FakePlace) -> None:
        """Every line once, also those of one second, also equal ones."""
        async with place.connect() as cluster:
            await place.runs("worker", cut_after=[1, 3, 4])
            reading = asyncio.create_task(read(cluster, "worker"))
            texts = ["same", "same", "a", "b", "same", "c"]
            await place.fake.write("default", "worker", *texts)
            await asleep(reading)
            await place.ends("worker")
            assert await reading == texts

    async def test_a_log_follows_to_the_last_line(self, place: FakePlace) -> None:
        """What was written between a drop and the container's end is read after it."""
        async with place.connect() as cluster:
            await place.runs("worker", cut_after=[1])
            await place.fake.write("default", "worker", "first")
            lines = cluster.logs("worker")
            async with aclosing(lines):
                assert (await anext(lines)).text == "first"
                await place.fake.write("default", "worker", "unheard")
                await place.ends("worker")
                assert [line.text async for line in lines] == ["unheard"]

    @pytest.mark.parametrize("gone", ["the pod", "the log"])
    async def test_a_log_ends_where_nothing_is_left(self, place: FakePlace, gone: str) -> None:
        """The pod was deleted, or its node has cleared the log away, while nobody could look."""
        async with place.connect() as cluster:
            await place.runs("worker", cut_after=[1])
            await place.fake.write("default", "worker", "first")
            lines = cluster.logs("worker")
            async with aclosing(lines):
                assert (await anext(lines)).text == "first"
                place.fake.plant("GET /log", status=404 if gone == "the pod" else 400)
                if gone == "the log":
                    await place.ends("worker")
                assert [line.text async for line in lines] == []

    async def test_a_restarted_container_has_another_log(self, place: FakePlace) -> None:
        """The rest of the run that was followed is read, and nothing of the next."""
        async with place.connect() as cluster:
            await place.runs("worker", cut_after=[1])
            await place.fake.write("default", "worker", "first")
            lines = cluster.logs("worker")
            async with aclosing(lines):
                assert (await anext(lines)).text == "first"
                await place.fake.write("default", "worker", "crashed")
                again = container("running", "containerd://2")
                again["containerStatuses"][0]["lastState"] = {"terminated": {"containerID": "containerd://1"}}
                await cluster.patch(POD, "worker", {"status": again})
                assert [line.text async for line in lines] == ["crashed"]
            assert "previous=true" in place.fake.seen[-1]

    async def test_words_in_place_of_a_log_are_no_lines(self, place: FakePlace) -> None:
        """What kubelet says of a log that it cannot read now is a fault, and is borne."""
        async with place.connect() as cluster:
            await place.prints("worker", ["one"])
            place.fake.junk = b"unable to retrieve container logs for containerd://1\n"
            assert await read(cluster, "worker") == ["one"]


async def read(cluster: Cluster, pod: str) -> list[str]:
    """The texts of a log."""
    return [line.text async for line in cluster.logs(pod)]


class Rotating:
    """An identity whose token was replaced meanwhile."""

    async def headers(self, *, renew: bool = False) -> dict[str, str]:
        """See `lading.cluster.identity.Identity`."""
        return {"Authorization": "Bearer new-secret" if renew else "Bearer old-secret"}
