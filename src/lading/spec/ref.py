"""References: where weights are, as one line of text.

::

    ./volume/granite-7b@v2        LocalRef   a folder or file; `@version` picks a version of a model on a volume
    file:///mnt/models/granite-7b LocalRef
    pvc://claim/granite-7b@v2     ClaimRef   a claim in its own namespace
    pvc://demo:claim/granite-7b   ClaimRef   a claim in namespace `demo` (OME's form)
    s3://bucket/prefix/           SourceRef  any other scheme: the source of that name reads the rest
    https://host/model.gguf       SourceRef

`parse` and ``str()`` are inverses, up to ``file://``. Which folder is a volume, and what is a model in it, is decided
by who may look at the file system (`lading.volume`).
"""

import re
from dataclasses import dataclass

from lading.errors import InvalidReference

RESERVED = frozenset({"current", ".lading", "lost+found"})
MODEL_DEPTH = 3
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.DOTALL)
_LOGIN = re.compile(r"[^/@:]*:[^/@]*@")
_CLAIM = re.compile(r"(?:([a-z0-9-]{1,63}):)?([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?:/(.*))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalRef:
    """A folder or file of this machine; *version* names a version of a model on a volume."""

    path: str
    version: str | None = None

    def __str__(self) -> str:
        return self.path + (f"@{self.version}" if self.version else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRef:
    """A model, or all, on a PersistentVolumeClaim; *namespace* None means the caller's own."""

    claim: str
    namespace: str | None = None
    model: str | None = None
    version: str | None = None

    def __str__(self) -> str:
        place = f"{self.namespace}:{self.claim}" if self.namespace else self.claim
        model = f"/{self.model}" if self.model else ""
        return f"pvc://{place}{model}" + (f"@{self.version}" if self.version else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRef:
    """A place of another scheme; *location* is all that follows ``scheme://``, for its source to read."""

    scheme: str
    location: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.location}"

    @property
    def shown(self) -> str:
        """As it may be shown: without user, password and query, any of which may be a secret.

        What looks like a query in ``s3://`` is none: it is part of a key, or names a version.
        """
        if self.scheme == "s3":
            return str(self)
        host, slash, path = self.location.partition("?")[0].partition("/")
        return f"{self.scheme}://{host.rpartition('@')[2]}{slash}{path}"


Reference = LocalRef | ClaimRef | SourceRef


def parse(text: str, *, any_folder: bool = False) -> Reference:
    """The reference that *text* is.

    With *any_folder* what it names on a claim may be any path, unchecked: a folder without a manifest, or a version's
    directory as a storageUri has it.

    Raises:
        InvalidReference: Empty, control characters, or a malformed ``pvc://``.
    """
    if not text.strip() or text != text.strip():
        raise InvalidReference(
            f"{text!r} is not a reference", hint="a folder, or s3://bucket/prefix, https://…, pvc://claim/model"
        )
    if any(ord(char) < 32 or ord(char) == 127 for char in text):
        raise InvalidReference(f"{text!r} has a control character in it")
    match = _SCHEME.fullmatch(text)
    if match is None:
        return _local(text)
    scheme, location = match[1], match[2]
    if scheme == "file":
        if not location.startswith("/"):
            raise InvalidReference(f"{text} names a host; write file:///path or the plain path")
        return _local(location)
    if scheme == "pvc":
        return _claim(text, location, any_folder=any_folder)
    if scheme not in {"http", "https"} and _LOGIN.match(location):
        raise InvalidReference(
            f"a {scheme}:// reference takes no user and password", hint="give them by the environment"
        )
    if not location.strip("/"):
        raise InvalidReference(f"{text} names nothing after {scheme}://")
    return SourceRef(scheme=scheme, location=location)


def check_model(name: str) -> str:
    """*name*, when it may name a model: one to three DNS-safe segments.

    Raises:
        InvalidReference: It may not; the hint offers the nearest name that may.
    """
    segments = name.split("/")
    bad = [segment for segment in segments if not _NAME.fullmatch(segment) or segment in RESERVED]
    if bad or len(segments) > MODEL_DEPTH:
        raise InvalidReference(
            f"{name!r} cannot name a model: one to {MODEL_DEPTH} segments of a-z, 0-9, '-' and '.', none of {', '.join(sorted(RESERVED))}",
            hint=f"call it `{model_name(name)}`",
        )
    return name


def check_version(name: str) -> str:
    """*name*, when it may name a version.

    Raises:
        InvalidReference: It may not.
    """
    if not _NAME.fullmatch(name) or name in RESERVED:
        raise InvalidReference(
            f"{name!r} cannot name a version: a-z, 0-9, '-' and '.', at most 63, not {', '.join(sorted(RESERVED))}",
            hint=f"call it `{model_name(name)}`",
        )
    return name


def model_name(source_name: str) -> str:
    """A safe model name out of any source's name: ``Mistral-Small-24B`` → ``mistral-small-24b``."""
    segments = [
        re.sub(r"[^a-z0-9.]+", "-", part.lower()).strip("-.")[:63].strip("-.") for part in source_name.split("/")
    ]
    kept = [segment if segment not in RESERVED else f"{segment}-model" for segment in segments if segment][
        -MODEL_DEPTH:
    ]
    return "/".join(kept) or "model"


def _local(text: str) -> LocalRef:
    head, at, tail = text.rpartition("@")
    if at and head and not head.endswith("/") and "/" not in tail and _NAME.fullmatch(tail):
        return LocalRef(path=head, version=tail)
    return LocalRef(path=text)


def _claim(text: str, location: str, *, any_folder: bool) -> ClaimRef:
    body, at, version = location.rpartition("@")
    if not at:
        body, version = location, ""
    match = _CLAIM.fullmatch(body.rstrip("/"))
    if match is None or (at and not version):
        raise InvalidReference(f"{text} is not pvc://claim/model[@version] or pvc://namespace:claim/model[@version]")
    return ClaimRef(
        namespace=match[1],
        claim=match[2],
        model=(match[3] if any_folder else check_model(match[3])) if match[3] else None,
        version=check_version(version) if version else None,
    )
