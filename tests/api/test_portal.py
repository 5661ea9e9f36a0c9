"""Plain calls that run a flow: inside a running loop, after a fork, and when interrupted."""

import asyncio
import os
import signal
import threading
import time

import pytest

from lading.api import portal


async def double(value):
    await asyncio.sleep(0)
    return value * 2


def test_a_call_gives_what_the_flow_returns():
    assert portal.run(double(21)) == 42


async def test_a_call_works_where_a_loop_already_runs():
    assert portal.run(double(21)) == 42


def test_a_call_raises_what_the_flow_raises():
    async def fail():
        raise ValueError("as it is")

    with pytest.raises(ValueError, match="as it is"):
        portal.run(fail())


def test_a_call_inside_a_flow_is_refused_rather_than_stuck():
    async def nested():
        return portal.run(double(1))

    with pytest.raises(RuntimeError, match="await the coroutine"):
        portal.run(nested())


@pytest.fixture
def interruptible():
    """Ctrl-C raises, as in any program: a test runner's worker ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_cancels_the_flow_and_waits_for_its_clean_up():
    steps = []

    async def slow():
        try:
            steps.append("started")
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            steps.append("cleaned")

    def interrupt():
        while not steps:
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        portal.run(slow())
    assert steps == ["started", "cleaned"]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_call_works_after_a_fork():
    assert portal.run(double(1)) == 2
    child = os.fork()
    if child == 0:
        os._exit(portal.run(double(3)))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 6
