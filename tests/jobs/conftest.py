"""A namespace with claims, a web server that pods reach and that counts what it sends, and Jobs that pull from it."""

import asyncio
import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.testbed.network import host_address

from lading.cluster.client import Cluster
from lading.cluster.config import connection
from lading.errors import LadingError
from lading.events import Event, Notice
from lading.manifests import jobs as manifests
from lading.placement import follow, jobs
from lading.spec.command import PullCommand
from lading.spec.placement import Placement
from lading.testing import web as webs
from lading.volume import find


def model(seed: int, *, files: int = 3, size_bytes: int = 1 << 20) -> dict[str, bytes]:
    """Files of a model and their SHA256SUMS: what a `pull` of ``SHA256SUMS`` brings."""
    noise = random.Random(seed)
    made = {f"part-{number}.bin": noise.randbytes(size_bytes) for number in range(files)}
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in made.items())
    return {**made, "SHA256SUMS": sums.encode()}


@pytest.fixture
def web():
    """A web server that pods reach."""
    with webs.serving(host=host_address()) as server:
        yield server


@dataclass
class Pulls:
    """Pulls in Jobs of one namespace, by the library, as its user."""

    namespace: object
    image: str
    web: webs.Web
    told: list[Event] = field(default_factory=list)
    kubeconfig: Path | None = None

    def offer(self, name: str, **options) -> str:
        """A model on the web server; what to pull."""
        self.web.files.update({f"{name}/{path}": data for path, data in model(hash(name) & 0xFFFF, **options).items()})
        return f"{self.web.url}/{name}/SHA256SUMS"

    def sums(self, name: str) -> None:
        """Write the SHA256SUMS of a model anew, after its files were changed."""
        own = {
            path.removeprefix(f"{name}/"): data for path, data in self.web.files.items() if path.startswith(f"{name}/")
        }
        lines = [f"{hashlib.sha256(data).hexdigest()}  {path}\n" for path, data in own.items() if path != "SHA256SUMS"]
        self.web.files[f"{name}/SHA256SUMS"] = "".join(lines).encode()

    def document(self, source: str, name: str, *, claim="models", limits=None, **placement):
        """The Job that pulls *source* as the model *name*."""
        command = PullCommand(source=source, model=name, version="v1", expect="any")
        return manifests.job(
            command, Placement(image=self.image, fs_group=1000, **placement), claim=claim, model=name,
            namespace=self.namespace.name, limits=limits or manifests.Limits(), started_by="tester",
        )  # fmt: skip

    def cluster(self) -> Cluster:
        """The cluster as the namespace's user has it."""
        return Cluster(connection(kubeconfig=self.kubeconfig or self.namespace.kubeconfig))

    async def pull(self, document, *, during: Callable[["Pulls", jobs.Run], object] | None = None) -> Event:
        """The result of the Job *document*; *during* runs beside it."""
        async with self.cluster() as cluster:
            run = await jobs.start(cluster, document)
            beside = asyncio.create_task(asyncio.to_thread(during, self, run)) if during else None
            try:
                async with asyncio.timeout(60):
                    return await follow.follow(cluster, run, emit=self.told.append, remove_unstartable=True)
            finally:
                if beside is not None:
                    await beside

    def notices(self) -> list[str]:
        """What people were told."""
        return [event.message for event in self.told if isinstance(event, Notice)]

    def pods(self) -> list[dict]:
        """The pods there are."""
        return self.namespace.get("pods")


def versions(claim, name: str) -> list[str]:
    """The published versions of a model on a claim's folder, each whole; nothing else lies there."""
    volume = find.open_volume(claim.path)
    found = [manifest for manifest in volume.manifests() if manifest.model == name]
    for manifest in found:
        for file in manifest.files:
            data = (volume.directory(manifest) / file.path).read_bytes()
            assert hashlib.sha256(data).hexdigest() == file.sha256
        assert not volume.extra_files(manifest)
    assert not volume.leftovers()
    return [manifest.version for manifest in found]


@pytest.fixture
def pulls(cluster, namespace, web):
    """Pulls in Jobs, from a web server."""
    return Pulls(namespace, cluster.image, web)


__all__ = ["LadingError", "Pulls", "model", "versions"]
