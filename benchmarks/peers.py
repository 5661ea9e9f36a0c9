"""Who brings the same bytes, and how each is told to: Lading, what people use instead, and the machine's own limits."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rounds import Contender, at_once, durable
from tests.testbed import peers
from tests.testbed.minio import Minio

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, kw_only=True)
class Store:
    """A bucket of a running MinIO with something below a prefix.

    Attributes:
        folder: Where everybody may write.
    """

    server: Minio
    bucket: str
    prefix: str
    folder: Path

    @property
    def target(self) -> Path:
        """Where a run writes to."""
        return self.folder / "target"

    @property
    def environment(self) -> dict[str, str]:
        """Of all commands: the credentials, each tool's own way to name the server, and no settings of this machine."""
        server = self.server
        found = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            **server.environment,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": server.endpoint,
            "MC_CONFIG_DIR": str(self.folder / "mc"),
            "MC_HOST_bench": server.endpoint.replace("//", f"//{server.access_key}:{server.secret_key}@"),
            "S3_ENDPOINT_URL": server.endpoint,
            "RCLONE_CONFIG": str(self.folder / "rclone.conf"),
            "RCLONE_CONFIG_BENCH_TYPE": "s3",
            "RCLONE_CONFIG_BENCH_PROVIDER": "Minio",
            "RCLONE_CONFIG_BENCH_ENV_AUTH": "true",
            "RCLONE_CONFIG_BENCH_ENDPOINT": server.endpoint,
            "LADING_HOME": str(self.folder / "home"),
        }
        if server.certificates is not None:
            authority = str(server.certificates.authority)
            found |= {"SSL_CERT_FILE": authority, "CURL_CA_BUNDLE": authority, "RCLONE_CA_CERT": authority}
        return found

    def contender(self, name: str, argv: list[str], **more) -> Contender:
        """One that writes to `target`."""
        environment = {**self.environment, **more.pop("environment", {})}
        return Contender(name=name, argv=argv, environment=environment, target=self.target, **more)


def lading(store: Store, name: str = "lading", **environment: str) -> Contender:
    """The whole command: hashed with SHA-256, synced, published."""
    argv = [sys.executable, "-m", "lading", "pull", f"s3://{store.bucket}/{store.prefix}", str(store.target)]
    return store.contender(name, [*argv, "--expect", "any", "--quiet"], environment=environment)


def lading_crc64(store: Store) -> Contender:
    """The engine with the store's own checksum alone, which the command does not offer: a manifest has SHA-256."""
    argv = [sys.executable, str(HERE / "engine.py"), f"s3://{store.bucket}/{store.prefix}", str(store.target)]
    return store.contender("engine, CRC64NVME alone", [*argv, "--digest", "crc64nvme"])


def mc(store: Store) -> Contender:
    argv = [str(peers.program("mc")), "--quiet", "mirror", f"bench/{store.bucket}/{store.prefix}", str(store.target)]
    return store.contender("mc mirror + sync", durable(argv, store.target))


def s5cmd(store: Store) -> Contender:
    argv = [str(peers.program("s5cmd")), "cp", f"s3://{store.bucket}/{store.prefix}/*", f"{store.target}/"]
    return store.contender("s5cmd + sync", durable(argv, store.target))


def rclone(store: Store) -> Contender:
    argv = [str(peers.program("rclone")), "copy", f"bench:{store.bucket}/{store.prefix}", str(store.target)]
    return store.contender("rclone + sync", durable(argv, store.target))


def kserve(store: Store) -> Contender:
    argv = [str(peers.python()), str(HERE / "kserve_way.py"), store.bucket, store.prefix, str(store.target)]
    return store.contender("KServe's way + sync", durable(argv, store.target))


def receive(store: Store, keys: list[str]) -> Contender:
    """The machine's limit: all bytes from the server to nowhere."""
    urls = [f"{store.server.endpoint}/{store.bucket}/{store.prefix}/{key}" for key in keys]
    argv = at_once([["curl", "-sf", "-o", os.devnull, url] for url in urls])
    return store.contender("limit: curl × 4 to nowhere", argv, limit=True, writes=False)


def write(store: Store, files: int, size_bytes: int) -> Contender:
    """The machine's limit: as many bytes from memory to the disk."""
    blocks = max(1, size_bytes // files // (4 << 20))
    write = [
        ["dd", "if=/dev/zero", f"of={store.target}/{number}", "bs=4M", f"count={blocks}", "oflag=direct", "status=none"]
        for number in range(files)
    ]
    argv = at_once(write, before=f"mkdir -p {store.target}; ")
    return store.contender("limit: dd × 4, direct", argv, limit=True, writes=False)


def hub(url: str, repository: str, folder: Path) -> tuple[Contender, Contender]:
    """Lading and the hub's own client, of the same repository."""
    environment: Mapping[str, str] = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "HF_HOME": str(folder / "hf"),
        "HF_ENDPOINT": url,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "LADING_HOME": str(folder / "home"),
    }
    target = folder / "target"
    ours = [sys.executable, "-m", "lading", "pull", f"hf://{repository}", str(target), "--quiet"]
    theirs = durable([str(peers.python()), str(HERE / "hub_way.py"), repository, str(target)], target)
    return (
        Contender(name="lading", argv=ours, environment=environment, target=target),
        Contender(name="snapshot_download + sync", argv=theirs, environment=environment, target=target),
    )
