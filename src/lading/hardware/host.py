"""What this host has: cores and memory that this process may really use, within its affinity and its control group."""

import os
import platform
import sys
from pathlib import Path

import psutil

from lading.engines.base import HardwareFacts
from lading.hardware import gpus

_CGROUP = Path("/sys/fs/cgroup")


def facts() -> HardwareFacts:
    """What a server started here would have: GPUs that it would see, with the numbers of the smallest."""
    found = gpus.visible(gpus.look().gpus, os.environ.get("CUDA_VISIBLE_DEVICES"))
    return HardwareFacts(
        cpus=cpus(),
        memory_bytes=memory_bytes(),
        gpus=len(found),
        gpu_memory_bytes=min((gpu.memory_bytes for gpu in found), default=None),
        gpu_capability=min((gpu.capability for gpu in found if gpu.capability is not None), default=None),
    )


def cpus() -> int:
    """Cores this process may use: its affinity, and the quota of its control group rounded up."""
    allowed = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    quota = cpu_quota()
    return allowed if quota is None else max(1, min(allowed, -int(-quota // 1)))


def cpu_quota(root: Path = _CGROUP) -> float | None:
    """Cores the control group may use in all, None without a limit."""
    limits = []
    for folder in _groups(root):
        words = _words(folder / "cpu.max")  # version 2: "200000 100000" or "max 100000"
        if len(words) == 2 and words[0].isdigit():
            limits.append(int(words[0]) / int(words[1]))
    quota, period = _words(root / "cpu/cpu.cfs_quota_us"), _words(root / "cpu/cpu.cfs_period_us")  # version 1
    if quota and period and int(quota[0]) > 0:
        limits.append(int(quota[0]) / int(period[0]))
    return min(limits, default=None)


def memory_bytes() -> int:
    """Memory this process may use: the machine's, or the limit of its control group."""
    limit = memory_limit()
    total = int(psutil.virtual_memory().total)
    return total if limit is None else min(total, limit)


def memory_limit(root: Path = _CGROUP) -> int | None:
    """Bytes the control group may use, None without a limit."""
    files = [*(folder / "memory.max" for folder in _groups(root)), root / "memory/memory.limit_in_bytes"]
    limits = [int(words[0]) for words in map(_words, files) if words and words[0].isdigit()]
    return min(limits, default=None)


def processor() -> str:
    """The processor's name, as far as it is told."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _groups(root: Path) -> list[Path]:
    """This process's control group (version 2) and all above it: each may set a limit."""
    lines = [line for line in _lines(Path("/proc/self/cgroup")) if line.startswith("0::")]
    own = lines[0].removeprefix("0::").strip("/") if lines else ""
    parts = [part for part in own.split("/") if part not in {"", ".."}]
    return [root.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1)]


def _words(path: Path) -> list[str]:
    lines = _lines(path)
    return lines[0].split() if lines else []


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
