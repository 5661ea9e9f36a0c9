"""Loops of our own in threads of their own, so that plain, blocking code can use what is asynchronous.

One daemon thread each, started at the first call and made anew after a fork. The one of this module carries the streams
into pods: a volume on a claim is blocking, like any volume, and whoever uses it may already be on a loop.
"""

import asyncio
import os
import threading
import weakref
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


class LoopThread:
    """A loop in a daemon thread called *name*; *factory* makes the loop."""

    def __init__(self, name: str, factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop) -> None:
        self._name = name
        self._factory = factory
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        _threads.add(self)

    def run(self, flow: Coroutine[Any, Any, Result]) -> Result:
        """What *flow* returns or raises; a KeyboardInterrupt cancels it and waits for its clean-up before it goes on.

        Raises:
            RuntimeError: Called on this very loop: await it there instead.
        """
        loop = self.loop()
        if threading.current_thread() is self._thread:
            flow.close()
            raise RuntimeError("a lading call inside a lading flow: await the coroutine instead")
        ended = threading.Event()
        call = _Call(flow, ended.set)
        loop.call_soon_threadsafe(call.start)
        try:
            ended.wait()
        except KeyboardInterrupt:
            loop.call_soon_threadsafe(call.cancel)
            ended.wait()
            raise
        return call.result()

    async def awaited(self, flow: Coroutine[Any, Any, Result]) -> Result:
        """As `run`, for a caller on another loop: cancelled, it cancels *flow* and waits for its clean-up."""
        here = asyncio.get_running_loop()
        ended = asyncio.Event()
        call = _Call(flow, lambda: here.call_soon_threadsafe(ended.set))
        loop = self.loop()
        loop.call_soon_threadsafe(call.start)
        try:
            await ended.wait()
        except asyncio.CancelledError:
            loop.call_soon_threadsafe(call.cancel)
            while not ended.is_set():
                with suppress(asyncio.CancelledError):  # asked again: it ends as soon as it can
                    await ended.wait()
            raise
        return call.result()

    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, running."""
        with self._lock:
            if self._loop is None:
                self._loop = self._factory()
                self._thread = threading.Thread(target=self._loop.run_forever, name=self._name, daemon=True)
                self._thread.start()
            return self._loop

    def forget(self) -> None:
        """In a forked child the thread is gone: the next call makes a new one."""
        self._lock = threading.Lock()
        self._loop = self._thread = None


class _Call(Generic[Result]):
    """One flow on a loop; *told* is called after all of its clean-up."""

    def __init__(self, flow: Coroutine[Any, Any, Result], told: Callable[[], object]) -> None:
        self._flow = flow
        self._told = told
        self._task: asyncio.Task[Result] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._flow)
        self._task.add_done_callback(lambda _: self._told())

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def result(self) -> Result:
        assert self._task is not None
        return self._task.result()


_threads: "weakref.WeakSet[LoopThread]" = weakref.WeakSet()


def _forget_all() -> None:
    for thread in _threads:
        thread.forget()


os.register_at_fork(after_in_child=_forget_all)

#: The loop that clusters are spoken to from, for blocking code.
CLUSTER = LoopThread("lading-cluster")
