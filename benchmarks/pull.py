"""Pull of 2 GB from MinIO to disk with SHA-256, beside `mc mirror` and sync, in one run.

    python benchmarks/pull.py [--rounds 5] [--gigabytes 2] [--folder DIR]

Both commands are started as a user starts them; each round runs both, in turn first, and gives one ratio. Durable means:
`lading pull` syncs every file before it is published; `mc mirror` is followed by `sync --file-system`. `mc` verifies
nothing in that time. The physical limit beside them is the slower of reading all from the server and writing all to disk.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.testbed import minio as testbed

FILES = 4


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to measure; a temporary one by default")
    arguments = parser.parse_args()
    testbed.prepare()
    with (
        tempfile.TemporaryDirectory(dir=arguments.folder, prefix="lading-bench-") as folder,
        testbed.running(_made(Path(folder) / "minio")) as server,
    ):
        run(server, Path(folder), arguments.rounds, int(arguments.gigabytes * 1e9))


def run(server, folder, rounds, size_bytes):
    fill(server, size_bytes)
    environment = {
        **os.environ,
        **server.environment,
        "MC_CONFIG_DIR": str(folder / "mc"),
        "LADING_HOME": str(folder / "home"),
    }
    environment["MC_HOST_bench"] = server.endpoint.replace("//", f"//{server.access_key}:{server.secret_key}@")
    seconds = {"lading": [], "mc": [], "limit": []}
    cpu = {"lading": [], "mc": []}
    for number in range(rounds):
        for name in ("lading", "mc") if number % 2 == 0 else ("mc", "lading"):
            took, used = timed(COMMANDS[name](server, folder / "target"), folder, environment)
            seconds[name].append(took)
            cpu[name].append(used)
            shutil.rmtree(folder / "target")
        seconds["limit"].append(limit(server, folder, size_bytes))
        print(
            f"round {number + 1}: " + ", ".join(f"{name} {values[-1]:.2f} s" for name, values in seconds.items()),
            flush=True,
        )
    report(seconds, cpu, size_bytes)


def lading(server, target):
    argv = [sys.executable, "-m", "lading", "pull", "s3://bench/model", str(target), "--endpoint", server.endpoint]
    return [*argv, "--expect", "any", "--quiet"]


def mc(_server, target):
    copy = f"{testbed.program('mc')} mirror --quiet bench/bench/model {target}"
    return ["sh", "-c", f"{copy} > /dev/null && sync --file-system {target}"]


COMMANDS = {"lading": lading, "mc": mc}


def timed(argv, folder, environment):
    """Wall seconds, and CPU-seconds of the command with its children."""
    os.sync()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    subprocess.run(argv, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    took = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def limit(server, folder, size_bytes):
    """The slower of: all from the server to nowhere, all from memory to the disk; four at once each."""
    urls = [
        server.client().generate_presigned_url(
            "get_object", Params={"Bucket": "bench", "Key": f"model/shard-{number}.bin"}
        )
        for number in range(FILES)
    ]
    read = together([["curl", "-sf", "-o", os.devnull, url] for url in urls])
    blocks = size_bytes // FILES // (4 << 20)
    target = folder / "limit"
    target.mkdir()
    write = together(
        [["dd", "if=/dev/zero", f"of={target / str(number)}", "bs=4M", f"count={blocks}", "oflag=direct", "status=none"]
         for number in range(FILES)]
    )  # fmt: skip
    shutil.rmtree(target)
    return max(read, write)


def together(commands):
    began = time.monotonic()
    with ThreadPoolExecutor(len(commands)) as pool:
        list(pool.map(lambda argv: subprocess.run(argv, check=True), commands))
    return time.monotonic() - began


def fill(server, size_bytes):
    """Four objects of random bytes, and a small one."""
    client = server.client()
    client.create_bucket(Bucket="bench")
    data = os.urandom(size_bytes // FILES)
    for number in range(FILES):
        client.put_object(Bucket="bench", Key=f"model/shard-{number}.bin", Body=data)
    client.put_object(Bucket="bench", Key="model/config.json", Body=json.dumps({}).encode())


def report(seconds, cpu, size_bytes):
    ratios = [mc / ours for ours, mc in zip(seconds["lading"], seconds["mc"], strict=True)]
    limits = [ours / best for ours, best in zip(seconds["lading"], seconds["limit"], strict=True)]
    for name, values in seconds.items():
        used = f", {statistics.median(cpu[name]):.2f} CPU-s" if name in cpu else ""
        print(
            f"{name}: median {statistics.median(values):.2f} s, {size_bytes / statistics.median(values) / 1e6:.0f} MB/s{used}"
        )
    print(
        f"mc / lading: median {statistics.median(ratios):.2f} of {len(ratios)} rounds ({min(ratios):.2f} to {max(ratios):.2f})"
    )
    print(f"lading / limit: median {statistics.median(limits):.2f}")


def _made(folder):
    folder.mkdir()
    return folder


if __name__ == "__main__":
    main()
