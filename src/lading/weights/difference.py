"""How two versions of a model differ: in files, in keys of `config.json`, in tensors. Values only; nothing is read here."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lading.weights.listing import Entry
from lading.weights.manifest import FileEntry
from lading.weights.safetensors import Tensor

Change = Literal["added", "removed", "changed", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file as far as its side tells: *marks* are digests and marks of its content, by name."""

    size_bytes: int | None
    marks: Mapping[str, str]

    @property
    def sha256(self) -> str | None:
        """64 hex digits, where they are known."""
        return self.marks.get("sha256")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """One file that is not the same, or of which that cannot be told (``unknown``); None where a side does not have it."""

    path: str
    change: Change
    before: File | None
    after: File | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueChange:
    """One key or tensor that is not the same; None where a side does not have it."""

    name: str
    before: str | None
    after: str | None


def listed(entry: Entry) -> File:
    """A file of a source."""
    marks = dict(entry.digests)
    marks |= {"sha256": entry.sha256} if entry.sha256 else {}
    marks |= {"mark": entry.etag} if entry.etag else {}
    return File(size_bytes=entry.size_bytes, marks=marks)


def published(file: FileEntry) -> File:
    """A file of a manifest."""
    marks = {"sha256": file.sha256} | ({"mark": file.etag} if file.etag else {})
    return File(size_bytes=file.size_bytes, marks=marks)


def files(one: Mapping[str, File], other: Mapping[str, File]) -> tuple[FileChange, ...]:
    """The files, by path, that are not in both with the same bytes."""
    return tuple(
        FileChange(path=path, change=change, before=one.get(path), after=other.get(path))
        for path in sorted({*one, *other})
        if (change := _change(one.get(path), other.get(path))) is not None
    )


def keys(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[ValueChange, ...]:
    """The keys of two JSON objects with other values, as ``text_config.hidden_size``."""
    return values(dict(_flat(before, "")), dict(_flat(after, "")))


def tensors(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> tuple[ValueChange, ...]:
    """The tensors that were added or removed, or have another type or shape: ``BF16 [4096, 4096]``."""
    return values(
        {name: _shape(one) for name, one in before.items()}, {name: _shape(one) for name, one in after.items()}
    )


def values(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[ValueChange, ...]:
    """What two mappings do not have in common, by name."""
    return tuple(
        ValueChange(name=name, before=before.get(name), after=after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    )


def _change(before: File | None, after: File | None) -> Change | None:
    if before is None:
        return "added"
    if after is None:
        return "removed"
    if None not in {before.size_bytes, after.size_bytes} and before.size_bytes != after.size_bytes:
        return "changed"
    digests = (before.marks.keys() & after.marks.keys()) - {"mark", "etag"}
    if digests:
        return None if all(before.marks[name] == after.marks[name] for name in digests) else "changed"
    if "mark" in before.marks and before.marks["mark"] == after.marks.get("mark"):
        return None
    return "unknown"  # a mark that changed is no proof: a copy of a file has another time


def _flat(tree: Any, name: str) -> Iterator[tuple[str, str]]:
    """Each value of a JSON document by the way to it."""
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from _flat(value, f"{name}.{key}" if name else str(key))
    else:
        yield name, json.dumps(tree, ensure_ascii=False)


def _shape(tensor: Tensor) -> str:
    return f"{tensor.dtype} {list(tensor.shape)}"
