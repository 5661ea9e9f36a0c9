"""What a flow starts is removed however it ends, or handed over whole."""

import asyncio
from dataclasses import replace

import pytest
from tests.backends.places import end_all, living

from lading.backends.process import ProcessBackend
from lading.engines.effective import differences
from lading.errors import ServerSilent, ServingError
from lading.events import ServerReady, ServerStarting, ServerStopped
from lading.flows import serve as flow
from lading.ports.backend import ServeRequest
from lading.spec.study import BackendChoice
from lading.testing.scripted_engine import ScriptedEngine


@pytest.fixture
def home(tmp_path):
    yield tmp_path
    left = living(tmp_path)
    end_all(tmp_path)
    assert left == []


@pytest.fixture
def backend(home):
    return ProcessBackend(BackendChoice(), home=home)


@pytest.fixture
def told():
    return []


def request(behaviour="well", **changes):
    return ServeRequest(
        name="one",
        model="/model",
        served_name="tiny",
        engine=ScriptedEngine(),
        params={"behaviour": behaviour},
        **changes,
    )


async def test_a_served_block_has_a_server_that_is_gone_afterwards(backend, home, told):
    async with flow.serving(backend, request(), within_s=10, emit=told.append) as served:
        assert served.ready.endpoint.served_name == "tiny"
        assert len(living(home)) == 1
    assert living(home) == []
    assert [type(event) for event in told] == [ServerStarting, ServerReady, ServerStopped]


async def test_another_command_than_the_planned_one_is_told(home, told):
    class Wrapped(ProcessBackend):
        """Someone's wrapper drops the last argument."""

        async def ready(self, name, *, within_s):
            found = await super().ready(name, within_s=within_s)
            return replace(found, argv=found.argv[:-1])

    async with flow.serving(Wrapped(BackendChoice(), home=home), request(), within_s=10, emit=told.append) as served:
        assert served.differences[0].startswith("another command runs than was planned: ")
    assert told[1].differences == served.differences


async def test_an_error_in_the_block_removes_the_server_and_is_passed_on(backend, home, told):
    with pytest.raises(ZeroDivisionError):
        async with flow.serving(backend, request(), within_s=10, emit=told.append):
            1 / 0  # noqa: B018
    assert living(home) == []


@pytest.mark.parametrize("strikes", [1, 3])
async def test_cancellation_while_the_server_starts_removes_it(backend, home, told, strikes):
    async def serve():
        async with flow.serving(backend, request("loading"), within_s=60, emit=told.append):
            pass

    task = asyncio.ensure_future(serve())
    while not living(home):  # noqa: ASYNC110 - a process is awaited
        await asyncio.sleep(0.02)
    for _ in range(strikes):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert living(home) == []
    assert await backend.names() == ()


async def test_a_server_that_is_handed_over_stays(backend, home, told):
    served = await flow.serve(backend, request(), within_s=10, emit=told.append)
    assert (served.deployment.argv_sha256, served.differences) == (backend.plan(request()).argv_sha256, ())
    assert len(living(home)) == 1
    await flow.stop(backend, "one", emit=told.append)


async def test_serving_what_runs_already_keeps_it_even_when_it_fails_then(backend, home, told):
    await flow.serve(backend, request(), within_s=10, emit=told.append)
    again = await flow.serve(ProcessBackend(BackendChoice(), home=home), request(), within_s=10, emit=told.append)
    assert again.ready.endpoint.served_name == "tiny"
    with pytest.raises(ServingError, match="already runs with another command"):
        await flow.serve(backend, request("stubborn"), within_s=10, emit=told.append)
    assert len(living(home)) == 1
    await flow.stop(backend, "one", emit=told.append)


async def test_a_server_that_does_not_come_to_answer_is_removed(backend, home, told):
    with pytest.raises(ServerSilent):
        await flow.serve(backend, request("hangs"), within_s=1, emit=told.append)
    assert living(home) == []
    assert await backend.names() == ()


def test_differences_are_told_in_words_and_only_for_what_was_asked_and_told():
    asked = {"n_ctx": 2048, "n_parallel": 3, "n_batch": 32}
    told = {"n_ctx": 2304, "n_parallel": 3, "flash_attn": "auto"}
    assert differences(asked, told) == ("n_ctx: asked for 2048, runs with 2304",)
