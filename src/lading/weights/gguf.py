"""The head of a GGUF file, read and checked without its tensors.

The format (versions 2 and 3, little-endian): magic, version, number of tensors, number of metadata entries; the entries,
key → typed value; the tensors' names, shapes, types and offsets; padding; the tensors. Long arrays (vocabularies) are
walked, not kept. Everything a file says of lengths is checked against its size before it is believed.
"""

import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lading.errors import FormatRefused
from lading.weights import bounded

Read = Callable[[str, int, int], bytes]
Scalar = int | float | bool | str
MAGIC = b"GGUF"
HEAD_BYTES = 512 * 1024**2  # metadata and tensor table together; the largest vocabularies take some 20 MiB
KEPT_ITEMS = 4096
#: More than any model has: what a head may cost in memory and time, whatever it says.
MOST_ENTRIES, MOST_TENSORS, MOST_ITEMS = 1 << 16, 1 << 18, 1 << 22
MOST_KEPT_BYTES = 64 * 1024**2
_ITEM_BYTES = 64
_CHUNK_BYTES = 1024**2
_DEFAULT_ALIGNMENT = 32
_MAX_DIMENSIONS = 8
_FIXED = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
_STRING, _ARRAY = 8, 9

#: ggml's tensor types: number → name, elements in a block, bytes of a block.
TYPES: Mapping[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """An array of the metadata: its *length*, and its items where there are at most `KEPT_ITEMS`."""

    length: int
    items: tuple["Scalar | Array", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One tensor; *offset* counts from the start of the tensor data. *type* is its number where unknown to `TYPES`."""

    type: str
    shape: tuple[int, ...]
    offset: int
    size_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a GGUF file says before its tensors."""

    version: int
    metadata: Mapping[str, Scalar | Array] = field(default_factory=dict)
    tensors: Mapping[str, Tensor] = field(default_factory=dict)


def head(path: str, size_bytes: int, read: Read) -> Head:
    """The head of the file at *path*; every tensor of its table lies inside the file.

    Raises:
        FormatRefused: It is no GGUF file, or is cut off; names the tensor.
    """
    cursor = _Cursor(path, size_bytes, read)
    version = _version(cursor)
    tensor_count, entry_count = cursor.number("<Q"), cursor.number("<Q")
    metadata = {
        cursor.string(): _value(cursor, int(cursor.number("<I")))
        for _ in cursor.counted(int(entry_count), 13, MOST_ENTRIES)
    }
    tensors = {cursor.string(): _tensor(cursor) for _ in cursor.counted(int(tensor_count), 24, MOST_TENSORS)}
    _check_inside(cursor, tensors, _alignment(cursor, metadata))
    return Head(version=version, metadata=metadata, tensors=tensors)


class _Cursor:
    """Reads a file from its start, a chunk at a time, never beyond its end."""

    def __init__(self, path: str, size_bytes: int, read: Read) -> None:
        self.path = path
        self.size_bytes = size_bytes
        self.position = 0
        self._kept_bytes = 0
        self._items = 0
        self._read = read
        self._chunk = b""
        self._chunk_at = 0

    def take(self, count: int) -> bytes:
        """The next *count* bytes."""
        self.check_room(count)
        start = self.position - self._chunk_at
        if start + count > len(self._chunk):
            wanted = min(max(count, _CHUNK_BYTES), self.size_bytes - self.position)
            self._chunk, self._chunk_at, start = self._read(self.path, self.position, wanted), self.position, 0
            if len(self._chunk) < count:
                raise self.refused(f"it ends at byte {self.position + len(self._chunk):,}, inside its head")
        self.position += count
        return self._chunk[start : start + count]

    def skip(self, count: int) -> None:
        """Step over *count* bytes."""
        self.check_room(count)
        self.position += count
        if not self._chunk_at <= self.position <= self._chunk_at + len(self._chunk):
            self._chunk, self._chunk_at = b"", self.position

    def number(self, form: str) -> int | float:
        """The next number of a `struct` format."""
        found: int | float = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return found

    def string(self) -> str:
        """The next string: its length, then its bytes, which need not be valid UTF-8."""
        count = int(self.number("<Q"))
        self.check_room(count)
        self.keep(count)
        return self.take(count).decode("utf-8", errors="replace")

    def keep(self, count: int) -> None:
        """Count bytes that are kept in memory."""
        self._kept_bytes += count
        if self._kept_bytes > MOST_KEPT_BYTES:
            raise self.refused(f"its metadata has more than {MOST_KEPT_BYTES:,} bytes of values")

    def walk(self, count: int) -> None:
        """Count items of arrays that are gone through one by one."""
        self._items += count
        if self._items > MOST_ITEMS:
            raise self.refused(f"its arrays have more than {MOST_ITEMS:,} items")

    def counted(self, count: int, least_bytes: int, most: int | None = None) -> range:
        """A range of *count*, each of which takes at least *least_bytes*: more than the file can hold, or *most*, is refused."""
        self.check_room(count * least_bytes)
        if most is not None and count > most:
            raise self.refused(f"its head names {count:,} of what no model has more than {most:,}")
        return range(count)

    def check_room(self, count: int) -> None:
        """See that *count* more bytes lie inside the file and the limit."""
        if self.position + count > self.size_bytes:
            raise self.refused(
                f"its head says {self.position + count:,} bytes, the file has {self.size_bytes:,}: it is cut off"
            )
        if self.position + count > HEAD_BYTES:
            raise self.refused(f"its head is longer than {HEAD_BYTES:,} bytes")

    def refused(self, problem: str) -> FormatRefused:
        """The error that says what is wrong with this file."""
        problem = bounded.shown(problem)
        return FormatRefused(f"{self.path} is not a whole GGUF file: {problem}", hint="fetch or convert it again")


def _version(cursor: _Cursor) -> int:
    magic = cursor.take(4) if cursor.size_bytes >= 4 else b""
    if magic != MAGIC:
        raise cursor.refused(f"it begins with {magic!r}, not {MAGIC!r}")
    version = int(cursor.number("<I"))
    if version not in {2, 3}:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big") in {2, 3}
        raise cursor.refused("it is big-endian" if swapped else f"version {version} is unknown; 2 and 3 are known")
    return version


def _value(cursor: _Cursor, kind: int) -> Scalar | Array:
    if kind in _FIXED:
        return cursor.number(_FIXED[kind])
    if kind == _STRING:
        return cursor.string()
    if kind == _ARRAY:
        return _array(cursor, depth=0)
    raise cursor.refused(f"its metadata has a value of type {kind}, which is unknown")


def _array(cursor: _Cursor, depth: int) -> Array:
    kind, length = int(cursor.number("<I")), int(cursor.number("<Q"))
    if kind in _FIXED and length > KEPT_ITEMS:
        cursor.skip(length * struct.calcsize(_FIXED[kind]))
        return Array(length=length)
    cursor.walk(length)
    if kind == _STRING and length > KEPT_ITEMS:
        for _ in cursor.counted(length, 8):
            cursor.skip(int(cursor.number("<Q")))
        return Array(length=length)
    if kind == _ARRAY and depth > 2:
        raise cursor.refused("its metadata nests arrays too deep")
    items: list[Scalar | Array] = []
    for index in cursor.counted(length, struct.calcsize(_FIXED.get(kind, "<Q"))):
        item = _array(cursor, depth + 1) if kind == _ARRAY else _value(cursor, kind)
        if index < KEPT_ITEMS:
            cursor.keep(_ITEM_BYTES)
            items.append(item)
    return Array(length=length, items=tuple(items) if length <= KEPT_ITEMS else ())


def _tensor(cursor: _Cursor) -> Tensor:
    dimensions = int(cursor.number("<I"))
    if dimensions > _MAX_DIMENSIONS:
        raise cursor.refused(f"a tensor has {dimensions} dimensions")
    shape = tuple(int(cursor.number("<Q")) for _ in range(dimensions))
    kind, offset = int(cursor.number("<I")), int(cursor.number("<Q"))
    name, block, block_bytes = TYPES.get(kind, (str(kind), 1, 0))
    size_bytes = math.prod(shape) // block * block_bytes if block_bytes else None
    return Tensor(type=name, shape=shape, offset=offset, size_bytes=size_bytes)


def _alignment(cursor: _Cursor, metadata: Mapping[str, Scalar | Array]) -> int:
    found = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    if not isinstance(found, int) or found < 1:
        raise cursor.refused(f"its alignment is {found!r}")
    return found


def _check_inside(cursor: _Cursor, tensors: Mapping[str, Tensor], alignment: int) -> None:
    data_at = -(-cursor.position // alignment) * alignment
    for name, tensor in tensors.items():
        if tensor.offset % alignment:
            raise cursor.refused(f"tensor {name!r} begins at {tensor.offset}, which is not aligned to {alignment}")
        end = data_at + tensor.offset + (tensor.size_bytes or 0)
        if end > cursor.size_bytes:
            raise cursor.refused(
                f"tensor {name!r} ends at byte {end:,}, the file at {cursor.size_bytes:,}: it is cut off"
            )
