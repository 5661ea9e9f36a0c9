"""What happened to a volume's versions: ``.lading/history.jsonl``, one JSON object per line."""

import json
from pathlib import Path

from lading.spec.clock import utc_now
from lading.volume import fs as files
from lading.volume.fs import Fs


def note(fs: Fs, path: Path, what: str, model: str, version: str, *, previous: str | None = None, mode: int) -> None:
    """Append that *what* (``publish``, ``adopt``, ``repair``, ``use``, ``remove``) happened; *previous* is what `current` named before."""
    line = {"at": utc_now(), "what": what, "model": model, "version": version}
    if previous is not None:
        line["previous"] = previous
    files.append_line(fs, path, json.dumps(line).encode(), mode=mode)
