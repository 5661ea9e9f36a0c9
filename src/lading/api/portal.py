"""A loop of our own in a thread of our own, so that plain calls work where a loop already runs (a notebook).

One daemon thread per process, started at the first call and made anew after a fork. A KeyboardInterrupt cancels the
flow and waits for its clean-up before it goes on.
"""

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

from lading.load import loops

Result = TypeVar("Result")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def run(flow: Coroutine[Any, Any, Result]) -> Result:
    """What *flow* returns or raises.

    Raises:
        RuntimeError: Called from inside another flow of ours: await it there instead.
    """
    loop = _running_loop()
    if threading.current_thread().name == _THREAD:
        flow.close()
        raise RuntimeError("a lading call inside a lading flow: await the coroutine of lading.flows instead")
    call = _Call(flow)
    loop.call_soon_threadsafe(call.start)
    try:
        call.ended.wait()
    except KeyboardInterrupt:
        loop.call_soon_threadsafe(call.cancel)
        call.ended.wait()
        raise
    return call.result()


class _Call(Generic[Result]):
    """One flow on the portal's loop; `ended` is set after all of its clean-up."""

    def __init__(self, flow: Coroutine[Any, Any, Result]) -> None:
        self._flow = flow
        self._task: asyncio.Task[Result] | None = None
        self.ended = threading.Event()

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._flow)
        self._task.add_done_callback(lambda _: self.ended.set())

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def result(self) -> Result:
        assert self._task is not None
        return self._task.result()


_THREAD = "lading-flows"


def _running_loop() -> asyncio.AbstractEventLoop:
    global _loop  # noqa: PLW0603 - one per process is the point
    with _lock:
        if _loop is None:
            _loop = loops.fastest()()
            threading.Thread(target=_loop.run_forever, name=_THREAD, daemon=True).start()
        return _loop


def _forget() -> None:
    """In a forked child the thread is gone: the next call makes a new one."""
    global _loop, _lock
    _loop, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)
