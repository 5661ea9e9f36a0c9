"""Lists of files with their SHA-256, as `sha256sum` writes them, and the ones that lie beside a single file. Pure."""

import re
from dataclasses import dataclass

from lading.errors import InvalidInput, SourceError

SIZE_LIMIT_BYTES = 16 << 20
_LIST_NAME = re.compile(r"(?:.*[._-])?sha256(?:sums?)?(?:\.txt)?", re.IGNORECASE)
_SUM = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")
_BARE = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class Named:
    """A line of a list."""

    path: str
    sha256: str | None = None


def is_list(name: str) -> bool:
    """Whether a file of that name is a list (``SHA256SUMS``, ``model.sha256`` …)."""
    return _LIST_NAME.fullmatch(name) is not None


def parse_list(text: str, shown: str) -> list[Named]:
    """The files that a list names, in its order.

    Raises:
        InvalidInput: It names none, or one twice.
    """
    named = [_line(line) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not named:
        raise InvalidInput(f"{shown} names no files")
    seen: set[str] = set()
    for item in named:
        if item.path in seen:
            raise InvalidInput(f"{shown} names {item.path!r} twice")
        seen.add(item.path)
    return named


def beside(text: str, name: str) -> str | None:
    """The SHA-256 that a list beside the file *name* gives of it; None where it says nothing of that file.

    A digest alone is that of the file. Servers that answer every address with a page say nothing, too.
    """
    if _BARE.fullmatch(text.strip()):
        return text.strip().lower()
    said = {item.sha256 for item in map(_line, text.splitlines()) if item.sha256 and item.path == name}
    return said.pop() if len(said) == 1 else None


def decoded(data: bytes, shown: str) -> str:
    """The text of a list.

    Raises:
        SourceError: It is none.
    """
    if len(data) > SIZE_LIMIT_BYTES or b"\0" in data:
        raise SourceError(f"{shown} is not a list of files")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise SourceError(f"{shown} is not a list of files: it is not UTF-8") from None


def _line(line: str) -> Named:
    found = _SUM.fullmatch(line)
    path = found[2] if found else line.strip()
    return Named(path.removeprefix("./"), found[1].lower() if found else None)
