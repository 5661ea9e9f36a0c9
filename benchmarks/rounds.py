"""A contest: who does the same work beside whom, in interleaved rounds; medians of the ratios within each round.

A round runs everyone once, and each round begins with another, so that what the machine does meanwhile hits all alike.
"""

import json
import os
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

MEASURED = Path(__file__).with_name("measured.py")
ROOT = MEASURED.parents[1]
GIB = 1 << 30
LONGEST_S = 300


@dataclass(frozen=True, kw_only=True)
class Contender:
    """Someone who does the work.

    Attributes:
        argv: The command; it writes below *target*, and its bytes are durable when it ends.
        limit: It is no peer but what the machine can do.
        writes: Whether *target* holds the whole content afterwards.
    """

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    target: Path
    limit: bool = False
    writes: bool = True


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run; `rss_bytes` is that of its largest process."""

    wall_s: float
    cpu_s: float
    rss_bytes: int


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A figure to reach: *peers* (their best) take at least this many times as long as *who*, or *who* uses at most this.

    Attributes:
        kind: ``faster`` than peers, ``limit`` (times the slower of the limits), ``cpu`` (CPU-s per GiB), ``rss`` (bytes).
    """

    kind: str
    figure: float
    who: str
    peers: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Contest:
    """One table.

    Attributes:
        size_bytes, files: What everyone brings.
    """

    name: str
    title: str
    size_bytes: int
    files: int
    contenders: Sequence[Contender]
    goals: Sequence[Goal] = ()
    runs: dict[str, list[Run]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def run(self, rounds: int, *, pretouch: bool) -> None:
        """Run *rounds* rounds; print every command once, and a line per round."""
        for contender in self.contenders:
            print(f"    $ {shown(contender)}")
        for number in range(rounds):
            start = number % len(self.contenders)
            for contender in [*self.contenders[start:], *self.contenders[:start]]:
                self._one(contender, pretouch=pretouch)
            last = ", ".join(f"{one.name} {self.runs[one.name][-1].wall_s:.2f}" for one in self.contenders)
            print(f"  round {number + 1}, seconds: {last}", flush=True)

    def _one(self, contender: Contender, *, pretouch: bool) -> None:
        """One run; whoever fails is out of the contest, and the others go on."""
        try:
            run = self._once(contender, pretouch=pretouch)
        except RuntimeError as error:
            print(f"  {contender.name} is out: {error}", flush=True)
            self.failed[contender.name] = str(error)
            self.contenders = [one for one in self.contenders if one is not contender]
            self.runs.pop(contender.name, None)
            shutil.rmtree(contender.target, ignore_errors=True)
        else:
            self.runs.setdefault(contender.name, []).append(run)

    def _once(self, contender: Contender, *, pretouch: bool) -> Run:
        if pretouch:
            _touch(self.size_bytes)
        os.sync()
        run = measured(contender.argv, contender.environment)
        if contender.writes:
            _check(contender, self.files, self.size_bytes)
        shutil.rmtree(contender.target, ignore_errors=True)
        return run

    def ratios(self, who: str, peer: str) -> list[float]:
        """How many times as long *peer* took, round by round."""
        return [theirs.wall_s / ours.wall_s for ours, theirs in zip(self.runs[who], self.runs[peer], strict=True)]

    def limits(self, who: str) -> list[float]:
        """How many times as long *who* took as the slower limit, round by round."""
        names = [one.name for one in self.contenders if one.limit]
        slower = [
            max(runs, key=lambda run: run.wall_s) for runs in zip(*(self.runs[name] for name in names), strict=True)
        ]
        return [ours.wall_s / limit.wall_s for ours, limit in zip(self.runs[who], slower, strict=True)]

    def figure(self, goal: Goal) -> float:
        """What was reached."""
        runs = self.runs[goal.who]
        match goal.kind:
            case "faster":
                return min(statistics.median(self.ratios(goal.who, peer)) for peer in goal.peers)
            case "limit":
                return statistics.median(self.limits(goal.who))
            case "cpu":
                return statistics.median(run.cpu_s for run in runs) / (self.size_bytes / GIB)
            case "rss":
                return max(run.rss_bytes for run in runs)
        raise ValueError(goal.kind)

    def table(self) -> str:
        """The table, in Markdown, and a line per goal."""
        first = self.contenders[0].name
        lines = [
            f"### {self.title}",
            "",
            f"| | wall, median (best) | MB/s | CPU-s per GiB | largest process | time, in that of {first} |",
            "|---|---|---|---|---|---|",
            *(self._line(contender, first) for contender in self.contenders),
            "",
            *(f"* {self._reached(goal)}" for goal in self._measured_goals()),
            *(f"* {name} failed" for name in self.failed),
        ]
        return "\n".join(lines)

    def _measured_goals(self) -> list[Goal]:
        """Goals of who was measured, with the peers that were."""
        kept = [replace(goal, peers=tuple(peer for peer in goal.peers if peer in self.runs)) for goal in self.goals]
        return [goal for goal in kept if goal.who in self.runs and (goal.peers or goal.kind != "faster")]

    def _line(self, contender: Contender, first: str) -> str:
        runs = self.runs[contender.name]
        wall_s = statistics.median(run.wall_s for run in runs)
        cpu = statistics.median(run.cpu_s for run in runs) / (self.size_bytes / GIB)
        ratios = self.ratios(first, contender.name)
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        return (
            f"| {contender.name} | {wall_s:.2f} s ({min(run.wall_s for run in runs):.2f}) | "
            f"{self.size_bytes / wall_s / 1e6:.0f} | {cpu:.2f} | {max(run.rss_bytes for run in runs) / 1e6:.0f} MB | {spread} |"
        )

    def _reached(self, goal: Goal) -> str:
        figure = self.figure(goal)
        met = figure >= goal.figure if goal.kind == "faster" else figure <= goal.figure
        scale = 1e6 if goal.kind == "rss" else 1
        unit = {"faster": " ×", "limit": " ×", "cpu": " CPU-s/GiB", "rss": " MB"}[goal.kind]
        what = {
            "faster": f"faster than {'the best of ' if len(goal.peers) > 1 else ''}{', '.join(goal.peers)}",
            "limit": "of the slower limit",
            "cpu": "client CPU",
            "rss": "largest process",
        }[goal.kind]
        sign = "≥" if goal.kind == "faster" else "≤"
        return (
            f"{goal.who}: {figure / scale:.2f}{unit} {what} (goal {sign} {goal.figure / scale:g}): "
            f"{'met' if met else 'missed'}"
        )

    def document(self) -> dict[str, object]:
        """All that was measured, for a file."""
        return {
            "name": self.name,
            "size_bytes": self.size_bytes,
            "files": self.files,
            "commands": {one.name: shown(one) for one in self.contenders},
            "runs": {name: [asdict(run) for run in runs] for name, runs in self.runs.items()},
            "goals": [{**asdict(goal), "reached": self.figure(goal)} for goal in self._measured_goals()],
            "failed": self.failed,
        }


def measured(argv: Sequence[str], environment: Mapping[str, str]) -> Run:
    """Run *argv* and measure it.

    Raises:
        RuntimeError: It failed.
    """
    command = [sys.executable, "-S", "-E", str(MEASURED), *argv]
    process = subprocess.Popen(
        command,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        told, said = process.communicate(timeout=LONGEST_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise RuntimeError(f"{shlex.join(argv)} took more than {LONGEST_S} s") from None
    found = json.loads(told)
    if found.pop("exit"):
        raise RuntimeError(f"{shlex.join(argv)} failed: {said[-2000:]}")
    return Run(**found)


def shown(contender: Contender) -> str:
    """The command as one may type it in the checkout, with ``$DIR`` for the folder of the run."""
    text = " ".join(contender.argv[2:]) if contender.argv[:2] == ["sh", "-c"] else shlex.join(contender.argv)
    return text.replace(f"{ROOT}/", "").replace(str(contender.target.parent), "$DIR")


def durable(argv: Sequence[str], target: Path, *, before: str = "") -> list[str]:
    """*argv*, and then the file system of *target* made durable: for a peer that syncs nothing itself."""
    return ["sh", "-c", f"{before}{shlex.join(argv)} && sync --file-system {shlex.quote(str(target))}"]


def at_once(commands: Sequence[Sequence[str]], *, before: str = "") -> list[str]:
    """All *commands* at the same time, and the end of the last."""
    started = "; ".join(f'{shlex.join(command)} & pids="$pids $!"' for command in commands)
    return ["sh", "-c", f"{before}{started}; for pid in $pids; do wait $pid || exit 1; done"]


def _check(contender: Contender, files: int, size_bytes: int) -> None:
    """That all of it is there: a peer that leaves something out is no peer."""
    found = [
        path for path in contender.target.rglob("*") if path.is_file() and not _ours_or_cache(path, contender.target)
    ]
    total = sum(path.stat().st_size for path in found)
    if (len(found), total) != (files, size_bytes):
        raise RuntimeError(
            f"{contender.name} brought {len(found)} files, {total} bytes; there are {files}, {size_bytes}"
        )


def _ours_or_cache(path: Path, root: Path) -> bool:
    """What the tools write beside the content, in directories of dots."""
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _touch(size_bytes: int) -> None:
    """Have the host give this machine memory before a run needs it: virtual machines hand free pages back, and take long."""
    script = f"import mmap\nm = mmap.mmap(-1, {int(size_bytes * 1.25)})\nm.madvise(mmap.MADV_POPULATE_WRITE)"
    subprocess.run([sys.executable, "-c", script], check=False, stderr=subprocess.DEVNULL)
