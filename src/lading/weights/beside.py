"""The manifest that a push leaves beside a model's files: where it lies, and how a pull is held to it.

It lies outside the model's own prefix, so that a server which downloads the whole prefix never meets it
(`docs/manifest.md` has the reasons). Names of objects and the text of the manifest are other people's until checked.
"""

import re
from collections.abc import Iterable
from dataclasses import replace

from pydantic import ValidationError

from lading.errors import VerificationFailed
from lading.weights import names
from lading.weights.listing import Entry, Listing
from lading.weights.manifest import FileEntry, Manifest

OURS = ".lading"
_MANIFEST = re.compile(r"(?:^|/)\.lading/(?:manifest\.json$|manifests/)")


def manifest_key(prefix: str) -> str:
    """Where the manifest of what lies below *prefix* is: ``llm/granite/`` → ``llm/.lading/manifests/granite.json``.

    It never begins with *prefix* itself: some readers take that for a mere beginning of keys (``granite`` is also
    ``granite.json``). Of a whole bucket, whose prefix is empty, it is ``.lading/manifest.json``.
    """
    parent, slash, name = prefix.rstrip("/").rpartition("/")
    if not name:
        return f"{OURS}/manifest.json"
    return f"{parent}{slash}{OURS}/manifests/{name}.json"


def is_ours(path: str) -> bool:
    """Whether *path*, from anywhere, is a manifest that a push left: never part of a model."""
    return path.endswith(".json") and bool(_MANIFEST.search(path))


def read(text: bytes, shown: str) -> Manifest:
    """The manifest that *text* is, as it was found beside *shown*.

    Raises:
        VerificationFailed: It is none.
        HostileName: It names a path that must not be written.
    """
    try:
        found = Manifest.model_validate_json(text)
    except ValidationError as error:
        raise VerificationFailed(
            f"the manifest beside {shown} cannot be read: {error.error_count()} faults in it",
            hint="push the model again, or remove the manifest to pull unverified",
        ) from error
    names.check_all(file.path for file in found.files)
    return found


def attested(found: Listing, manifest: Manifest) -> Listing:
    """*found*, each file with the SHA-256 that the *manifest* beside it says; where it came from is known then, too.

    A file that the manifest does not have is named: nothing says what it should be.

    Raises:
        VerificationFailed: A file of the manifest is not there, or has another size.
    """
    entries = {entry.path: entry for entry in found.entries}
    wrong = [problem for file in manifest.files if (problem := _problem(file, entries.get(file.path)))]
    if wrong:
        raise VerificationFailed(
            f"{found.ref} is not what the manifest beside it says: {named(wrong)}",
            hint=f"push {manifest.model}@{manifest.version} there again, or remove the manifest to pull it unverified",
        )
    sums = {file.path: file.sha256 for file in manifest.files}
    held = replace(found, entries=tuple(_with_sum(entry, sums) for entry in found.entries))
    unlisted = [entry.path for entry in found.entries if entry.path not in sums]
    if unlisted:
        note = f"the manifest beside {found.ref} does not have {named(unlisted)}: nothing says what they should be"
        return replace(held, notes=(*found.notes, note))
    return replace(
        held,
        revision=manifest.source.revision,
        version=manifest.version,
        origin=manifest.source.ref,
        format=manifest.format,
    )


def named(paths: Iterable[str], at_most: int = 3) -> str:
    """The first few of *paths*, and how many more there are."""
    every = tuple(paths)
    more = f" and {len(every) - at_most} more" if len(every) > at_most else ""
    return ", ".join(every[:at_most]) + more


def _problem(file: FileEntry, entry: Entry | None) -> str | None:
    if entry is None:
        return f"{file.path} is not there"
    if entry.size_bytes not in {None, file.size_bytes}:
        return f"{file.path} has {entry.size_bytes:,} bytes, not {file.size_bytes:,}"
    return None


def _with_sum(entry: Entry, sums: dict[str, str]) -> Entry:
    return replace(entry, sha256=sums[entry.path]) if entry.path in sums else entry
