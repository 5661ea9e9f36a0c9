"""What Hugging Face's own tools keep on this machine: their settings, a token, and a cache of files by content.

The names are theirs (`HF_HOME`, `HF_TOKEN` …), so that a machine on which `hf download` works needs nothing more. The cache is only read:
``models--ORG--NAME`` has `refs` (a branch's commit), `snapshots` (a commit's files, mostly links), `blobs` (contents, called by their
SHA-256, or by git's name for small files) and `trees` (what a commit has).
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lading.errors import InvalidInput, SourceDenied, SourceMissing
from lading.sources.connection import without_user
from lading.weights.listing import Entry

PUBLIC = "https://huggingface.co"
TREE_BYTES = 64 << 20
_TRUE = frozenset({"1", "ON", "YES", "TRUE"})
_SHA256 = re.compile(r"[0-9a-f]{64}")
_OID = re.compile(r"[0-9a-f]{40}")
_TOKEN = re.compile(r"[!-~]{1,4096}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the hub is, as whom it is asked, and what of it is here already.

    Attributes:
        endpoint: Without a trailing slash, user or password.
        login: The header that says who asks; empty: nobody.
        token_from: What to name in a message: the variable or file that has the token; None without one.
        cache: The folder with a folder for each repository.
        offline: Nothing is asked of any server.
    """

    endpoint: str
    login: Mapping[str, str] = field(default_factory=dict, repr=False)
    token_from: str | None = None
    cache: Path
    offline: bool = False


