"""`lading verify` beside what limits it and what it replaces, on files that no cache holds.

    python benchmarks/verify.py [--files 4] [--size 512MB] [--rounds 5] [--folder DIR]

The limit is the slower of the disk (`dd` with direct reads, one per core) and SHA-256 from memory on all cores. `sha256sum` reads the
same files, one after another, as `sha256sum -c` does. Rounds are interleaved, ratios are paired. Goals: 0.9 of the limit, and
2.5 times `sha256sum`.
"""

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lading.spec import units

CORES = os.cpu_count() or 1
PIECE_BYTES = 4 << 20


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--size", type=units.parse_bytes, default=512 * 10**6)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="on the disk to be measured; a temporary one by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        volume = published(Path(folder), options.files, options.size)
        files = sorted((volume / "model" / "v1").iterdir())
        total_bytes = sum(file.stat().st_size for file in files)
        verify = [sys.executable, "-m", "lading", "verify", str(volume), "--quiet"]
        ways = {
            "disk: dd, direct, one per core": lambda: together([dd(file) for file in files]),
            "SHA-256 from memory, all cores": lambda: hashed(total_bytes),
            "sha256sum FILE…": lambda: together([["sha256sum", *map(str, files)]]),
            "lading verify": lambda: together([verify]),
            "lading --version": lambda: together([[sys.executable, "-m", "lading", "--version"]]),
        }
        rates = {way: [] for way in ways}
        for _ in range(options.rounds):
            for way, run in ways.items():
                forget(files)
                rates[way].append(total_bytes / seconds(run))
    tell(rates, total_bytes)


def published(folder, count, size_bytes):
    """A volume with one version of *count* files."""
    source = folder / "source"
    source.mkdir()
    piece = os.urandom(PIECE_BYTES)
    for number in range(count):
        with (source / f"{number}.bin").open("wb") as file:
            for begin in range(0, size_bytes, PIECE_BYTES):
                file.write(piece[: size_bytes - begin])
    pull = ["pull", str(source), str(folder / "volume"), "--model", "model", "--version", "v1", "--expect", "any"]
    subprocess.run([sys.executable, "-m", "lading", *pull], check=True, stdout=subprocess.DEVNULL)
    return folder / "volume"


def forget(files):
    """Drop the files from the page cache."""
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def dd(file):
    return ["dd", f"if={file}", "of=/dev/null", "bs=4M", "iflag=direct", "status=none"]


def together(commands):
    """Run all of them, as many at once as there are cores."""
    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(lambda argv: subprocess.run(argv, check=True, stdout=subprocess.DEVNULL), commands))


def hashed(total_bytes):
    piece = bytes(PIECE_BYTES)

    def one(_):
        digest = hashlib.sha256()
        for _ in range(total_bytes // CORES // PIECE_BYTES):
            digest.update(piece)

    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(one, range(CORES)))


def seconds(run):
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def tell(rates, total_bytes):
    disk, sha, peer, ours, _ = rates.values()
    print(f"{units.show_bytes(total_bytes)}, {CORES} cores, {len(ours)} rounds")
    for way, found in rates.items():
        print(f"{way:<32} {units.show_rate(statistics.median(found))}")
    limit = statistics.median(one / min(two) for one, two in zip(ours, zip(disk, sha, strict=True), strict=True))
    print(f"of the limit: {limit:.2f} (goal 0.9); of sha256sum: {paired(ours, peer):.2f} (goal 2.5)")


def paired(one, other):
    return statistics.median(mine / theirs for mine, theirs in zip(one, other, strict=True))


if __name__ == "__main__":
    main()
