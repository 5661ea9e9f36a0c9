"""Where models lie among the files of a source, and whether they are whole: by names, sizes and heads of files.

The same rules as for folders of a volume without a manifest: a folder whose own files look like a model is one, with all that
lies below it; only the top may hold others beside its own.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lading.errors import FormatRefused, SourceError
from lading.weights import formats, layout
from lading.weights.formats import Read
from lading.weights.listing import Entry

TOP = "."


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFolder:
    """A model at a source, as far as that was looked at.

    Attributes:
        path: Below what was listed; ``.`` is all of it.
        format: What it looks like.
        entries: Its files, by path, which begin with *path* unless that is ``.``.
    """

    path: str
    format: str
    entries: tuple[Entry, ...]

    @property
    def size_bytes(self) -> int | None:
        """All files together; None where the source does not say every size."""
        sizes = [entry.size_bytes for entry in self.entries if entry.size_bytes is not None]
        return sum(sizes) if len(sizes) == len(self.entries) else None

    @property
    def files(self) -> Mapping[str, Entry]:
        """Its files by their paths in it."""
        start = "" if self.path == TOP else f"{self.path}/"
        return {entry.path.removeprefix(start): entry for entry in self.entries}


def models(entries: Iterable[Entry]) -> tuple[ModelFolder, ...]:
    """The models among *entries*, by path."""
    listed = [entry for entry in entries if not entry.path.startswith(f"{layout.OURS}/")]
    names: defaultdict[str, list[str]] = defaultdict(list)
    for entry in listed:
        folder, _, name = entry.path.rpartition("/")
        names[folder].append(name)
    kinds = {folder: kind for folder, inside in names.items() if (kind := formats.kind_of(inside)) is not None}
    below = {folder for folder in kinds if folder and not any(above in kinds for above in _above(folder))}
    others = {folder.partition("/")[0] for folder in below} if "" in kinds else set()
    held: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in listed:
        inside = next((folder for folder in _above(entry.path) if folder in below), None)
        if inside is not None:
            held[inside].append(entry)
        elif "" in kinds and entry.path.partition("/")[0] not in others:
            held[""].append(entry)
    return tuple(
        ModelFolder(path=folder or TOP, format=kinds[folder], entries=tuple(held[folder])) for folder in sorted(held)
    )


def problem(folder: ModelFolder, read: Read) -> str | None:
    """What keeps a server from loading it, as names, sizes and heads tell; *read* gives bytes of one of its files."""
    sizes = {path: entry.size_bytes for path, entry in folder.files.items() if entry.size_bytes is not None}
    if len(sizes) < len(folder.entries):
        return "the source does not say all sizes before it is read"
    try:
        formats.check(sizes, read)
    except (FormatRefused, SourceError) as error:
        return error.message
    return None


def _above(path: str) -> Iterable[str]:
    """The folders that *path* lies in, the outermost first, without the top."""
    parts = path.split("/")[:-1]
    return ("/".join(parts[: count + 1]) for count in range(len(parts)))
