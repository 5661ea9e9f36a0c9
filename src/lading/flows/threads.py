"""The blocking part of a flow in a thread of its own: told across, cancelled by a flag, waited for to its end."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from lading.errors import Cancelled
from lading.events import Emit, Event

T = TypeVar("T")


class Across:
    """An `Emit` for other threads. Where nobody can be told any more (a closed pipe) the work is cancelled."""

    def __init__(self, emit: Emit, cancel: threading.Event) -> None:
        self.broken: OSError | None = None
        self._emit = emit
        self._cancel = cancel
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Event] = deque()
        self._called = False

    def __call__(self, event: Event) -> None:
        """Tell *event*, soon: with others that came meanwhile, as thousands of small files bring thousands."""
        self._waiting.append(event)
        if not self._called:
            self._called = True
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        self._called = False  # first: what comes from now on calls again
        while self._waiting and self.broken is None:
            try:
                self._emit(self._waiting.popleft())
            except OSError as error:
                self.broken = error
                self._cancel.set()


async def told(work: Callable[[Emit, threading.Event], T], emit: Emit) -> T:
    """What *work*, in a thread, gives; it is called with an `Emit` and the event that cancels it.

    Raises:
        OSError: Nobody can be told any more.
    """
    cancel = threading.Event()
    across = Across(emit, cancel)
    try:
        return await in_thread(lambda: work(across, cancel), cancel)
    except Cancelled:
        if across.broken is not None:
            raise across.broken from None
        raise


async def in_thread(work: Callable[[], T], cancel: threading.Event) -> T:
    """What *work* gives; cancelled, it sets *cancel* and returns only after the thread has ended."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        cancel.set()
        while not running.done():
            with suppress(asyncio.CancelledError):  # asked again: it is as soon as it can be
                await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # seen: the cancellation is what is told
        raise
