"""`lading ls` of a volume with 1,000 models: the whole process, from exec to exit.

    python benchmarks/ls.py [--models 1000] [--runs 15]

The goal is 300 ms. An empty Python and the import of what every command needs are measured beside it. The time of the
processor is the steadier figure on a busy machine.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lading.spec import units
from lading.volume import find
from lading.weights import layout
from lading.weights.manifest import FileEntry, Manifest, PublishedBy, SourceEntry

FILES = 12  # of a usual Hugging Face model with four shards


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        fill(root, options.models)
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "lading --version": [sys.executable, "-m", "lading", "--version"],
            f"lading ls ({options.models:,} models)": [sys.executable, "-m", "lading", "ls", str(root)],
        }
        taken = {name: [] for name in commands}
        for _ in range(options.runs):
            for name, argv in commands.items():
                taken[name].append(timed(argv))
    for name, found in taken.items():
        wall_s, cpu_s = zip(*found, strict=True)
        shown = [
            units.show_seconds(value) for value in (statistics.median(wall_s), min(wall_s), statistics.median(cpu_s))
        ]
        print(f"{name:<26} median {shown[0]}, best {shown[1]}, processor {shown[2]}")


def timed(argv):
    """Seconds from exec to exit, and of the processor."""
    began, before = time.perf_counter(), os.times()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall_s, after = time.perf_counter() - began, os.times()
    used_s = after.children_user + after.children_system - before.children_user - before.children_system
    return wall_s, used_s


def fill(root, models):
    """A volume with *models* models of one version each: manifests, links and directories, without weights."""
    find.create_volume(root)
    for number in range(models):
        model, version = f"org-{number % 20}/model-{number:04}", "0123456789ab"
        files = tuple(
            FileEntry(path=f"model-{part:05}.safetensors", size_bytes=10**9, sha256="0" * 64) for part in range(FILES)
        )
        manifest = Manifest(
            model=model,
            version=version,
            path=f"{model}/{version}",
            source=SourceEntry(ref=f"s3://models/{model}/", revision="0" * 40),
            format="huggingface",
            files=files,
            published_at="2026-01-01T00:00:00Z",
            published_by=PublishedBy(version="0"),
        )
        path = root / layout.manifest(model, version)
        path.parent.mkdir(parents=True)
        path.write_text(manifest.model_dump_json(indent=2, exclude_none=True))
        (root / layout.version(model, version)).mkdir(parents=True)
        (root / layout.current(model)).symlink_to(version)


if __name__ == "__main__":
    main()
