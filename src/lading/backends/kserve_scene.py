"""What is to be seen of a server that KServe runs, beyond its pods: whether they are of the newest rollout, and what they see.

KServe says `Ready=True` of an empty folder (kubelet makes a directory that is not there), and of a rollout that waits for
ever while the old pod serves. So a pod counts only when nothing newer waits, and its own look at the weights is read.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from lading.backends import on_cluster_scene as scenes
from lading.backends.on_cluster_scene import Scene
from lading.cluster import execute, kinds
from lading.cluster.kinds import Object
from lading.diagnosis import finding, serving_evidence
from lading.diagnosis.serving import Evidence
from lading.errors import ClusterError
from lading.manifests.target import MOUNT

#: Each prints the names in a folder; an image may lack the first.
_LOOKS = (("ls", "-A", MOUNT), ("python3", "-c", f"import os; print(*os.listdir({MOUNT!r}), sep='\\n')"))
_MOST_NAMES = 1000


class KServeScene(Scene):
    """A `Scene` whose pod is ready only when it is of the newest rollout of what was applied last."""

    latest: Evidence | None = None
    names_in: dict[str, tuple[str, ...] | None]

    def running(self) -> Object | None:
        """As `Scene.running`; None until the controllers have caught up, while a newer pod is not ready, and before a look into it."""
        evidence, found = self.latest, super().running()
        if evidence is None or found is None or not settled(evidence):
            return None
        uid = str(found["metadata"]["uid"])
        newest = {str(pod["metadata"]["uid"]) for pod in serving_evidence.newest_pods(evidence)}
        return found if uid in newest and uid in self._looked_at() else None

    async def _evidence(self) -> Evidence:
        evidence = await super()._evidence()
        listed = [
            one
            for kind in (kinds.SERVING_RUNTIME, kinds.CLUSTER_SERVING_RUNTIME)
            for one in (await self._list_all(kind) if evidence.deployment is None else ())
        ]
        seen = None
        for pod in serving_evidence.newest_pods(evidence)[:1]:
            seen = await self._names(pod)
        self.latest = replace(evidence, seen=seen, runtimes=tuple(listed) or None)
        return self.latest

    async def _list_all(self, kind: kinds.Kind) -> tuple[Object, ...]:
        with suppress(ClusterError):
            return await self.cluster.list(kind, namespace=self.namespace if kind.namespaced else None)
        return ()

    async def _names(self, pod: Mapping[str, Any]) -> tuple[str, ...] | None:
        """What the running server sees at the model's path, asked once per pod; None where it cannot be asked."""
        status = scenes.container_status(pod, self.form.container)
        if "running" not in (status.get("state") or {}):
            return None
        known, uid = self._looked_at(), str(pod["metadata"]["uid"])
        if uid not in known:
            known[uid] = await look_inside(self, str(pod["metadata"]["name"]))
        return known[uid]

    def _looked_at(self) -> dict[str, tuple[str, ...] | None]:
        if not hasattr(self, "names_in"):
            self.names_in = {}
        return self.names_in


async def look_inside(scene: Scene, pod: str) -> tuple[str, ...] | None:
    """The names at the model's path in the server's container; None where no program there tells, or we may not ask."""
    for argv in _LOOKS:
        with suppress(ClusterError):
            done = await execute.run(
                scene.cluster, pod, argv, container=scene.form.container, namespace=scene.namespace
            )
            if done.code == 0:
                return tuple(done.stdout.decode(errors="replace").split("\n")[:_MOST_NAMES])[:-1]
    return None


def settled(evidence: Evidence) -> bool:
    """Whether KServe and the Deployment's controller have seen the newest of what was asked for. Pure."""
    deployment = evidence.deployment
    if deployment is None or evidence.service is None:
        return False
    status, generation = finding.at(deployment, "status"), finding.number(deployment, "metadata", "generation")
    seen = finding.number(status, "observedGeneration")
    return seen is not None and (generation is None or seen >= generation) and _whole(deployment)


def _whole(deployment: Mapping[str, Any]) -> bool:
    """Whether all pods that are asked for are of the newest rollout."""
    asked = finding.number(deployment, "spec", "replicas")
    return finding.number(deployment, "status", "updatedReplicas") == asked and bool(asked)
