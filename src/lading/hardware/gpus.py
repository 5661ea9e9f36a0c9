"""The GPUs of this host, as ``nvidia-smi`` tells them; none where it is not there."""

import shutil
import subprocess
from dataclasses import dataclass

_QUERY = ("index", "name", "memory.total", "memory.used", "compute_cap", "driver_version")
_MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU; *capability* is its compute capability, 9.0 for Hopper."""

    index: int
    name: str
    memory_bytes: int
    used_bytes: int
    capability: float | None
    driver: str


def found() -> tuple[Gpu, ...]:
    """The GPUs, by index."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    query = [program, f"--query-gpu={','.join(_QUERY)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return parsed(done.stdout) if done.returncode == 0 else ()


def parsed(text: str) -> tuple[Gpu, ...]:
    """The GPUs in the output of ``nvidia-smi`` for our query; lines that do not fit are left out."""
    gpus = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) == len(_QUERY) and cells[0].isdigit() and cells[2].isdigit():
            gpus.append(_gpu(cells))
    return tuple(gpus)


def _gpu(cells: list[str]) -> Gpu:
    index, name, total, used, capability, driver = cells
    return Gpu(
        index=int(index),
        name=name,
        memory_bytes=int(total) * _MIB,
        used_bytes=int(used) * _MIB if used.isdigit() else 0,
        capability=float(capability) if capability.replace(".", "", 1).isdigit() else None,
        driver=driver,
    )
