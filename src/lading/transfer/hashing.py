"""The hashes of one file whose parts arrive in any order: SHA-256 runs in order, a CRC of each part beside it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from lading.errors import VerificationFailed
from lading.weights import digests
from lading.weights.listing import Entry


@dataclass(frozen=True, slots=True)
class Mismatch:
    """What a source said, and what arrived."""

    algorithm: str
    said: str
    found: str

    def error(self, path: str) -> VerificationFailed:
        """The error of a file that came twice with other bytes than its source says."""
        name = {"sha256": "SHA-256", "etag": "ETag"}.get(self.algorithm, self.algorithm)
        return VerificationFailed(
            f"{path} has {name} {self.found}, its source says {self.said}",
            hint="the source's file or its list of digests is damaged; nothing was published",
        )


class FileHash:
    """SHA-256 of a file, and the digest its source gives beside it, of bytes that come in order.

    The source's own digest is computed only where it gives no SHA-256: one comparison shows that the bytes are right.
    """

    def __init__(self, entry: Entry, said: Mapping[str, str]) -> None:
        self._said = {**said, **entry.digests}
        if entry.sha256 is not None:
            self._said["sha256"] = entry.sha256
        self._sha256 = hashlib.sha256()
        self._compared = digests.to_compare(self._said)
        beside = self._compared is not None and self._compared[0] != "sha256"
        self._beside = (
            digests.hasher(self._compared[0], self._said, size_bytes=entry.size_bytes)
            if self._compared is not None and beside
            else None
        )

    def update(self, data: memoryview) -> None:
        """Take the next bytes of the file."""
        self._sha256.update(data)
        if self._beside is not None:
            self._beside.update(data)

    @property
    def sha256(self) -> str:
        """64 hex digits of all so far."""
        return self._sha256.hexdigest()

    def mismatch(self) -> Mismatch | None:
        """Where the file differs from what its source says; None where it does not, or the source says nothing."""
        if self._compared is None:
            return None
        name, said = self._compared
        if name == "sha256":
            found = self.sha256
        elif self._beside is not None:
            found = self._beside.hexdigest()
        else:
            return None
        return None if found == said else Mismatch(name, said, found)
