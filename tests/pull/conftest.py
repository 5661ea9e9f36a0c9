"""A model to pull, a volume to pull it to, and the real command while it runs."""

import hashlib
import json
import random
import re
from pathlib import Path

import pytest
from tests.testbed import golden

from lading.testing import web

SIZES = [2_000_000, 1_500_000, 1_200_000, 900_000, 600_000, 300_000, 40_000, 0]
MODEL = {f"part-{number}.bin": random.Random(number).randbytes(size) for number, size in enumerate(SIZES)}
TOTAL = sum(SIZES)


@pytest.fixture
def server():
    """A web server with the model and its checksum file."""
    with web.serving({f"model/{path}": data for path, data in MODEL.items()}) as running:
        running.files["model/SHA256SUMS"] = "".join(
            f"{hashlib.sha256(data).hexdigest()}  {path}\n" for path, data in MODEL.items()
        ).encode()
        yield running


@pytest.fixture
def start(process):
    """Start `lading pull …` as a process whose events are read while it runs."""
    return lambda *arguments, env=None: process("pull", *arguments, "--format", "json", env=env)


def events_until(process, kind, count):
    """Events of a running pull, up to the *count*-th of *kind*; all of them when it ends before."""
    seen = []
    for line in process.stdout:
        seen.append(json.loads(line))
        if sum(event["event"] == kind for event in seen) == count:
            break
    return seen


def pulled(events):
    return {event["path"]: event["size_bytes"] for event in events if event["event"] == "file_pulled"}


def shown(volume: Path):
    """What a person sees on a volume: everything but `.lading`."""
    return sorted(path.name for path in volume.iterdir() if path.name != ".lading") if volume.exists() else []


def tree(folder: Path):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def check_said(case, completed, replace=None):
    """The golden file of what a pull said and how it ended; *replace* names what differs from run to run."""
    said = golden.said(completed)
    for text, name in (replace or {}).items():
        said = said.replace(text, name)
    golden.check("pull", case, re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", said))
