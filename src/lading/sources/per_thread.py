"""One open thing (a file, a response) per reading thread, so that sequential reads need not open it again."""

import threading
from typing import Generic, Protocol, TypeVar


class _Closes(Protocol):
    def close(self) -> None: ...


T = TypeVar("T", bound=_Closes)


class PerThread(Generic[T]):
    """Holds at most one open thing for each thread; thread-safe."""

    def __init__(self) -> None:
        self._held: dict[int, T] = {}
        self._lock = threading.Lock()

    def get(self) -> T | None:
        """What the calling thread holds."""
        return self._held.get(threading.get_ident())

    def put(self, thing: T) -> T:
        """Hold *thing* for the calling thread, closing what it held before."""
        self.drop()
        with self._lock:
            self._held[threading.get_ident()] = thing
        return thing

    def drop(self) -> None:
        """Close what the calling thread holds."""
        with self._lock:
            held = self._held.pop(threading.get_ident(), None)
        if held is not None:
            held.close()

    def close(self) -> None:
        """Close what all threads hold; idempotent."""
        with self._lock:
            held, self._held = self._held, {}
        for thing in held.values():
            thing.close()
