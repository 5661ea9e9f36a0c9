"""What a switch from one version to another would change, by manifests, listings and heads of files: tensors are not read.

A side is a published version, or what a source has now. Where neither tells what a small file holds, it is read from both.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from lading.errors import FormatRefused
from lading.weights import difference, formats, safetensors
from lading.weights.difference import File, FileChange, ValueChange
from lading.weights.formats import Read
from lading.weights.safetensors import Tensor

READ_BYTES = 4 << 20
"""A file up to this size is read where nothing else tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of two versions: *name* for people, its *files* by path, and how to *read* pieces of them."""

    name: str
    files: Mapping[str, File]
    read: Read


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How two sides differ.

    Attributes:
        files: Those that are not the same, by path; `same` are as many that are.
        config: Keys of `config.json`.
        tensors: Of safetensors files; None where a head could not be read.
        problem: Why tensors or keys could not be compared.
    """

    files: tuple[FileChange, ...]
    same: int
    config: tuple[ValueChange, ...] = ()
    tensors: tuple[ValueChange, ...] = ()
    problem: str | None = None

    @property
    def load_bytes(self) -> int:
        """What a switch to the second reads anew: its files that are not the first's."""
        return sum(one.after.size_bytes or 0 for one in self.files if one.after is not None)


def compare(one: Side, other: Side) -> Difference:
    """How *other* differs from *one*.

    Raises:
        LadingError, OSError: A file that must be read cannot be.
    """
    changes = [_looked_at(change, one, other) for change in difference.files(one.files, other.files)]
    files = tuple(change for change in changes if change is not None)
    found = Difference(files=files, same=len({*one.files, *other.files}) - len(files))
    changed = {change.path for change in files}
    try:
        config = difference.keys(_config(one), _config(other)) if formats.CONFIG in changed else ()
        heads = any(_has_tensors(path) for path in changed)
        tensors = difference.tensors(_tensors(one), _tensors(other)) if heads else ()
    except FormatRefused as error:
        return replace(found, problem=error.message)
    return replace(found, config=config, tensors=tensors)


def _looked_at(change: FileChange, one: Side, other: Side) -> FileChange | None:
    """*change*, decided by reading where it was not known; None: it is none."""
    size_bytes = change.after.size_bytes if change.after else None
    if change.change != "unknown" or size_bytes is None or size_bytes > READ_BYTES:
        return change
    same = one.read(change.path, 0, size_bytes) == other.read(change.path, 0, size_bytes)
    return None if same else replace(change, change="changed")


def _config(side: Side) -> Mapping[str, object]:
    """The keys of its `config.json`; none where it has none."""
    size_bytes = side.files[formats.CONFIG].size_bytes if formats.CONFIG in side.files else None
    if size_bytes is None:
        return {}
    return formats.json_object(formats.CONFIG, {formats.CONFIG: size_bytes}, side.read)


def _tensors(side: Side) -> Mapping[str, Tensor]:
    """Its tensors, whichever shard they are in."""
    found: dict[str, Tensor] = {}
    for path, file in sorted(side.files.items()):
        if _has_tensors(path) and file.size_bytes is not None:
            found |= safetensors.header(path, file.size_bytes, side.read)
    return found


def _has_tensors(path: str) -> bool:
    return path.endswith(".safetensors") and "/" not in path
