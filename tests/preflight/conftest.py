"""A namespace with a MinIO that pods reach, and preflights as the namespace's user."""

from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from lading.cluster.client import Cluster
from lading.cluster.config import connection
from lading.placement import preflight
from lading.spec.command import PullCommand
from lading.spec.credentials import CredentialChoice
from lading.spec.placement import Placement

MODEL = {"granite/config.json": b"{}", "granite/weights.bin": b"w" * 40_000, "granite-2/weights.bin": b"x"}


@dataclass
class Bed:
    """One namespace, its MinIO with a model, and what a user would do there."""

    namespace: object
    image: str
    minio: object

    @property
    def keys(self) -> dict[str, str]:
        """Credentials of the MinIO, as people write them."""
        return {"AWS_ACCESS_KEY_ID": self.minio.access_key, "AWS_SECRET_ACCESS_KEY": self.minio.secret_key}

    @asynccontextmanager
    async def cluster(self):
        """The cluster as the namespace's user has it."""
        async with Cluster(connection(kubeconfig=self.namespace.kubeconfig)) as opened:
            yield opened

    async def preflight(
        self,
        claim="models",
        *,
        source="s3://llm/granite",
        model="granite",
        image=None,
        placement=None,
        endpoint=True,
        look=True,
        during_update=None,
        replace_old=False,
        wait_s=120,
        **choice,
    ):
        """A preflight of a pull of the model."""
        command = PullCommand(
            source=source, model=model, expect="any", endpoint=self.minio.in_cluster if endpoint else None
        )
        placed = Placement(image=image or self.image, **(placement or {}))
        async with self.cluster() as cluster:
            return await preflight.preflight(
                cluster,
                command,
                claim,
                placement=placed,
                credentials=CredentialChoice(**choice),
                look=look,
                during_update=during_update,
                replace_old=replace_old,
                wait_s=wait_s,
            )

    def left(self) -> list[str]:
        """Pods and Jobs of ours that are still there, those that are going left out."""
        found = [*self.namespace.get("pods"), *self.namespace.get("jobs", root="/apis/batch/v1")]
        return [
            one["metadata"]["name"]
            for one in found
            if one["metadata"]["name"].startswith("lading") and "deletionTimestamp" not in one["metadata"]
        ]


@pytest.fixture
def bed(cluster, namespace):
    """A namespace with a MinIO."""
    minio = namespace.minio()
    minio.bucket("llm", MODEL)
    return Bed(namespace, cluster.image, minio)