def settings(endpoint: str | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """As `huggingface_hub` reads them; *endpoint* is asked instead of `HF_ENDPOINT`.

    Raises:
        InvalidInput: The endpoint is no address.
        SourceDenied: What should be a token is none.
    """
    home = _path(environment.get("HF_HOME")) or _caches(environment) / "huggingface"
    address, login = _endpoint(endpoint or environment.get("HF_ENDPOINT") or PUBLIC)
    offline = any(_true(environment.get(name)) for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
    token, token_from = _token(environment, home)
    cache = environment.get("HF_HUB_CACHE") or environment.get("HUGGINGFACE_HUB_CACHE")
    return Settings(
        endpoint=address,
        login={"Authorization": f"Bearer {token}"} if token else login,
        token_from=token_from,
        cache=_path(cache) or home / "hub",
        offline=offline,
    )


def cached_file(cache: Path, repo: str, commit: str, path: str, entry: Entry) -> Path | None:
    """The file of the cache that should be *entry*, at *path* of *repo*: it has its name and its size; None without one."""
    folder = _folder(cache, repo)
    content = entry.sha256 or entry.digests.get("git-sha1") or ""
    blob = folder / "blobs" / content if _SHA256.fullmatch(content) or _OID.fullmatch(content) else None
    for file in (blob, _inside(folder / "snapshots" / commit, path)):
        with suppress(OSError):
            if file is not None and file.is_file() and file.stat().st_size == entry.size_bytes:
                return file
    return None


def cached_commit(cache: Path, repo: str, revision: str) -> str:
    """The commit that *revision* was when it was last fetched.

    Raises:
        SourceMissing: The cache does not have it.
    """
    folder = _folder(cache, repo)
    ref = _inside(folder / "refs", revision)
    with suppress(OSError, UnicodeDecodeError):
        if ref is not None and _OID.fullmatch(found := ref.read_text().strip()):
            return found
    if _OID.fullmatch(revision) and (folder / "snapshots" / revision).is_dir():
        return revision
    raise SourceMissing(
        f"HF_HUB_OFFLINE is set, and the cache {cache} does not have {repo} at {revision}",
        hint="unset HF_HUB_OFFLINE, or fetch it where there is a network and bring the folder here",
    )


def cached_entries(cache: Path, repo: str, commit: str) -> Iterator[Entry]:
    """The files of *commit*, from the cache alone, without keys.

    Raises:
        SourceMissing: Files of the commit were never fetched.
    """
    folder = _folder(cache, repo)
    snapshot = folder / "snapshots" / commit
    there = sorted(_walk(snapshot))
    lacking = sorted(_tree(folder, commit) - set(there))
    if lacking or not there:
        named = f"{len(lacking)} of its files, {lacking[0]} first" if lacking else "its files"
        raise SourceMissing(
            f"HF_HUB_OFFLINE is set, and the cache {cache} lacks {named}: {repo} at {commit[:12]}",
            hint="unset HF_HUB_OFFLINE, or fetch the rest where there is a network",
        )
    for path in there:
        file = snapshot / path
        found = file.stat()
        content = file.resolve().name if file.is_symlink() else ""
        if _SHA256.fullmatch(content):
            yield Entry(path=path, size_bytes=found.st_size, sha256=content)
        elif _OID.fullmatch(content):
            yield Entry(path=path, size_bytes=found.st_size, etag=content, digests={"git-sha1": content})
        else:
            yield Entry(path=path, size_bytes=found.st_size, etag=f"{found.st_mtime_ns:x}-{found.st_size:x}")


# -------------------------------------------------------------------------------------------------------------- parts


def _endpoint(text: str) -> tuple[str, dict[str, str]]:
    if not text.startswith(("http://", "https://")):
        raise InvalidInput(f"the hub's endpoint {text!r} is no address", hint=f"HF_ENDPOINT={PUBLIC}, or --endpoint")
    return without_user(text.rstrip("/"))


def _token(environment: Mapping[str, str], home: Path) -> tuple[str | None, str | None]:
    """A token and where it is from: the environment's, else the one that `hf auth login` left in a file."""
    if _true(environment.get("HF_HUB_DISABLE_IMPLICIT_TOKEN")):
        return None, None
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if token := environment.get(name, "").strip():
            return _checked(token, name), name
    file = _path(environment.get("HF_TOKEN_PATH")) or home / "token"
    try:
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None, None
    return (_checked(token, str(file)), str(file)) if token else (None, None)


def _checked(token: str, place: str) -> str:
    """*token*, unless it cannot stand in a header: then it is something else, and is not shown."""
    if not _TOKEN.fullmatch(token):
        raise SourceDenied(
            f"{place} has no token: there are spaces, line ends or other signs in it",
            hint=f"put one word there, as {PUBLIC}/settings/tokens shows it",
        )
    return token


def _folder(cache: Path, repo: str) -> Path:
    return cache / f"models--{repo.replace('/', '--')}"


def _inside(folder: Path, path: str) -> Path | None:
    """*path* below *folder*; None where it is written so as to lead out of it."""
    parts = path.split("/")
    return None if {"", ".", ".."} & set(parts) or "\0" in path else folder.joinpath(*parts)


def _walk(snapshot: Path) -> Iterator[str]:
    for folder, _, names in os.walk(snapshot):
        for name in names:
            file = Path(folder, name)
            if file.is_file():
                yield file.relative_to(snapshot).as_posix()


def _tree(folder: Path, commit: str) -> set[str]:
    """All paths of *commit*, where newer tools noted them."""
    with suppress(OSError, ValueError, RecursionError):
        with (folder / "trees" / f"{commit}.json").open("rb") as file:
            document: Any = json.loads(file.read(TREE_BYTES))
        if isinstance(document, dict) and isinstance(document.get("files"), dict):
            return {str(path) for path in document["files"]}
    return set()


def _caches(environment: Mapping[str, str]) -> Path:
    return _path(environment.get("XDG_CACHE_HOME") or "~/.cache") or Path()


def _path(text: str | None) -> Path | None:
    return Path(os.path.expanduser(os.path.expandvars(text))) if text else None  # noqa: PTH111 - no error without a home


def _true(text: str | None) -> bool:
    return (text or "").upper() in _TRUE
