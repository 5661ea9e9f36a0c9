"""The words in which a volume elsewhere is spoken to: frames of a bounded length on two byte streams.

::

    magic 2 | kind 1 | 0 | stream 4 | length 4 | payload

Both sides begin with HELLO. The client then opens a *stream* with a CALL, under a number that it never used before; several
are open at once. The agent ends it with a RESULT or an ERROR. Bytes of a file travel as DATA, followed by an END with their
size and SHA-256; who writes them may be `WINDOW_BYTES` ahead of the CREDIT it got, so neither side ever holds more of a file.
Control frames are JSON. Nothing here knows what the calls mean: that is `volume.agent` and `volume.remote`.
"""

import json
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NoReturn

from lading import errors
from lading.errors import ChannelClosed, LadingError, VolumeError

VERSION = 1
"""The major version of these words; both sides must speak the same."""
DATA_BYTES = 1 << 20
"""The most bytes of a file in one frame."""
CONTROL_BYTES = 32 << 20
"""The longest control frame: the manifest of some 200,000 files."""
WINDOW_BYTES = 8 << 20
"""How far the bytes of one file may be ahead of what the other side took."""
STREAMS = 64
"""The most streams open at once."""

_MAGIC = b"\xa7L"
_HEAD = struct.Struct(">2sBxII")
_SHOWN_BYTES = 200
_MESSAGE_CHARS = 16_000


def answered(size_bytes: int | None) -> bool:
    """Whether the agent says that a file of that size may come, before it does.

    A small one is sent on trust: a round trip into a pod takes longer than its bytes.
    """
    return size_bytes is None or size_bytes > DATA_BYTES


class Kind(IntEnum):
    """What a frame is."""

    HELLO = 1
    CALL = 2
    DATA = 3
    END = 4
    RESULT = 5
    ERROR = 6
    EVENT = 7
    CREDIT = 8
    CANCEL = 9
    ALIVE = 10


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it came."""

    kind: Kind
    stream: int
    payload: bytes

    def document(self) -> dict[str, Any]:
        """The JSON object in it.

        Raises:
            VolumeError: There is none.
        """
        try:
            found = json.loads(self.payload) if self.payload else {}
        except (ValueError, RecursionError) as error:
            raise VolumeError(f"a {self.kind.name} frame is damaged: {error}") from error
        if not isinstance(found, dict):
            raise VolumeError(f"a {self.kind.name} frame holds no JSON object")
        return found


class Writer:
    """Sends frames, whole, from any thread."""

    def __init__(self, send: Callable[[bytes | memoryview], None]) -> None:
        self._send = send
        self._lock = threading.Lock()

    def control(self, kind: Kind, stream: int, document: Mapping[str, Any] | None = None) -> None:
        """Send a control frame."""
        self.text(kind, stream, json.dumps(document).encode() if document else b"")

    def text(self, kind: Kind, stream: int, payload: bytes) -> None:
        """Send a control frame whose JSON is written already."""
        if len(payload) > CONTROL_BYTES:
            raise VolumeError(
                f"a message of {len(payload):,} bytes is longer than {CONTROL_BYTES:,}: too many files for one version"
            )
        with self._lock:
            self._send(_HEAD.pack(_MAGIC, kind, stream, len(payload)) + payload)

    def data(self, stream: int, data: bytes | memoryview) -> None:
        """Send up to `DATA_BYTES` of a file."""
        with self._lock:
            self._send(_HEAD.pack(_MAGIC, Kind.DATA, stream, len(data)))
            self._send(data)


class Reader:
    """Takes frames from a stream of bytes, by one thread.

    Args:
        receive: Gives the next bytes, empty at the end.
        whose: Who speaks, for messages: ``the agent``.
    """

    def __init__(self, receive: Callable[[], bytes], whose: str) -> None:
        self._receive = receive
        self._whose = whose
        self._buffer = bytearray()
        self._begun = False

    def next(self) -> Frame | None:
        """The next frame, None when the stream ended between two.

        Raises:
            ChannelClosed: It ended within one.
            VolumeError: These are no frames of ours; shows how they begin.
        """
        if not self._fill(_HEAD.size):
            return None
        magic, number, stream, length = _HEAD.unpack_from(self._buffer)
        if magic != _MAGIC or number not in _KINDS or length > _longest(number):
            self._refuse()
        self._begun = True
        if not self._fill(_HEAD.size + length):
            raise ChannelClosed(f"{self._whose} stopped in the middle of a message")
        with memoryview(self._buffer) as view:
            payload = bytes(view[_HEAD.size : _HEAD.size + length])
        del self._buffer[: _HEAD.size + length]
        return Frame(Kind(number), stream, payload)

    def _fill(self, size_bytes: int) -> bool:
        """Have *size_bytes*; False when the stream ended before the first of a frame."""
        while len(self._buffer) < size_bytes:
            if self._buffer and not _MAGIC.startswith(bytes(self._buffer[:2])):
                self._refuse()
            got = self._receive()
            if not got:
                if self._buffer:
                    raise ChannelClosed(f"{self._whose} stopped in the middle of a message")
                return False
            self._buffer += got
        return True

    def _refuse(self) -> NoReturn:
        said = ascii(bytes(self._buffer[:_SHOWN_BYTES]))[2:-1]
        where = "in the middle of its messages" if self._begun else "instead of its first message"
        raise VolumeError(
            f"{self._whose} said {where}: {said}",
            hint="something else writes to its output (a shell's greeting, an entry point of the image); give an --image of Lading",
        )


_KINDS = frozenset(map(int, Kind))


def _longest(kind: int) -> int:
    return DATA_BYTES if kind == Kind.DATA else CONTROL_BYTES


# ------------------------------------------------------------------------------------------------------------ errors

#: Errors that cross, by name; another name is told as a `VolumeError`.
CODES: Mapping[str, type[LadingError]] = {
    kind.__name__: kind
    for kind in (
        errors.InvalidInput,
        errors.InvalidReference,
        errors.HostileName,
        errors.FormatRefused,
        errors.VerificationFailed,
        errors.VolumeError,
        errors.VolumeFull,
        errors.VolumeNotWritable,
        errors.VolumeTooNew,
        errors.ModelBusy,
        errors.NotPublished,
        errors.VersionSkew,
        errors.Cancelled,
    )
}


def told(error: LadingError | OSError) -> dict[str, Any]:
    """*error* as a document."""
    if isinstance(error, OSError):
        return {
            "code": "OSError",
            "errno": error.errno,
            "message": error.strerror or str(error),
            "file": str(error.filename or ""),
        }
    return {"code": error.code, "message": error.message, "hint": error.hint}


def heard(document: Mapping[str, Any]) -> LadingError | OSError:
    """The error that *document* tells; what it says is printable and bounded, whoever wrote it."""
    message = _printable(document.get("message"))
    if document.get("code") == "OSError":
        number = document.get("errno")
        if not isinstance(number, int):
            return OSError(message)
        return OSError(number, message, _printable(document.get("file")) or None)
    hint = document.get("hint")
    kind = CODES.get(str(document.get("code")), VolumeError)
    return kind(message, hint=None if hint is None else _printable(hint))


def _printable(text: object) -> str:
    """*text* without what a terminal would obey."""
    said = "" if text is None else str(text)[:_MESSAGE_CHARS]
    return "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in said)
