"""Golden files of what a command says on stderr and how it ends: `check` compares, LADING_GOLDEN=write writes them."""

import os
import re
from pathlib import Path

ROOT = Path(__file__).parent / "golden"


def check(case: str, completed, replace: dict[str, str]) -> None:
    """Compare with ``tests/golden/CASE.txt``; *replace* names what differs from run to run."""
    said = completed.stderr
    for text, name in replace.items():
        said = said.replace(text, name)
    said = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", said)
    found = f"{said}exit code: {completed.returncode}\n"
    path = ROOT / f"{case}.txt"
    if os.environ.get("LADING_GOLDEN") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found)
    assert found == path.read_text()
    assert "Traceback" not in found
