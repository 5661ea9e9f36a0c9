"""Golden files: text a person reads, kept as it was approved. ``LADING_GOLDEN=write`` writes them anew, to be read in the diff."""

import os
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "golden"


def check(area: str, case: str, text: str) -> None:
    """Compare *text* with ``tests/golden/AREA/CASE.txt``."""
    path = FOLDER / area / f"{case}.txt"
    if os.environ.get("LADING_GOLDEN") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    expected = (
        path.read_text(encoding="utf-8") if path.exists() else f"(no {path.name} yet: LADING_GOLDEN=write makes it)"
    )
    assert text == expected


def said(result) -> str:
    """A finished command's stderr and exit code, as they are kept."""
    return f"{result.stderr}exit code {result.returncode}\n"
