"""What a study ran on: versions and hardware, so that its numbers can be told from those of another day."""

import platform
import sys
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version

from lading.hardware import gpus, host

#: Packages whose version decides what is measured.
PACKAGES = ("lading", "xllamacpp", "vllm", "optuna", "uvloop", "aiohttp", "psutil")


def environment() -> dict[str, object]:
    """Versions and hardware, as plain JSON types. Nothing that names the user or the host's network is in it."""
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "implementation": sys.implementation.name,
        "processor": host.processor(),
        "cpus": host.cpus(),
        "memory_bytes": host.memory_bytes(),
        "gpus": [_gpu(gpu) for gpu in gpus.look().gpus],
        "packages": {name: found for name in PACKAGES if (found := _version(name)) is not None},
    }


def _gpu(gpu: gpus.Gpu) -> dict[str, object]:
    """What decides numbers; not who else is on it."""
    told = asdict(gpu)
    return {
        key: told[key]
        for key in ("index", "name", "memory_bytes", "used_bytes", "capability", "driver", "split", "ecc")
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
