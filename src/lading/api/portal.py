"""A loop of our own in a thread of our own, so that plain calls work where a loop already runs (a notebook)."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from lading.cluster.loop import LoopThread
from lading.load import loops

Result = TypeVar("Result")


def _loop() -> asyncio.AbstractEventLoop:
    return loops.fastest()()


#: Its own thread: a flow that waits for a volume on a claim must not keep the loop that carries the volume's bytes.
_PORTAL = LoopThread("lading-flows", _loop)


def run(flow: Coroutine[Any, Any, Result]) -> Result:
    """What *flow* returns or raises; see `LoopThread.run`.

    Raises:
        RuntimeError: Called from inside another flow of ours: await it there instead.
    """
    return _PORTAL.run(flow)
