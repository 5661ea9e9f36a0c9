"""Compressed bytes to plain ones, a bounded piece at a time, with an end to what a bomb can make of them. Pure.

All take several streams behind one another (as `pigz`, `pbzip2` and `zstd -T0` write them), as their programs do.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from lading.errors import MissingExtra, SourceError
from lading.spec import units
from lading.weights.archive import Kind

RATIO = 250
"""Weights hardly shrink and text to a fifth; gzip's limit is 1,032, and the others have none."""
FREE_BYTES = 256 << 20
"""So much may come of anything: an empty tensor of that size is no attack."""
XZ_MEMORY_BYTES = 96 << 20
"""What ``xz -9`` needs, and some more; a header can ask for 4 GiB."""


class Decompressor(Protocol):
    """What the modules of the standard library have in common; one stream each."""

    @property
    def eof(self) -> bool:
        """Whether the stream has ended, its checksum right."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing comes without more input."""

    @property
    def unused_data(self) -> bytes:
        """What was given behind its end."""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Up to *max_length* bytes more; what is left of *data* is kept inside."""


class Plain:
    """The plain bytes of a compressed stream: `feed` it, `take` them.

    Raises:
        MissingExtra: This Python cannot read that compression.
    """

    def __init__(self, kind: Kind, *, ratio: int = RATIO, free_bytes: int = FREE_BYTES) -> None:
        self._codec = _codec(kind)
        self._current = self._codec.make() if self._codec.make else None
        self._began = False
        self._pending = b""
        self._in_bytes = self._out_bytes = 0
        self._ratio, self._free_bytes = ratio, free_bytes

    def feed(self, data: bytes) -> None:
        """More compressed bytes; only when `take` gave none."""
        self._pending = self._pending + data if self._pending else data
        self._in_bytes += len(data)

    def take(self, most_bytes: int) -> bytes:
        """Up to *most_bytes*; empty when more must be fed first.

        Raises:
            SourceError: The bytes are damaged, or a bomb.
        """
        data = self._take(most_bytes)
        self._out_bytes += len(data)
        if self._out_bytes > max(self._free_bytes, self._ratio * self._in_bytes):
            raise SourceError(
                f"{units.show_bytes(self._in_bytes)} of the archive became {units.show_bytes(self._out_bytes)}: "
                "no weights shrink like that",
                hint="unpack it yourself where that is safe, and pull the folder",
            )
        return data

    def end(self) -> None:
        """Say that no more is fed.

        Raises:
            SourceError: The stream was cut off.
        """
        if self._current is not None and (self._began or not self._in_bytes):
            raise SourceError("the archive ends in the middle of its compressed data", hint="it was cut off")

    def _take(self, most_bytes: int) -> bytes:
        if self._current is None or self._codec.make is None:
            data, self._pending = self._pending[:most_bytes], self._pending[most_bytes:]
            return data
        while True:
            given, self._pending = self._pending, b""
            if not self._began:
                given = given.lstrip(b"\0")  # tapes are filled up with zeros between and behind streams
                self._began = bool(given)
            if not given and self._current.needs_input:
                return b""
            try:
                data = self._current.decompress(given, most_bytes)
            except self._codec.fault as error:
                raise SourceError(f"the compressed data of the archive is damaged: {error}") from error
            if self._current.eof:
                self._pending = self._current.unused_data
                self._current, self._began = self._codec.make(), False
            if data or not self._pending:
                return data


@dataclass(frozen=True, slots=True)
class _Codec:
    """How a compression is undone, and what damaged data raises there; nothing for a plain tar."""

    make: Callable[[], Decompressor] | None
    fault: type[Exception] = OSError


class _Zlib:
    """`zlib` with the face of the others."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)
        self._more = False

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._more

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        tail = self._inner.unconsumed_tail
        out = self._inner.decompress(tail + data if tail else data, max_length)
        self._more = len(out) == max_length  # more may be inside, although all input was taken
        return out


def _codec(kind: Kind) -> _Codec:
    match kind:
        case "tar":
            return _Codec(None)
        case "tar.gz":
            return _Codec(_Zlib, zlib.error)
        case "tar.bz2":
            return _Codec(bz2.BZ2Decompressor, OSError)
        case "tar.xz":
            return _Codec(lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES), lzma.LZMAError)
        case "tar.zst":
            return _zstd()


def _zstd() -> _Codec:
    """Of the standard library from Python 3.14 on, else its backport. Both refuse windows above 128 MB."""
    for name in ("compression.zstd", "backports.zstd"):
        try:
            module = import_module(name)
        except ModuleNotFoundError:
            continue
        return _Codec(module.ZstdDecompressor, module.ZstdError)
    raise MissingExtra("a .tar.zst", extra="zstd")
