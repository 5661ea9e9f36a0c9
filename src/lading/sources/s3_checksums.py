"""What an S3 store says that an object hashes to, from the headers of its answers (their names in lower case).

Stores differ: AWS keeps a CRC-64/NVME of all bytes for everything uploaded since 2025, MinIO and Ceph what the uploader
sent; older objects have their ETag alone. An ETag is an MD5 of all bytes, or of the parts' MD5s, except where the object is
encrypted with keys of the user's or of a key service: it then says nothing of the bytes.
"""

import base64
import binascii
import re
from collections.abc import Mapping

_ALGORITHMS = ("crc64nvme", "crc32c", "sha256", "crc32", "sha1")
_ETAG = re.compile(r"[0-9a-f]{32}(?:-([1-9]\d{0,4}))?")


def of_all_bytes(headers: Mapping[str, str]) -> dict[str, str]:
    """The checksums that *headers* give of all bytes, in hex, by algorithm; those of parts' checksums are left out."""
    if (headers.get("x-amz-checksum-type") or "FULL_OBJECT") != "FULL_OBJECT":
        return {}
    found = {name: _hex(headers.get(f"x-amz-checksum-{name}")) for name in _ALGORITHMS}
    return {name: value for name, value in found.items() if value is not None}


def etag(headers: Mapping[str, str]) -> str | None:
    """The ETag, quotes left out, where it is made of MD5s of the bytes."""
    encryption = headers.get("x-amz-server-side-encryption") or ""
    if encryption.startswith("aws:kms") or headers.get("x-amz-server-side-encryption-customer-algorithm"):
        return None
    found = (headers.get("etag") or "").strip('"')
    return found if is_etag(found) else None


def is_etag(tag: str) -> bool:
    """Whether *tag* has the form of MD5s."""
    return _ETAG.fullmatch(tag) is not None


def part_count(tag: str) -> int | None:
    """In how many parts the object was uploaded, as its ETag says; None: in one piece."""
    match = _ETAG.fullmatch(tag)
    return int(match[1]) if match and match[1] else None


def part_size_bytes(headers: Mapping[str, str]) -> int | None:
    """The size of the part that was asked for by its number; None where the store gave something else."""
    if "-" not in (headers.get("content-range") or ""):
        return None
    size = headers.get("content-length") or ""
    return int(size) if size.isdecimal() and len(size) < 19 else None


def are_even(size_bytes: int, count: int, first_bytes: int, last_bytes: int) -> bool:
    """Whether *count* parts are of one size but for the last, as far as their first and last tell."""
    return first_bytes > 0 and last_bytes > 0 and (count - 1) * first_bytes + last_bytes == size_bytes


def _hex(value: str | None) -> str | None:
    """From base64; a checksum of parts' checksums, ``…-N``, is none of ours."""
    if value is None:
        return None
    try:
        return base64.b64decode(value, validate=True).hex() or None
    except (ValueError, binascii.Error):
        return None
