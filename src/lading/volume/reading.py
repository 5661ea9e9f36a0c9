"""Plain files of a volume, opened and hashed where they lie; no link is followed on the way to them."""

import errno
import os
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path

from lading.volume import fs as files
from lading.volume import hashing
from lading.weights import names
from lading.weights.inventory import Seen
from lading.weights.manifest import Manifest

Progress = Callable[[int], None]
"""Told how many more bytes are done (fewer where work begins again); what it raises stops the work."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a planted pipe must not block


def open_plain(root: Path, path: str) -> BufferedReader:
    """The file at *path* below *root*, for reading.

    Raises:
        HostileName: *path* leads out of *root*, or into ``.lading``.
        OSError: It is not there, no plain file, behind a link, or cannot be read.
    """
    *folders, name = [names.check(part) for part in path.split("/")]
    directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in folders:
            inner = os.open(folder, _DIRECTORY, dir_fd=directory)
            os.close(directory)
            directory = inner
        descriptor = os.open(name, _FILE, dir_fd=directory)
    except OSError as error:
        raise _spoken(error, root / path) from error
    finally:
        os.close(directory)
    if not files.is_regular(os.fstat(descriptor)):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no plain file", str(root / path))
    return os.fdopen(descriptor, "rb")


def hash_plain(root: Path, path: str, size_bytes: int, progress: Progress) -> tuple[int, str]:
    """Size and SHA-256 of the file at *path*; the hash is empty where its size is not *size_bytes*, and it is not read.

    Raises:
        HostileName, OSError: As `open_plain`.
    """
    with open_plain(root, path) as opened:
        found_bytes = os.fstat(opened.fileno()).st_size
        if found_bytes != size_bytes:
            return found_bytes, ""
        return found_bytes, hashing.sha256(opened.fileno(), size_bytes, progress)


def look(root: Path, manifest: Manifest) -> tuple[Seen, ...]:
    """Each file of *manifest* as it lies there, in its order: opened, not read."""
    return tuple(_seen(root, manifest, file.path) for file in manifest.files)


def _seen(root: Path, manifest: Manifest, path: str) -> Seen:
    try:
        with open_plain(root, manifest.file_path(path)) as opened:
            return Seen(path=path, size_bytes=os.fstat(opened.fileno()).st_size)
    except (FileNotFoundError, NotADirectoryError):
        return Seen(path=path, problem="missing")
    except OSError as error:
        return Seen(path=path, problem="unreadable", detail=error.strerror or str(error))


def _spoken(error: OSError, path: Path) -> OSError:
    """*error* with the whole path, and in words where a link is what stands in the way."""
    reason = "it is, or lies behind, a link" if error.errno == errno.ELOOP else error.strerror
    return OSError(error.errno, reason, str(path))
