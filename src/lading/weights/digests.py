r"""What a store says a file hashes to, and the hashes that are computed beside SHA-256 to compare.

Names, and forms of values (hex in lower case):

``md5``, ``sha1``, ``sha256``, ``crc32``, ``crc32c``, ``crc64nvme``
    Of all bytes. CRCs are 8 or 16 hex digits.
``git-sha1``
    As git names a blob: SHA-1 of ``blob SIZE\0`` and the bytes (the hub's small files).
``etag``
    As S3 gives it, quotes left out: an MD5, or ``MD5-N`` of an upload in N parts, which is the MD5 of the parts' MD5s.
    The size of the parts is then ``etag-part-bytes``, in decimal; without it nothing can be compared. A source gives an
    ETag here only where it is one of these: not where the store encrypts with keys of its own.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from lading.weights import crc

PART_BYTES_KEY = "etag-part-bytes"
#: The cheapest that is given is enough: from 24 GB/s down to 0.75 GB/s on one core.
BY_COST = ("sha256", "crc64nvme", "crc32c", "crc32", "sha1", "git-sha1", "md5", "etag")
_ETAG = re.compile(r"([0-9a-f]{32})(?:-([1-9][0-9]{0,4}))?")


class Hasher(Protocol):
    """A hash of bytes that come in order."""

    def update(self, data: memoryview, /) -> None:
        """Take more bytes."""

    def hexdigest(self) -> str:
        """The hash of all so far."""


class _Crc:
    """A CRC of all bytes."""

    def __init__(self, extend: Callable[[memoryview, int], int], digits: int) -> None:
        self._extend = extend
        self._digits = digits
        self._value = 0

    def update(self, data: memoryview) -> None:
        self._value = self._extend(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:0{self._digits}x}"


_OF_ALL_BYTES: Mapping[str, Callable[[], Hasher]] = {
    "sha256": hashlib.sha256,
    "sha1": partial(hashlib.sha1, usedforsecurity=False),
    "md5": partial(hashlib.md5, usedforsecurity=False),
    "crc64nvme": lambda: _Crc(crc.crc64nvme, 16),
    "crc32c": lambda: _Crc(crc.crc32c, 8),
    "crc32": lambda: _Crc(crc.crc32, 8),
}


class _PartsMd5:
    """The ETag of an upload in parts of one size: the MD5 of their MD5s, and how many they are."""

    def __init__(self, part_bytes: int) -> None:
        self._part_bytes = part_bytes
        self._left_bytes = part_bytes
        self._part = hashlib.md5(usedforsecurity=False)
        self._all = hashlib.md5(usedforsecurity=False)
        self._count = 0

    def update(self, data: memoryview) -> None:
        while data:
            piece = data[: self._left_bytes]
            self._part.update(piece)
            self._left_bytes -= len(piece)
            data = data[len(piece) :]
            if self._left_bytes == 0:
                self._close()

    def hexdigest(self) -> str:
        if self._left_bytes < self._part_bytes:
            self._close()
        return f"{self._all.hexdigest()}-{self._count}"

    def _close(self) -> None:
        self._all.update(self._part.digest())
        self._part = hashlib.md5(usedforsecurity=False)
        self._left_bytes = self._part_bytes
        self._count += 1


def to_compare(said: Mapping[str, str]) -> tuple[str, str] | None:
    """Name and value of the one digest of *said* that is worth computing: the cheapest; None where there is none."""
    for name in BY_COST:
        value = said.get(name)
        if value and hasher(name, said, size_bytes=0) is not None:
            return name, value.strip('"') if name == "etag" else value.lower()
    return None


def hasher(name: str, said: Mapping[str, str], *, size_bytes: int | None) -> Hasher | None:
    """What computes *name*; None where that cannot be: unknown, an ETag that is no MD5, a size that is not known."""
    if name == "git-sha1":
        return None if size_bytes is None else hashlib.sha1(f"blob {size_bytes}\0".encode(), usedforsecurity=False)
    if name == "etag":
        return _etag(said)
    made = _OF_ALL_BYTES.get(name)
    return made() if made else None


def _etag(said: Mapping[str, str]) -> Hasher | None:
    match = _ETAG.fullmatch(said.get("etag", "").strip('"'))
    if match is None:
        return None
    if match[2] is None:
        return hashlib.md5(usedforsecurity=False)
    part_bytes = said.get(PART_BYTES_KEY, "")
    return _PartsMd5(int(part_bytes)) if part_bytes.isdecimal() and int(part_bytes) > 0 else None
