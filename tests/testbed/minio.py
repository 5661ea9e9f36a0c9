"""A real MinIO: built from its Go module at a pinned version, started on a free loopback port."""

import os
import shutil
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.testbed import network
from tests.testbed.pki import Certificates
from tests.testbed.places import BIN

MODULES = {
    "minio": "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c",
    "mc": "github.com/minio/mc@v0.0.0-20250313080218-cf909e1063a9",
}
ACCESS_KEY, SECRET_KEY = "lading-test", "lading-test-secret"


def program(name: str) -> Path | None:
    """Where ``minio`` or ``mc`` is: built for this checkout, or on the path."""
    built = BIN / name
    if built.is_file():
        return built
    found = shutil.which(name)
    return Path(found) if found and _is_minio(found) else None


def prepare() -> list[str]:
    """Build what is missing; a sentence for each program."""
    said = []
    for name, module in MODULES.items():
        found = program(name)
        if found is None and shutil.which("go"):
            BIN.mkdir(parents=True, exist_ok=True)
            environment = {**os.environ, "GOBIN": str(BIN), "GOFLAGS": "-buildvcs=false"}
            subprocess.run(["go", "install", "-trimpath", module], env=environment, check=True)
            found = BIN / name
        said.append(f"{name}: {found or 'not built; Go is needed'}")
    return said


@dataclass(frozen=True)
class Minio:
    """A running server.

    Attributes:
        in_cluster: Its endpoint as pods of the test bed reach it; the same as *endpoint* where none may.
        data: Its folder on disk.
        certificates: What it shows, where it speaks TLS.
    """

    endpoint: str
    in_cluster: str
    data: Path
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    certificates: Certificates | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What a client finds its credentials by (and the authority to trust); no other configuration of this machine."""
        trusted = {} if self.certificates is None else {"AWS_CA_BUNDLE": str(self.certificates.authority)}
        return trusted | {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def client(self):
        """A client of botocore for preparing buckets."""
        import botocore.session
        from botocore.config import Config

        return botocore.session.get_session().create_client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(s3={"addressing_style": "path"}),
            verify=None if self.certificates is None else str(self.certificates.authority),
        )

    def bucket(self, name: str, objects: dict[str, bytes]) -> None:
        """A bucket with these objects, made where it is not there."""
        client = self.client()
        with suppress(client.exceptions.BucketAlreadyOwnedByYou):
            client.create_bucket(Bucket=name)
        for key, data in objects.items():
            client.put_object(Bucket=name, Key=key, Body=data)


@contextmanager
def running(
    data: Path,
    *,
    reach: Literal["host", "cluster"] = "host",
    certificates: Certificates | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Minio]:
    """A server over *data*, healthy; killed by its process id at the end.

    Args:
        reach: ``cluster``: pods of this host reach it, too, by the host's address.
        certificates: It speaks TLS and shows these (`pki.for_server`).
        settings: Its own variables: ``MINIO_DOMAIN``, ``MINIO_REGION`` …
    """
    binary = program("minio")
    assert binary is not None
    port = _free_port()
    address = f"127.0.0.1:{port}"
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(data),
        "MINIO_ROOT_USER": ACCESS_KEY,
        "MINIO_ROOT_PASSWORD": SECRET_KEY,
        "MINIO_UPDATE": "off",
        "MINIO_BROWSER": "off",
        "MINIO_CI_CD": "on",
        **(settings or {}),
    }
    argv = [
        str(binary),
        "server",
        "--quiet",
        "--address",
        address if reach == "host" else f":{port}",
        *([] if certificates is None else ["--certs-dir", str(_certificates_folder(data, certificates))]),
        str(data / "objects"),
    ]
    scheme = "http" if certificates is None else "https"
    with (data / "minio.log").open("wb") as log:
        process = subprocess.Popen(argv, env=environment, stdout=log, stderr=log)
    try:
        _wait_healthy(process, f"{scheme}://{address}", data / "minio.log")
        host = "127.0.0.1" if reach == "host" else network.host_address()
        yield Minio(
            endpoint=f"{scheme}://{address}",
            in_cluster=f"{scheme}://{host}:{port}",
            data=data / "objects",
            certificates=certificates,
        )
    finally:
        process.kill()
        process.wait()


def _wait_healthy(process: subprocess.Popen, endpoint: str, log: Path) -> None:
    deadline = time.monotonic() + 30
    anyone = ssl._create_unverified_context()  # it is asked whether it is up, not who it is
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=anyone))
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"minio ended with {process.returncode}: {log.read_text()[-2000:]}")
        try:
            with opener.open(f"{endpoint}/minio/health/ready", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise RuntimeError(f"minio is not healthy: {log.read_text()[-2000:]}")


def _certificates_folder(data: Path, certificates: Certificates) -> Path:
    """The certificates by the names that MinIO looks for."""
    folder = data / "certificates"
    folder.mkdir()
    shutil.copy(certificates.certificate, folder / "public.crt")
    shutil.copy(certificates.key, folder / "private.key")
    return folder


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_minio(path: str) -> bool:
    """Whether this is MinIO's program: ``mc`` may be Midnight Commander."""
    said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=False)
    return "RELEASE" in said.stdout or "DEVELOPMENT" in said.stdout or "minio" in said.stdout.lower()
