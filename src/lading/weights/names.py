"""Which paths from outside may be written to a volume. `docs/manifest.md` lists what is refused.

Keys of a bucket, entries of a listing and names in an index are hostile until they passed here.
"""

import unicodedata
from collections.abc import Iterable

from lading.errors import HostileName

SEGMENT_BYTES = 255
PATH_BYTES = 1024
_RESERVED = ".lading"
_REFUSED_CATEGORIES = {
    "Cc": "a control character",
    "Cf": "an invisible format character",
    "Cs": "a surrogate: it is not valid Unicode",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
}


def check(path: str) -> str:
    """*path*, when it may be written below a version's directory.

    Raises:
        HostileName: It may not; says what is wrong with it.
    """
    found = problem(path)
    if found is not None:
        raise HostileName(f"the name {path!r} must not be written to a volume: {found}", hint=_HINT)
    return path


def check_all(paths: Iterable[str]) -> tuple[str, ...]:
    """All *paths*, when they may be written together and stay apart on every file system.

    Raises:
        HostileName: One may not, comes twice, is a directory of another, or differs from another only by case or
            by Unicode normalisation.
    """
    together = Together()
    return tuple(together.add(path) for path in paths)


class Together:
    """Names that come one after the other, held apart from each other as `check_all` does."""

    def __init__(self) -> None:
        self._spelled: dict[str, str] = {}
        self._files: set[str] = set()
        self._folders: dict[str, str] = {}

    def add(self, path: str) -> str:
        """*path*, when it may be written beside all before it.

        Raises:
            HostileName: As `check_all`.
        """
        parts = _with_parents(check(path))
        for part in parts:
            other = self._spelled.setdefault(_folded(part), part)
            if other != part:
                raise HostileName(
                    f"the names {other!r} and {part!r} are one name where case or Unicode forms do not count",
                    hint=_HINT,
                )
        self._check_apart(path, parts[:-1])
        self._files.add(path)
        self._folders.update(dict.fromkeys(parts[:-1], path))
        return path

    def _check_apart(self, path: str, folders: list[str]) -> None:
        if path in self._files:
            raise HostileName(f"the name {path!r} comes twice", hint=_HINT)
        both = next((folder for folder in folders if folder in self._files), None)
        inside = self._folders.get(path)
        if both is not None or inside is not None:
            raise HostileName(f"the name {both or path!r} is a file and a folder, for {inside or path!r}", hint=_HINT)


_HINT = "rename it at the source, or leave it out with --exclude"


def problem(path: str) -> str | None:
    """Why *path* may not be written to a volume, so that no file of one is called so; None where it may."""
    if not path:
        return "it is empty"
    strange = next((char for char in path if unicodedata.category(char) in _REFUSED_CATEGORIES), None)
    if strange is not None:
        return f"it has {_REFUSED_CATEGORIES[unicodedata.category(strange)]} (U+{ord(strange):04X})"
    if path.startswith("/"):
        return "it is absolute"
    if "\\" in path:
        return "it has a backslash"
    if len(path.encode()) > PATH_BYTES:
        return f"it is longer than {PATH_BYTES:,} bytes"
    return next(filter(None, map(_segment_problem, path.split("/"))), None)


def _segment_problem(segment: str) -> str | None:
    if segment == "":
        return "it has an empty part"
    if segment in {".", ".."}:
        return f"it has a part {segment!r}"
    if _folded(segment) == _RESERVED:
        return f"{_RESERVED} is reserved"
    if len(segment.encode()) > SEGMENT_BYTES:
        return f"a part is longer than {SEGMENT_BYTES} bytes"
    return None


def _with_parents(path: str) -> list[str]:
    """``a/b/c`` → ``a``, ``a/b``, ``a/b/c``."""
    segments = path.split("/")
    return ["/".join(segments[: count + 1]) for count in range(len(segments))]


def _folded(text: str) -> str:
    """Equal for what a case-insensitive or normalising file system takes for one (Unicode's canonical caseless match)."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())
