"""What puts load on a server and measures it."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lading.events import Emit
from lading.measure.records import Level
from lading.measure.summary import Summary
from lading.ports.backend import Endpoint
from lading.spec.workload import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelDone:
    """One level measured: its summary is a fold of the records in *record_file*."""

    level: Level
    summary: Summary
    record_file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelLost:
    """One level that could not be measured at all."""

    level: Level
    reason: str


class LoadGenerator(Protocol):
    """Offers a workload to an endpoint: values in, raw record files and events out."""

    async def warm_up(self, endpoint: Endpoint, workload: Workload, *, emit: Emit) -> int:
        """Send requests until throughput is steady (or `workload.warmup` of them); how many were sent.

        Raises:
            MeasurementError: None was answered.
        """

    def run(
        self, endpoint: Endpoint, workload: Workload, directory: Path, *, emit: Emit
    ) -> AsyncGenerator[LevelDone | LevelLost, None]:
        """Measure each level in turn, giving its result as it ends; a level that fails never ends the others.

        The schedule of a level is computed before its first request. Record files are written to *directory*, whole or
        not at all. Closing the generator cancels what is in flight and closes every connection.
        """
