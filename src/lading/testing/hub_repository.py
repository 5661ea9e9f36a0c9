"""What a hub of `lading.testing.hub` has: repositories with commits, and files as git and LFS name them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

LFS_SUFFIXES = frozenset(
    {".bin", ".ckpt", ".gguf", ".h5", ".joblib", ".msgpack", ".onnx", ".ot", ".pkl", ".pt", ".pth", ".safetensors"}
)
LFS_BYTES = 10 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """A file of a commit: its bytes are *data*, or lie at *place*."""

    size_bytes: int
    sha256: str
    lfs: bool
    data: bytes = b""
    place: Path | None = None

    @classmethod
    def of(cls, path: str, content: bytes | Path) -> "HubFile":
        """The file called *path* in its repository."""
        data, place = (content, None) if isinstance(content, bytes) else (b"", content)
        size_bytes = place.stat().st_size if place else len(data)
        lfs = size_bytes >= LFS_BYTES or PurePosixPath(path).suffix in LFS_SUFFIXES
        return cls(size_bytes=size_bytes, sha256=sha256_of(content), lfs=lfs, data=data, place=place)

    @property
    def oid(self) -> str:
        """Its name in git: of an LFS file, of the pointer to it."""
        return git_blob(self.pointer if self.lfs else self.content())

    @property
    def pointer(self) -> bytes:
        """What git holds of an LFS file."""
        return (
            f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {self.size_bytes}\n".encode()
        )

    def content(self) -> bytes:
        """Its bytes."""
        return self.place.read_bytes() if self.place else self.data

    def listed(self, path: str, *, xet: bool) -> dict[str, Any]:
        """Its line in the tree of a repository."""
        line: dict[str, Any] = {"type": "file", "oid": self.oid, "size": self.size_bytes, "path": path}
        if self.lfs:
            line["lfs"] = {"oid": self.sha256, "size": self.size_bytes, "pointerSize": len(self.pointer)}
            if xet:
                line["xetHash"] = self.sha256[::-1]
        return line


@dataclass(slots=True, kw_only=True)
class Repository:
    """A model's repository.

    Attributes:
        private: Only *readers* are told that it is there.
        gated: Its files are for *readers* alone; everybody sees their list.
        disabled: Taken down by the hub.
        readers: Tokens.
        commits: Files by path, by commit; `refs` are branches and tags.
    """

    id: str
    private: bool = False
    gated: bool = False
    disabled: bool = False
    readers: set[str] = field(default_factory=set)
    commits: dict[str, dict[str, HubFile]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def commit(self, files: Mapping[str, bytes | Path | None], *, branch: str = "main") -> str:
        """Another commit of *branch*: with *files* new or replaced, or removed (None). Gives its id."""
        now = dict(self.commits.get(self.refs.get(branch, ""), {}))
        for path, content in files.items():
            now.pop(path, None)
            if content is not None:
                now[path] = HubFile.of(path, content)
        text = "".join(f"{path} {now[path].oid}\n" for path in sorted(now))
        commit = hashlib.sha1(f"{len(self.commits)} {text}".encode(), usedforsecurity=False).hexdigest()
        self.commits[commit] = now
        self.refs[branch] = commit
        return commit

    def commit_folder(self, folder: Path, *, branch: str = "main") -> str:
        """A commit of all files below *folder*, which are served from there."""
        files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
        return self.commit(files, branch=branch)


def sha256_of(content: bytes | Path) -> str:
    """Of bytes, or of a file; 64 hex digits."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def git_blob(data: bytes) -> str:
    """What git calls *data*."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
