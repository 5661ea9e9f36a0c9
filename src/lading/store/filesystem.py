"""Whether a folder lies on a local file system: SQLite's WAL needs memory that all its processes share."""

from collections.abc import Mapping
from pathlib import Path

import psutil

from lading.errors import StudyError

#: File systems of several machines. WAL on them corrupts or blocks: https://sqlite.org/wal.html, "all processes using a
#: database must be on the same host computer".
NETWORK = frozenset(
    {
        "nfs", "nfs3", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afs", "afpfs", "ncpfs", "webdav", "davfs",
        "ceph", "glusterfs", "lustre", "gpfs", "beegfs", "ocfs2", "gfs2", "orangefs", "pvfs2", "wekafs",
        "fuse.sshfs", "fuse.s3fs", "fuse.glusterfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.rclone", "fuse.gcsfuse",
        "fuse.mount-s3", "fuse.goofys", "fuse.juicefs", "fuse.blobfuse", "fuse.blobfuse2",
    }
)  # fmt: skip


def kind_of(folder: Path, mounts: Mapping[str, str]) -> str:
    """The type of the file system that holds *folder*, by *mounts* (where → type); empty where it cannot be told."""
    holding = [where for where in mounts if folder.is_relative_to(where)]
    return mounts[max(holding, key=len)].lower() if holding else ""


def mounts() -> dict[str, str]:
    """What is mounted where on this machine, with its type; of two at one place the one on top."""
    return {part.mountpoint: part.fstype for part in psutil.disk_partitions(all=True)}


def require_local(folder: Path) -> None:
    """Refuse a folder on a network file system.

    Raises:
        StudyError: It is on one; its type is named.
    """
    kind = kind_of(folder.absolute().resolve(), mounts())
    if kind in NETWORK:
        raise StudyError(
            f"{folder} is on a network file system ({kind}), where the store of studies would not be safe",
            hint="set LADING_HOME to a folder on a local disk",
        )
