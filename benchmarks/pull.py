"""`lading pull` beside what people use instead and beside what the machine can do: the table of README.md.

    python benchmarks/pull.py [--rounds 5] [--only s3 hub …] [--json FILE] [--folder DIR] [--gigabytes 2] [--small 10000]
    python benchmarks/pull.py --quick          a smoke: 50 MB, 200 small files, one round

Client and server share this machine. Everyone's bytes are durable when its time ends: Lading syncs what it publishes, the others are
followed by `sync --file-system`. After each run all files and bytes are counted; they lie in the page cache of the server beforehand.
Memory is touched before each run of big files (`--no-pretouch`): virtual machines hand free pages back to their host and take long to
get them again, which hits whoever runs first. Needs the test bed: `make testbed`, or `python -m tests.testbed minio peers`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.peers import Store
from benchmarks.rounds import Contest, Goal
from tests.testbed import minio as testbed
from tests.testbed import peers as installed
from tests.testbed import pki

from benchmarks import material, peers
from lading.testing import hub as hubs

PEERS = ("mc mirror + sync", "s5cmd + sync", "rclone + sync")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=[*CONTESTS], default=[*CONTESTS])
    parser.add_argument("--json", type=Path, help="write everything measured to this file")
    parser.add_argument("--folder", type=Path, help="on the disk to measure; a temporary one by default")
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--small", type=int, default=10_000, help="how many small files")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--pretouch", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.gigabytes, options.small, options.pretouch = 1, 0.05, 200, False
    testbed.prepare()
    installed.prepare()
    documents = []
    for name in options.only:
        with tempfile.TemporaryDirectory(dir=options.folder, prefix="lading-bench-") as folder:
            with CONTESTS[name](Path(folder), options) as contest:
                print(f"{contest.title}: {contest.files:,} files, {contest.size_bytes / 1e9:.2f} GB", flush=True)
                contest.run(options.rounds, pretouch=options.pretouch and name != "small")
            print(f"\n{contest.table()}\n", flush=True)
            documents.append(contest.document())
            if options.json:
                options.json.write_text(json.dumps(documents, indent=1))


@contextmanager
def s3(folder: Path, options) -> Iterator[Contest]:
    """Big files from S3."""
    with _store(folder, _model(folder, options)) as store:
        files, size_bytes = material.measure(folder / "model")
        shards = sorted(path.name for path in (folder / "model").glob("*.safetensors"))
        yield Contest(
            name="s3",
            title="S3 to disk, SHA-256 of every byte",
            size_bytes=size_bytes,
            files=files,
            contenders=[
                peers.lading(store), peers.lading_crc64(store), peers.mc(store), peers.s5cmd(store), peers.rclone(store),
                peers.kserve(store), peers.receive(store, shards), peers.write(store, len(shards), size_bytes),
            ],
            goals=[
                Goal(kind="limit", figure=1.7, who="lading"),
                Goal(kind="limit", figure=1.4, who="engine, CRC64NVME alone"),
                Goal(kind="faster", figure=1.3, who="lading", peers=PEERS),
                Goal(kind="faster", figure=2.7, who="lading", peers=("KServe's way + sync",)),
                Goal(kind="cpu", figure=1.1, who="lading"),
                Goal(kind="rss", figure=200e6, who="lading"),
            ],
        )  # fmt: skip


@contextmanager
def hub(folder: Path, options) -> Iterator[Contest]:
    """Big files from a hub."""
    model = _model(folder, options)
    files, size_bytes = material.measure(model)
    with hubs.serving() as server:
        server.repository("bench/model").commit_folder(model)
        yield Contest(
            name="hub",
            title="A hub's repository to disk",
            size_bytes=size_bytes,
            files=files,
            contenders=peers.hub(server.url, "bench/model", folder),
            goals=[Goal(kind="faster", figure=3.0, who="lading", peers=("snapshot_download + sync",))],
        )


@contextmanager
def small(folder: Path, options) -> Iterator[Contest]:
    """Thousands of small files from S3."""
    with _store(folder, material.small(folder / "model", options.small)) as store:
        files, size_bytes = material.measure(folder / "model")
        yield Contest(
            name="small",
            title="Files of 2 to 64 KB from S3 to disk",
            size_bytes=size_bytes,
            files=files,
            contenders=[peers.lading(store), peers.s5cmd(store), peers.rclone(store), peers.mc(store)],
            goals=[Goal(kind="faster", figure=1.0, who="lading", peers=("s5cmd + sync",))],
        )


@contextmanager
def tls(folder: Path, options) -> Iterator[Contest]:
    """Big files from S3 over TLS."""
    with _store(folder, _model(folder, options), secure=True) as store:
        files, size_bytes = material.measure(folder / "model")
        yield Contest(
            name="tls",
            title="S3 over TLS to disk",
            size_bytes=size_bytes,
            files=files,
            contenders=[
                peers.lading(store, "lading[tls]"),
                peers.lading(store, "lading without it", PYTHONPATH=str(_without_pycurl(folder))),
                peers.mc(store), peers.s5cmd(store),
            ],
            goals=[Goal(kind="faster", figure=1.0, who="lading[tls]", peers=("s5cmd + sync",))],
        )  # fmt: skip


CONTESTS = {"s3": s3, "hub": hub, "small": small, "tls": tls}


def _model(folder: Path, options) -> Path:
    return material.model(folder / "model", int(options.gigabytes * 1e9))


@contextmanager
def _store(folder: Path, model: Path, *, secure: bool = False) -> Iterator[Store]:
    """A MinIO that has *model*, readable by anyone, so that curl needs no signature."""
    (folder / "minio").mkdir()
    certificates = pki.for_server(folder / "certificates") if secure else None
    with testbed.running(folder / "minio", certificates=certificates) as server:
        store = Store(server=server, bucket="bench", prefix="model", folder=folder)
        client = server.client()
        client.create_bucket(Bucket=store.bucket)
        read = {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{store.bucket}/*",
        }
        client.put_bucket_policy(Bucket=store.bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [read]}))
        if certificates is not None:
            trusted = folder / "mc" / "certs" / "CAs"
            trusted.mkdir(parents=True)
            (trusted / "ca.crt").write_bytes(certificates.authority.read_bytes())
        put = [str(installed.program("mc")), "--quiet", "cp", "--recursive", "--checksum", "CRC64NVME"]
        put += [f"{model}/", f"bench/{store.bucket}/{store.prefix}/"]
        subprocess.run(put, env=store.environment, check=True, stdout=subprocess.DEVNULL)
        yield store


def _without_pycurl(folder: Path) -> Path:
    """A directory for PYTHONPATH in which `pycurl` cannot be imported: as where ``lading[tls]`` is not installed."""
    place = folder / "without"
    place.mkdir()
    (place / "pycurl.py").write_text('raise ImportError("left out")\n')
    return place


if __name__ == "__main__":
    main()
