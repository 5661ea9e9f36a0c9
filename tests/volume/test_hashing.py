"""A file hashed as it lies: the digest is that of its bytes, by direct reads and through the cache, whatever its length."""

import errno
import fcntl
import hashlib
import os
import threading

import pytest

from lading.errors import Cancelled
from lading.volume import hashing

PIECE = hashing.PIECE_BYTES


def hashed(path, progress=lambda count: None):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return hashing.sha256(descriptor, path.stat().st_size, progress)
    finally:
        os.close(descriptor)


@pytest.fixture(params=["direct where it works", "through the cache"])
def way(request, monkeypatch):
    if request.param == "through the cache":
        monkeypatch.setattr(hashing, "_go_around_cache", lambda descriptor: False)


@pytest.mark.parametrize(
    "size_bytes", [0, 1, 4095, 4096, 4097, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 513]
)
def test_of_every_length(tmp_path, size_bytes, way):
    """With all bytes told."""
    data = os.urandom(size_bytes)
    (tmp_path / "file").write_bytes(data)
    told = []
    assert hashed(tmp_path / "file", told.append) == hashlib.sha256(data).hexdigest()
    assert sum(told) == size_bytes


def test_a_file_system_that_takes_direct_reads_back_is_read_through_the_cache(tmp_path, monkeypatch):
    """Some grant O_DIRECT and refuse the read, or refuse it in the middle."""
    data = os.urandom(2 * PIECE + 5)
    (tmp_path / "file").write_bytes(data)
    real, refused = os.preadv, []

    def preadv(descriptor, buffers, offset):
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT and offset:
            refused.append(offset)
            raise OSError(errno.EINVAL, "not like this")
        return real(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", preadv)
    assert hashed(tmp_path / "file") == hashlib.sha256(data).hexdigest()
    assert len(refused) <= 1


def test_a_disk_that_cannot_read_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(bytes(PIECE + 1))

    def preadv(descriptor, buffers, offset):
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(os, "preadv", preadv)
    with pytest.raises(OSError, match="no"):
        hashed(tmp_path / "file")


def test_what_progress_raises_stops_it_and_no_thread_is_left(tmp_path):
    (tmp_path / "file").write_bytes(bytes(3 * PIECE))
    told = []

    def progress(count):
        told.append(count)
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        hashed(tmp_path / "file", progress)
    assert len(told) == 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lading-ahead")]
