"""That a model was signed: its names are checked before its bulk is fetched, its digests before it is published."""

from collections.abc import Callable, Collection, Iterable

from lading.errors import VerificationFailed
from lading.ports.volume import Volume
from lading.weights import signing
from lading.weights.manifest import FileEntry, Manifest

Read = Callable[[str, int, int], bytes]
"""Gives up to so many bytes of the file at a path, from an offset on."""


def require_names(paths: Collection[str], read: Read, key: str, left_out: Collection[str] = ()) -> None:
    """Nothing, when the signature among *paths* is one by *key*, and of just these files.

    Raises:
        VerificationFailed: It is not, or there is none.
    """
    signing.require_covered(_signed(paths, read, key), paths, left_out)


def require(files: Iterable[FileEntry], read: Read, key: str, left_out: Collection[str] = ()) -> None:
    """Nothing, when *files* are just those that were signed by *key*, with their digests.

    Raises:
        VerificationFailed: They are not, or there is no signature among them.
    """
    digests = {file.path: file.sha256 for file in files}
    signing.require(_signed(digests, read, key), digests, left_out)


def require_published(volume: Volume, manifest: Manifest, key: str, left_out: Collection[str] = ()) -> None:
    """As `require`, of the version of *manifest*, by the digests in it.

    Raises:
        VerificationFailed: As `require`; or its signature cannot be read.
    """

    def read(path: str, offset: int, size_bytes: int) -> bytes:
        try:
            with volume.open_file(manifest, path) as file:
                file.seek(offset)
                return file.read(size_bytes)
        except OSError as error:
            raise VerificationFailed(f"{path} of {volume.place(manifest)} cannot be read: {error.strerror}") from error

    require(manifest.files, read, key, left_out)


def _signed(paths: Collection[str], read: Read, key: str) -> signing.Digests:
    if signing.SIGNATURE not in paths:
        raise signing.missing()
    return signing.signed(read(signing.SIGNATURE, 0, signing.SIZE_LIMIT_BYTES + 1), signing.signer(key))
