"""A loop in a thread of its own, used from another loop."""

import asyncio
import threading

import pytest

from lading.cluster.loop import LoopThread

THREAD = LoopThread("test-loop")


async def test_a_flow_runs_there_and_its_result_comes_here():
    async def where():
        await asyncio.sleep(0)
        return threading.current_thread().name

    assert await THREAD.awaited(where()) == "test-loop"


async def test_what_it_raises_is_raised_here():
    async def fail():
        raise ValueError("as it is")

    with pytest.raises(ValueError, match="as it is"):
        await THREAD.awaited(fail())


async def test_cancelling_waits_for_its_clean_up():
    steps, started = [], threading.Event()

    async def slow():
        try:
            started.set()
            steps.append("started")
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            steps.append("cleaned")

    task = asyncio.create_task(THREAD.awaited(slow()))
    await asyncio.to_thread(started.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert steps == ["started", "cleaned"]
