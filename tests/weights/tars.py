"""Tar archives for tests: of members that are bytes, folders, or whatever a hostile writer makes of them."""

import bz2
import gzip
import io
import lzma
import tarfile
from functools import partial

import pytest


def packed(members, *, form=tarfile.PAX_FORMAT):
    """*members*: name to bytes, to None for a folder, or to a TarInfo."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=form) as tar:
        for name, what in members.items():
            info = what if isinstance(what, tarfile.TarInfo) else tarfile.TarInfo(name)
            if what is None:
                info.type = tarfile.DIRTYPE
            data = what if isinstance(what, bytes) else b""
            info.size = len(data) if isinstance(what, bytes) else info.size
            tar.addfile(info, io.BytesIO(data))
    return raw.getvalue()


def entry(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zst(data):
    return pytest.importorskip("backports.zstd").compress(data)


COMPRESS = {
    "tar": bytes,
    "tar.gz": gzip.compress,
    "tar.bz2": bz2.compress,
    "tar.xz": partial(lzma.compress, preset=0),
    "tar.zst": zst,
}
