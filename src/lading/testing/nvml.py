"""An NVML that is not there: the functions of ``pynvml`` that Lading calls, over GPUs of a test's making.

It passes the contract of the real one (`lading.testing.gpus`).
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

UNINITIALIZED, INVALID_ARGUMENT, NOT_SUPPORTED, NOT_FOUND = 1, 2, 3, 6
DRIVER_NOT_LOADED, LIBRARY_NOT_FOUND, GPU_IS_LOST = 9, 12, 15
_GIB = 2**30


class NVMLError(Exception):
    """As NVML's own: a number in *value*."""

    def __init__(self, value: int) -> None:
        super().__init__(f"NVML error {value}")
        self.value = value


@dataclass
class FakeGpu:
    """One GPU, or a part of one.

    Attributes:
        held: Bytes by process id.
        reserved_bytes: What the driver keeps.
        ecc: None: not supported.
        parts: None: MIG is not supported; a list: its parts; MIG mode is on where *split*.
        lost: It has fallen from the bus: every question about it fails.
        tells_memory: Whether it says how much each process holds.
    """

    name: str = "NVIDIA H200"
    memory_bytes: int = 141 * _GIB
    uuid: str = ""
    capability: tuple[int, int] = (9, 0)
    reserved_bytes: int = 600 * 2**20
    ecc: bool | None = True
    parts: "list[FakeGpu] | None" = None
    split: bool = False
    lost: bool = False
    tells_memory: bool = True
    held: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.uuid = self.uuid or f"GPU-{secrets.token_hex(4)}-{secrets.token_hex(2)}-{secrets.token_hex(6)}"

    @property
    def used_bytes(self) -> int:
        """As NVML counts it: with the driver's own and that of its parts."""
        return self.reserved_bytes + sum(self.held.values()) + sum(part.used_bytes for part in self.parts or ())


class FakeNvml:
    """Stands where the module ``pynvml`` does.

    Args:
        gpus: By index.
        broken: The error that `nvmlInit` gives; None: it works.
    """

    NVMLError = NVMLError

    def __init__(self, *gpus: FakeGpu, broken: int | None = None) -> None:
        self.gpus = list(gpus)
        self.broken = broken
        self.opened = 0

    @contextmanager
    def holding(self, uuid: str, size_bytes: int, *, pid: int) -> Iterator[int]:
        """A process that holds memory of a GPU meanwhile."""
        gpu = next(gpu for gpu in self._all() if gpu.uuid == uuid)
        gpu.held[pid] = gpu.held.get(pid, 0) + size_bytes
        try:
            yield pid
        finally:
            gpu.held.pop(pid, None)

    # ------------------------------------------------------------------------------------------- as pynvml names them

    def nvmlInit(self) -> None:  # noqa: N802
        """May be called again; each call wants its own `nvmlShutdown`."""
        if self.broken is not None:
            raise NVMLError(self.broken)
        self.opened += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        """The other half of `nvmlInit`."""
        self._require_open()
        self.opened -= 1

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        """Of the driver."""
        self._require_open()
        return "570.86.15"

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        """Of whole GPUs."""
        self._require_open()
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> FakeGpu:  # noqa: N802
        """What the others take."""
        self._require_open()
        if not 0 <= index < len(self.gpus):
            raise NVMLError(INVALID_ARGUMENT)
        return self._asked(self.gpus[index])

    def nvmlDeviceGetUUID(self, handle: FakeGpu) -> str:  # noqa: N802
        """``GPU-…`` or ``MIG-…``."""
        return self._asked(handle).uuid

    def nvmlDeviceGetName(self, handle: FakeGpu) -> str:  # noqa: N802
        """The product."""
        return self._asked(handle).name

    def nvmlDeviceGetMemoryInfo(self, handle: FakeGpu) -> Any:  # noqa: N802
        """Bytes: total, used, free."""
        gpu = self._asked(handle)
        return SimpleNamespace(total=gpu.memory_bytes, used=gpu.used_bytes, free=gpu.memory_bytes - gpu.used_bytes)

    def nvmlDeviceGetCudaComputeCapability(self, handle: FakeGpu) -> tuple[int, int]:  # noqa: N802
        """Major and minor."""
        return self._asked(handle).capability

    def nvmlDeviceGetEccMode(self, handle: FakeGpu) -> list[int]:  # noqa: N802
        """Now, and after the next start."""
        gpu = self._asked(handle)
        if gpu.ecc is None:
            raise NVMLError(NOT_SUPPORTED)
        return [int(gpu.ecc), int(gpu.ecc)]

    def nvmlDeviceGetMigMode(self, handle: FakeGpu) -> list[int]:  # noqa: N802
        """Now, and after the next start."""
        gpu = self._asked(handle)
        if gpu.parts is None:
            raise NVMLError(NOT_SUPPORTED)
        return [int(gpu.split), int(gpu.split)]

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: FakeGpu) -> int:  # noqa: N802
        """How many parts there may be."""
        return 0 if self._asked(handle).parts is None else 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: FakeGpu, index: int) -> FakeGpu:  # noqa: N802
        """A part; not every index has one."""
        parts = self._asked(handle).parts or []
        if index >= len(parts):
            raise NVMLError(NOT_FOUND)
        return parts[index]

    def nvmlDeviceGetComputeRunningProcesses(self, handle: FakeGpu) -> list[Any]:  # noqa: N802
        """Processes with a CUDA context."""
        gpu = self._asked(handle)
        return [
            SimpleNamespace(pid=pid, usedGpuMemory=held if gpu.tells_memory else None) for pid, held in gpu.held.items()
        ]

    def nvmlDeviceGetGraphicsRunningProcesses(self, handle: FakeGpu) -> list[Any]:  # noqa: N802
        """None of these."""
        self._asked(handle)
        return []

    def nvmlDeviceGetMPSComputeRunningProcesses(self, handle: FakeGpu) -> list[Any]:  # noqa: N802
        """None of these, and some drivers do not know the question."""
        self._asked(handle)
        raise NVMLError(NOT_SUPPORTED)

    def _all(self) -> Iterator[FakeGpu]:
        for gpu in self.gpus:
            yield gpu
            yield from gpu.parts or ()

    def _asked(self, gpu: FakeGpu) -> FakeGpu:
        self._require_open()
        if gpu.lost:
            raise NVMLError(GPU_IS_LOST)
        return gpu

    def _require_open(self) -> None:
        if not self.opened:
            raise NVMLError(UNINITIALIZED)
