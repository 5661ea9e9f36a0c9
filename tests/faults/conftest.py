"""A model behind a server that fails on purpose, a volume, and what must hold of it whatever happened."""

import hashlib
import json
import os
import random
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import pytest
from tests.testbed import golden

import lading
from lading.errors import LadingError
from lading.testing import faulty

SOAK = bool(os.environ.get("LADING_SOAK"))
MIB = 1 << 20


def model(*sizes_bytes, seed=0):
    """Files of these sizes, of bytes that no compression and no shift leaves alike."""
    return {
        f"part-{number}.bin": random.Random(seed + number).randbytes(size) for number, size in enumerate(sizes_bytes)
    }


def sums(content):
    return "".join(f"{hashlib.sha256(data).hexdigest()}  {path}\n" for path, data in content.items()).encode()


SMALL = model(700_000, 300_000, 5_000, 0)
BIG = model(17 * MIB, 300_000)  # two requests for the first file


@dataclass
class Bed:
    """One server and one volume. *content* is what a complete model is; *also* what it may be instead."""

    server: faulty.Server
    files: faulty.Files
    volume: Path
    content: dict[str, bytes]
    also: list[dict[str, bytes]] = field(default_factory=list)

    @property
    def stopping(self):
        return self.server.stopping

    @property
    def address(self):
        return f"{self.server.url}/model/SHA256SUMS"

    def put(self, content, *, listed=True):
        """Other content at the source; *listed*: also in its list of digests."""
        self.files.files.update({f"model/{path}": data for path, data in content.items()})
        if listed:
            self.files.files["model/SHA256SUMS"] = sums(content)
        self.also.append(content)

    def pull(self, **options):
        return lading.pull(self.address, self.volume, **{"expect": "any", "model": "model", **options})

    def check(self, *, published):
        """Whole versions of right bytes only, nothing beside them; *published*: and there is one."""
        shown = whole_only(self.volume, [self.content, *self.also])
        assert bool(shown) == published


@pytest.fixture
def bed(tmp_path):
    """Makes beds: ``bed(content)``; their servers are ended."""
    with Beds(tmp_path) as beds:
        yield beds


class Beds:
    """Makes beds, in several threads at once; ends their servers and removes their volumes."""

    def __init__(self, folder):
        self._folder = folder
        self._open = []
        self._lock = Lock()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for context, volume in self._open:
            context.__exit__(None, None, None)
            shutil.rmtree(volume, ignore_errors=True)

    def __call__(self, content=SMALL):
        """*content*: of files, or an origin of its own."""
        if callable(content):
            files, content = content, {}
        else:
            files = faulty.Files({f"model/{path}": data for path, data in content.items()})
            files.files["model/SHA256SUMS"] = sums(content)
        context = faulty.serving(files)
        with self._lock:
            volume = self._folder / f"volume-{len(self._open)}"
            server = context.__enter__()
            self._open.append((context, volume))
        return Bed(server, files, volume, content)


def whole_only(volume, contents):
    """The versions that a person sees on *volume*, each checked against *contents*; nothing else is visible."""
    if not volume.exists():
        return []
    found = []
    manifests = volume / ".lading" / "manifests"
    for model_folder in (path for path in volume.iterdir() if path.name != ".lading"):
        versions = [path for path in model_folder.iterdir() if path.name != "current"]
        for version in versions:
            assert (manifests / model_folder.name / f"{version.name}.json").exists(), f"{version} has no manifest"
            assert _bytes_of(version) in contents, f"{version} has wrong bytes"
            found.append(version)
        assert versions, f"{model_folder} is empty"
    listed = {path.with_suffix("").relative_to(manifests).as_posix() for path in manifests.rglob("*.json")}
    assert listed == {path.relative_to(volume).as_posix() for path in found}
    return found


def _bytes_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if not path.is_dir()}


def outcome(act):
    """What *act* gives, or the error that it tells a user; any other exception is a bug."""
    try:
        return act()
    except LadingError as error:
        return error


def check_told(case, error, replace=None):
    """The golden sentence of an error, and its hint."""
    text = f"{type(error).__name__}: {error.message}\nhint: {error.hint}\n"
    for found, name in (replace or {}).items():
        text = text.replace(found, name)
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text)
    golden.check("faults", case, text)


@pytest.fixture(scope="module")
def at_once(tmp_path_factory):
    """Runs a table of scenarios in a few threads, as most of them wait; gives the future of each by its name."""
    folder = tmp_path_factory.mktemp("at-once")
    pool = ThreadPoolExecutor(8)
    with Beds(folder) as beds:
        yield lambda table, run: {case.name: pool.submit(run, case, beds) for case in table}
        pool.shutdown(wait=True, cancel_futures=True)


def events(text):
    return [json.loads(line) for line in text.splitlines()]
