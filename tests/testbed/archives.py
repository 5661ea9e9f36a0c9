"""Image archives written by hand: a directory tree as one layer, as `docker load` and `ctr images import` read it."""

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path

_PATH = "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def write(archive: Path, name: str, root: Path, command: list[str]) -> None:
    """Write the image *name* of the tree *root* to *archive*, whole or not at all."""
    layer = archive.with_suffix(".layer")
    with tarfile.open(layer, mode="w") as out:
        out.add(root, arcname=".")
    with layer.open("rb") as data:
        diff_id = "sha256:" + hashlib.file_digest(data, "sha256").hexdigest()
    config = json.dumps(
        {
            "architecture": _MACHINES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Cmd": command, "Env": [_PATH]},
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        }
    ).encode()
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    partial = archive.with_suffix(".partial")
    with tarfile.open(partial, "w") as out:
        for member, data in ((config_name, config), ("manifest.json", manifest)):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
        out.add(layer, arcname="layer.tar")
    layer.unlink()
    partial.replace(archive)
