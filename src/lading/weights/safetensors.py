"""The head of a safetensors file, read and checked without its tensors.

The format: 8 bytes, little-endian, the length N of the header; N bytes of JSON, tensor name → dtype, shape and
``data_offsets`` [begin, end) into what follows; then the tensors, without a gap, to the end of the file.
The checks are those of the safetensors library when it opens a file; tests compare the two.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lading.errors import FormatRefused
from lading.weights import bounded

Read = Callable[[str, int, int], bytes]
HEADER_BYTES = bounded.SIZE_BYTES  # the library allows three times as much, of which nobody has used a tenth
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32,
    "I64": 64, "U64": 64, "F64": 64, "C64": 64,
}  # fmt: skip
_MOST = (1 << 64) - 1
_POINTER = b"version https://git-lfs.github.com/spec"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One tensor of a file; *begin* and *end* count from the end of the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def header(path: str, size_bytes: int, read: Read) -> Mapping[str, Tensor]:
    """The tensors of the file at *path*, by name.

    Raises:
        FormatRefused: It is no safetensors file, or the file is not as long as its header says; names the tensor.
    """
    text, data_bytes = _header_text(path, size_bytes, read)
    tensors = {name: _tensor(path, name, entry) for name, entry in _entries(path, text)}
    _check_seamless(path, tensors, data_bytes)
    return tensors


def _header_text(path: str, size_bytes: int, read: Read) -> tuple[bytes, int]:
    head = read(path, 0, 8 + len(_POINTER))
    if head.startswith(_POINTER):
        raise FormatRefused(
            f"{path} is a Git LFS pointer, not weights", hint="fetch the real file at the source: git lfs pull"
        )
    if len(head) < 8:
        raise _refused(path, f"it has {size_bytes} bytes; a header alone has more")
    length = int.from_bytes(head[:8], "little")
    if length > HEADER_BYTES:
        raise _refused(path, f"its header would have {length:,} bytes, more than the format allows")
    if 8 + length > size_bytes:
        raise _refused(path, f"its header has {length:,} bytes, the file ends after {max(0, size_bytes - 8):,} of them")
    return read(path, 8, length), size_bytes - 8 - length


def _entries(path: str, text: bytes) -> list[tuple[str, Any]]:
    try:
        document = bounded.parsed(text) if text.startswith(b"{") else None
    except ValueError as error:
        raise _refused(path, f"its header is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise _refused(path, "its header is not a JSON object")
    metadata = document.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _refused(path, "its __metadata__ is not a mapping of strings")
    return list(document.items())


def _tensor(path: str, name: str, entry: Any) -> Tensor:
    match entry:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [int(begin), int(end)]} if all(
            map(_is_count, [*shape, begin, end])
        ):
            tensor = Tensor(dtype=dtype, shape=tuple(shape), begin=begin, end=end)
        case _:
            raise _refused(path, f"its entry of tensor {name!r} is malformed")
    bits = BITS.get(dtype)
    if bits is not None and _elements(tensor.shape) * bits != (end - begin) * 8:
        raise _refused(path, f"tensor {name!r}: {dtype} of shape {list(shape)} does not fit its {end - begin} bytes")
    return tensor


def _check_seamless(path: str, tensors: Mapping[str, Tensor], data_bytes: int) -> None:
    reached = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if tensor.begin != reached or tensor.end < tensor.begin:
            raise _refused(path, f"tensor {name!r} begins at byte {tensor.begin}, the one before ends at {reached}")
        if tensor.end > data_bytes:
            raise _refused(
                path,
                f"tensor {name!r} ends at byte {tensor.end:,} of its data, the file at {data_bytes:,}: it is cut off",
            )
        reached = tensor.end
    if reached != data_bytes:
        raise _refused(path, f"its tensors end at byte {reached:,} of its data, the file at {data_bytes:,}")


def _elements(shape: tuple[int, ...]) -> int:
    """How many elements; one number too high to be one, where they are more than can be."""
    count = 1
    for size in sorted(shape):  # 0 first
        count *= size
        if count == 0 or count > _MOST:
            break
    return count


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST


def _refused(path: str, problem: str) -> FormatRefused:
    problem = bounded.shown(problem)
    return FormatRefused(f"{path} is not a whole safetensors file: {problem}", hint="fetch or save it again")
