"""The GPUs of this host, as NVIDIA's own library (NVML) tells them through its package; none where it is not there.

A GPU in MIG mode is shown with its parts: a server can be given a part, or a whole GPU that is not split.
"""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psutil

_DRIVER = Path("/proc/driver/nvidia/version")
#: NVML's error numbers, to what they mean at its start.
_NONE = {
    9: "the NVIDIA driver is not loaded",
    12: "no NVIDIA driver is installed",
    18: "the NVIDIA driver and its library are of different versions: the machine must be started again",
}
_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuProcess:
    """A process on a GPU; *name* is empty where this system does not show it, *memory_bytes* None where it is not told."""

    pid: int
    name: str = ""
    memory_bytes: int | None = None

    @property
    def shown(self) -> str:
        """``python3 (pid 12)``."""
        return f"{self.name or 'a process'} (pid {self.pid})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU, or one MIG part of one.

    Attributes:
        index: NVML's, in the order of the PCI bus; of a part, that of its GPU.
        uuid: ``GPU-…`` or ``MIG-…``: what binds a server to it.
        capability: Compute capability, 9.0 for Hopper; None where it is not told.
        split: In MIG mode: only its parts can be used.
        part_of: The UUID of the GPU that it is a part of.
        ecc: Whether errors of its memory are corrected; None where it cannot.
        processes: Those that hold memory of it, as far as this system shows them.
    """

    index: int
    uuid: str
    name: str
    memory_bytes: int
    used_bytes: int
    free_bytes: int
    capability: float | None = None
    driver: str = ""
    split: bool = False
    part_of: str | None = None
    ecc: bool | None = None
    processes: tuple[GpuProcess, ...] = ()


class Found(NamedTuple):
    """What this host has.

    Attributes:
        gpus: By index, each split one followed by its parts.
        why_none: Why nothing could be asked; None where NVML answered.
        needs_package: There is a driver, and only the package is missing.
        unread: GPUs that do not answer, each with the reason.
    """

    gpus: tuple[Gpu, ...] = ()
    why_none: str | None = None
    needs_package: bool = False
    unread: tuple[str, ...] = ()


def look(nvml: Any = None) -> Found:
    """The GPUs as they are now.

    Args:
        nvml: What answers like the module ``pynvml``; None: that module.
    """
    try:
        nvml = nvml or importlib.import_module("pynvml")
    except ModuleNotFoundError:
        return _without_package()
    try:
        with _opened(nvml):
            return _read(nvml)
    except nvml.NVMLError as error:
        return Found(why_none=_NONE.get(getattr(error, "value", 0), f"NVML says: {_clean(str(error))}"))


def found() -> tuple[Gpu, ...]:
    """The GPUs as they are now, whatever the reason where there are none."""
    return look().gpus


def usable(gpus: Sequence[Gpu]) -> tuple[Gpu, ...]:
    """What a server can be given: parts, and GPUs that are not split."""
    return tuple(gpu for gpu in gpus if not gpu.split)


def visible(gpus: Sequence[Gpu], listed: str | None) -> tuple[Gpu, ...]:
    """Those of the usable *gpus* that ``CUDA_VISIBLE_DEVICES`` lists, in its order; all where it is not set.

    As CUDA reads it: indexes, or beginnings of UUIDs; the first entry that is none ends the list.
    """
    if listed is None:
        return usable(gpus)
    chosen: list[Gpu] = []
    for entry in filter(None, (one.strip() for one in listed.split(","))):
        found = next((gpu for gpu in usable(gpus) if _is(gpu, entry)), None)
        if found is None or found in chosen:
            break
        chosen.append(found)
    return tuple(chosen)


def _is(gpu: Gpu, entry: str) -> bool:
    if entry.isdecimal():
        return gpu.part_of is None and gpu.index == int(entry)
    return entry.startswith(("GPU-", "MIG-")) and gpu.uuid.startswith(entry)


def _without_package() -> Found:
    if not _DRIVER.exists():
        return Found(why_none=_NONE[12])
    return Found(why_none="there is an NVIDIA driver, and the package that asks it is missing", needs_package=True)


@contextmanager
def _opened(nvml: Any) -> Iterator[None]:
    nvml.nvmlInit()
    try:
        yield
    finally:
        nvml.nvmlShutdown()


def _read(nvml: Any) -> Found:
    driver = _clean(nvml.nvmlSystemGetDriverVersion())
    gpus: list[Gpu] = []
    unread: list[str] = []
    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            whole = _gpu(nvml, handle, index=index, driver=driver)
        except nvml.NVMLError as error:  # lost from the bus, or in need of a reset
            unread.append(f"GPU {index}: {_clean(str(error))}")
            continue
        gpus.append(whole)
        gpus += _parts(nvml, handle, whole) if whole.split else ()
    return Found(gpus=tuple(gpus), unread=tuple(unread))


def _gpu(nvml: Any, handle: Any, *, index: int, driver: str) -> Gpu:
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    capability = _told(nvml, nvml.nvmlDeviceGetCudaComputeCapability, handle)
    ecc = _told(nvml, nvml.nvmlDeviceGetEccMode, handle)
    mig = _told(nvml, nvml.nvmlDeviceGetMigMode, handle)
    return Gpu(
        index=index,
        uuid=_clean(nvml.nvmlDeviceGetUUID(handle)),
        name=_clean(nvml.nvmlDeviceGetName(handle)),
        memory_bytes=int(memory.total),
        used_bytes=int(memory.used),
        free_bytes=int(memory.free),
        capability=float(f"{capability[0]}.{capability[1]}") if capability else None,
        driver=driver,
        split=bool(mig and mig[0]),
        ecc=bool(ecc[0]) if ecc else None,
        processes=_processes(nvml, handle),
    )


def _parts(nvml: Any, handle: Any, whole: Gpu) -> Iterator[Gpu]:
    for number in range(_told(nvml, nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
        part = _told(nvml, nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, number)
        memory = _told(nvml, nvml.nvmlDeviceGetMemoryInfo, part) if part is not None else None
        if memory is not None:
            yield Gpu(
                index=whole.index,
                uuid=_clean(nvml.nvmlDeviceGetUUID(part)),
                name=_clean(nvml.nvmlDeviceGetName(part)),
                memory_bytes=int(memory.total),
                used_bytes=int(memory.used),
                free_bytes=int(memory.free),
                capability=whole.capability,
                driver=whole.driver,
                part_of=whole.uuid,
                ecc=whole.ecc,
                processes=_processes(nvml, part),
            )


def _processes(nvml: Any, handle: Any) -> tuple[GpuProcess, ...]:
    """Compute, graphics and MPS clients, by id; one that is several of them once."""
    asked = (
        nvml.nvmlDeviceGetComputeRunningProcesses,
        nvml.nvmlDeviceGetGraphicsRunningProcesses,
        nvml.nvmlDeviceGetMPSComputeRunningProcesses,
    )
    listed = (one for ask in asked for one in _told(nvml, ask, handle) or ())
    found = {int(one.pid): one.usedGpuMemory for one in listed}
    return tuple(
        GpuProcess(pid=pid, name=_process_name(pid), memory_bytes=None if held is None else int(held))
        for pid, held in sorted(found.items())
    )


def _process_name(pid: int) -> str:
    try:
        return _clean(psutil.Process(pid).name())
    except psutil.Error:
        return ""


def _told(nvml: Any, ask: Any, *arguments: Any) -> Any:
    """The answer, None where this GPU, or these rights, do not give it."""
    try:
        return ask(*arguments)
    except nvml.NVMLError:
        return None


def _clean(text: str | bytes) -> str:
    """*text* of a library or a process, fit for a terminal."""
    plain = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return "".join(char for char in plain if char.isprintable()).strip()[:_LONGEST_NAME]
