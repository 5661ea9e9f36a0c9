"""What Jobs did on a volume: a report each, written when a pod begins and when it ends, by rename.

For people and for whoever followed the Job and lost its log; nothing is decided by it.
"""

from pathlib import Path

from pydantic import ValidationError

from lading.answers.jobs import JobReport
from lading.volume import fs as files
from lading.volume.fs import Fs
from lading.volume.staging import Modes
from lading.weights import layout


def read(root: Path, name: str) -> JobReport | None:
    """The report of the Job *name*; None where there is none that can be read."""
    try:
        return JobReport.model_validate_json((root / layout.job(name)).read_bytes())
    except (OSError, ValidationError):
        return None


def write(root: Path, report: JobReport, *, fs: Fs | None = None) -> None:
    """Put *report* in place of the one of that name, durably.

    Raises:
        OSError: The volume refuses.
    """
    fs = fs or Fs()
    modes = Modes.of(root)
    place = root / layout.job(report.job)
    for folder in (place.parent, root / layout.TEMPORARY):
        files.make_directories(fs, folder, mode=modes.directory)
    text = report.model_dump_json(indent=2, exclude_none=True) + "\n"
    files.replace(fs, place, text.encode(), temporary=root / layout.TEMPORARY / f"{report.job}.job", mode=modes.file)
