"""`lading --help` beside an empty cyclopts application with as many commands, interleaved: the ratio of processor time."""

import os
import statistics
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from pathlib import Path

from lading.cli.app import COMMANDS

EMPTY = """
import cyclopts
app = cyclopts.App(name="empty", help="Nothing.", version="1")
for name in {names!r}:
    app.command("nowhere:nothing", name=name, help="A command that does nothing.")
app()
"""


def cpu_s(argv: list[str]) -> float:
    """Processor seconds of one process."""
    before = os.times()
    subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    lading = [str(Path(sys.executable).parent / "lading"), "--help"]
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "empty.py"
        script.write_text(EMPTY.format(names=list(COMMANDS)))
        empty = [sys.executable, str(script), "--help"]
        cpu_s(lading), cpu_s(empty)
        pairs = [(cpu_s(lading), cpu_s(empty)) for _ in range(rounds)]
    ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(
        f"lading --help {ours * 1000:.0f} ms, empty application {theirs * 1000:.0f} ms, ratio {ratio:.2f} (goal: at most 1.25)"
    )


if __name__ == "__main__":
    main()
