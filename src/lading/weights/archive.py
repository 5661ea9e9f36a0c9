"""What is in a tar archive from outside, read from its headers alone, and what of it is refused. Pure.

Only plain files and folders are taken. A link, a device, a sparse file or a kind that is not known is refused by its
name: published, it would be something else than what was packed. Names pass `lading.weights.names`. Of the two
extensions of the format, PAX and GNU, long names and sizes count; all else is left aside.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from lading.errors import HostileName, SourceError
from lading.weights import names

BLOCK_BYTES = 512
MEMBERS = 100_000
"""More are not a model: each costs a file, a hash, and a line in the manifest."""
EXTENSION_BYTES = 1 << 20
"""A longer PAX header or name says nothing that is needed, and is held in memory."""
REST_BYTES = 1 << 20
"""Writers fill up to their record size behind the end mark; no record is as long as this."""

Kind = Literal["tar", "tar.gz", "tar.bz2", "tar.xz", "tar.zst"]
Take = Callable[[int], bytes]
"""Gives that many bytes from where the archive is read; fewer only at its end."""

_NAME = re.compile(r"(.+?)\.(?:(tar)(?:\.(gz|bz2|xz|zst))?|(tgz|tbz2|txz|tzst))", re.IGNORECASE | re.DOTALL)
_SHORT: Mapping[str, Kind] = {"tgz": "tar.gz", "tbz2": "tar.bz2", "txz": "tar.xz", "tzst": "tar.zst"}
_LONG: Mapping[str, Kind] = {"gz": "tar.gz", "bz2": "tar.bz2", "xz": "tar.xz", "zst": "tar.zst"}

_FILES, _FOLDER = frozenset({b"0", b"\0", b"7"}), b"5"
_REFUSED = {
    b"1": "a second name of another file (a hard link); pack with `tar --hard-dereference`",
    b"2": "a symbolic link; pack with `tar --dereference`",
    b"3": "a device",
    b"4": "a device",
    b"6": "a named pipe",
    b"S": "a sparse file; pack without `--sparse`",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file or a folder in an archive.

    Attributes:
        path: Checked, as it may be written; empty for the root (``./``).
        size_bytes: Of its content, which follows its header; 0 for a folder.
    """

    path: str
    size_bytes: int
    is_folder: bool = False

    @property
    def padded_bytes(self) -> int:
        """What its content takes in the archive."""
        return -(-self.size_bytes // BLOCK_BYTES) * BLOCK_BYTES


def kind(name: str) -> Kind | None:
    """What kind of archive a file of that name is; None: none that is known."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    if found[4]:
        return _SHORT[found[4].lower()]
    return _LONG[found[3].lower()] if found[3] else "tar"


def stem(name: str) -> str:
    """*name* without the ending that makes it an archive."""
    found = _NAME.fullmatch(name)
    return found[1] if found else name


def next_member(take: Take) -> Member | None:
    """The next member, its content not yet taken; None at the end mark.

    Raises:
        HostileName: It must not be written, or is no plain file and no folder.
        SourceError: It is no tar, or was cut off.
    """
    said: dict[str, str] = {}
    while True:
        block = _exactly(take, BLOCK_BYTES)
        if not any(block):
            return None
        size_bytes, flag = _checked(block)
        match flag:
            case b"x":
                said |= _pax(_extension(take, size_bytes))
            case b"g":
                _refuse_common(_pax(_extension(take, size_bytes)))
            case b"L":
                said["path"] = _text(_extension(take, size_bytes).rstrip(b"\0"))
            case b"K":
                _extension(take, size_bytes)  # where a link leads: links are refused below
            case _:
                return _member(block, flag, size_bytes, said)


def check_rest(take: Take) -> None:
    """That nothing but zeros follows the end mark: a second archive behind it would be lost without a word.

    Raises:
        SourceError: Something does, or too many zeros.
    """
    for _ in range(REST_BYTES >> 16):
        rest = take(1 << 16)
        if any(rest):
            break
        if len(rest) < 1 << 16:
            return
    raise SourceError("something follows the end of the archive", hint="pack it again, as one archive")


def common_folder(paths: Iterable[str]) -> str | None:
    """The one folder that all *paths* are below; None without."""
    heads = {path.partition("/")[0] if "/" in path else None for path in paths}
    return heads.pop() if len(heads) == 1 else None


def below(folder: str | None, path: str) -> str:
    """*path* without *folder*, which it is below."""
    return path if folder is None else path.removeprefix(f"{folder}/")


class Catalogue:
    """The members seen so far, held to what all together must keep.

    Raises:
        HostileName: From `add`: a name comes twice, clashes with another, or there are too many.
    """

    def __init__(self, members: int = MEMBERS) -> None:
        self._together = names.Together()
        self._most = self._left = members

    def add(self, member: Member) -> Member:
        """*member*, when it may stand beside those before it."""
        if self._left <= 0:
            raise HostileName(f"the archive has more than {self._most:,} members", hint="it is not a model")
        self._left -= 1
        if not member.is_folder:
            self._together.add(member.path)
        return member


def _exactly(take: Take, size_bytes: int) -> bytes:
    data = take(size_bytes)
    if len(data) < size_bytes:
        raise SourceError("the archive ends before its end mark", hint="it was cut off when it was made or copied")
    return data


def _checked(block: bytes) -> tuple[int, bytes]:
    """Size and kind that a header says, its checksum checked."""
    written = _number(block[148:156])
    blanked = block[:148] + b" " * 8 + block[156:]
    signed = sum(byte - 256 if byte > 127 else byte for byte in blanked)  # as some old writers added up
    if written not in {sum(blanked), signed}:
        raise SourceError("a header of the archive has a wrong checksum: it is damaged, or is no tar")
    return _number(block[124:136]), block[156:157]


def _number(field: bytes) -> int:
    """A number of a header: octal digits, or big-endian behind a first byte of 0x80."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if not re.fullmatch(rb"[0-7]*", digits):
        raise SourceError(f"a header of the archive has {digits[:12]!r} where a number belongs")
    return int(digits or b"0", 8)


def _extension(take: Take, size_bytes: int) -> bytes:
    if size_bytes > EXTENSION_BYTES:
        raise HostileName(f"the archive has a header of {size_bytes:,} bytes")
    padded = -(-size_bytes // BLOCK_BYTES) * BLOCK_BYTES
    return _exactly(take, padded)[:size_bytes]


def _pax(data: bytes) -> dict[str, str]:
    """What a PAX header says of name and size."""
    said = {}
    for key, value in _records(data):
        if key.startswith(b"GNU.sparse."):
            raise HostileName("the archive has a sparse file in it", hint="pack without `--sparse`")
        if key == b"size":
            said["size"] = str(_pax_size(value))
        elif key == b"path":
            said["path"] = _text(value)
    return said


def _records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    r"""``LENGTH KEY=VALUE\\n``, where the length is that of the whole."""
    while data:
        length, _, _ = data[:12].partition(b" ")
        if not re.fullmatch(rb"[1-9][0-9]{0,7}", length):
            raise SourceError("a PAX header of the archive is damaged")
        record, data = data[: int(length)], data[int(length) :]
        key, equals, value = record[len(length) + 1 : -1].partition(b"=")
        if len(record) < int(length) or record[-1:] != b"\n" or not equals:
            raise SourceError("a PAX header of the archive is damaged")
        yield key, value


def _pax_size(value: bytes) -> int:
    if not re.fullmatch(rb"[0-9]{1,19}", value):
        raise SourceError(f"a PAX header of the archive has {value[:24]!r} where a size belongs")
    return int(value)


def _refuse_common(said: Mapping[str, str]) -> None:
    """A header for all that follows may not say one name, or one size, of them all."""
    if said:
        raise HostileName(f"the archive gives all its members the same {' and '.join(said)}")


def _member(block: bytes, flag: bytes, size_bytes: int, said: Mapping[str, str]) -> Member:
    path = _plain(said.get("path") or _name(block))
    size_bytes = int(said.get("size", size_bytes))
    is_folder = flag == _FOLDER or (flag == b"\0" and path.endswith("/"))
    if not is_folder and flag not in _FILES:
        what = _REFUSED.get(flag, f"of a kind that is not known ({flag!r})")
        fact, _, remedy = what.partition("; ")
        raise HostileName(f"{path!r} in the archive is {fact}", hint=remedy or "pack it without that member")
    if is_folder:
        if size_bytes:
            raise HostileName(f"{path!r} in the archive is a folder with {size_bytes:,} bytes of its own")
        path = path.removesuffix("/")
    if path or not is_folder:
        names.check(path)
    return Member(path=path, size_bytes=size_bytes, is_folder=is_folder)


def _name(block: bytes) -> str:
    """The name in the header itself; POSIX's has its first part elsewhere when it is long."""
    name = block[:100].partition(b"\0")[0]
    prefix = block[345:500].partition(b"\0")[0] if block[257:263] == b"ustar\0" else b""
    return _text(prefix + b"/" + name if prefix else name)


def _plain(name: str) -> str:
    """*name* without the ``./`` that `tar -C folder .` writes before each."""
    while name.startswith("./"):
        name = name[2:]
    return "" if name == "." else name


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise HostileName(f"the name {name[:80]!r} in the archive is not UTF-8") from None
