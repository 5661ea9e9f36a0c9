"""The event loop that load is best offered from: uvloop's where it is installed, else asyncio's own."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run *main* on a new loop, as `asyncio.run` does."""
    with asyncio.Runner(loop_factory=fastest()) as runner:
        return runner.run(main)


def fastest() -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes the loop."""
    try:
        import uvloop
    except ModuleNotFoundError:  # Windows, PyPy: slower, not wrong
        return asyncio.new_event_loop
    made: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return made
