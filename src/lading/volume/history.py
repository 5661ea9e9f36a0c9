"""What happened to a volume's versions: ``.lading/history.jsonl``, one JSON object per line."""

import json
from datetime import UTC, datetime
from pathlib import Path

from lading.volume import fs as files
from lading.volume.fs import Fs


def note(fs: Fs, path: Path, what: str, model: str, version: str, *, previous: str | None = None, mode: int) -> None:
    """Append that *what* (``publish``, ``use``, ``remove``) happened; *previous* is what `current` named before."""
    line = {"at": now(), "what": what, "model": model, "version": version}
    if previous is not None:
        line["previous"] = previous
    files.append_line(fs, path, json.dumps(line).encode(), mode=mode)


def now() -> str:
    """UTC, ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
