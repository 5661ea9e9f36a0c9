"""Puts services in trouble on a real cluster, and takes down what there is to see of each."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from tests.diagnosis.scenes import OTHER_NODE
from tests.diagnosis.serving_scenes import Scene
from tests.testbed.api import ApiError, wait
from tests.testbed.namespaces import Namespace

from lading.diagnosis.serving import Evidence

DATA = Path(__file__).parent / "serving_data"
_PARTS = ("pods", "replica_sets", "deployment", "service", "runtimes", "claim", "volume", "events", "logs", "seen", "model_path")  # fmt: skip
_KSERVE = "/apis/serving.kserve.io"


@dataclass(frozen=True)
class Stage:
    namespace: Namespace
    registry: str
    shared: tuple = ()

    @property
    def api(self):
        return self.namespace.api

    def prepare(self):
        """A claim with a model on it, and what all scenes share."""
        models = self.namespace.claim("models")
        (models.path / "granite/v1").mkdir(parents=True)
        (models.path / "granite/v1/model.gguf").write_bytes(b"GGUF")
        (models.path / "dangling").symlink_to("nowhere/at/all")
        (self.namespace.claim("one-pod", modes=["ReadWriteOncePod"]).path / "granite").mkdir()
        for document in self.shared:
            self.apply(document, "")

    def apply(self, document, name):
        self.api.apply(self._filled(document, name), namespace=self.namespace.name)

    def play(self, name, scene: Scene):
        for document in scene.objects:
            filled = self._filled(document, name)
            if filled["kind"] in {"Deployment", "InferenceService"} or self._find(filled) is None:
                self.apply(document, name)

    def go_on(self, name, scene: Scene):
        """What comes once the first pod is ready."""
        if scene.then:
            wait(f"{name}: its first pod is ready", lambda: any(map(_ready, self._pods(name))))
        for document in scene.then:
            self.apply(document, name)

    def evidence(self, name, scene: Scene) -> Evidence:
        """All there is to see of the scene now, as a backend would read it."""
        base = f"/api/v1/namespaces/{self.namespace.name}"
        pods = self._pods(name)
        bound = self.api.find(f"{base}/persistentvolumeclaims/{scene.claim}") if scene.claim else None
        volume = (bound or {}).get("spec", {}).get("volumeName")
        deployment = f"{name}-predictor" if scene.service else name
        return Evidence(
            name=name, namespace="demo", pods=pods, replica_sets=self._replica_sets(name),
            deployment=self.api.find(f"/apis/apps/v1/namespaces/{self.namespace.name}/deployments/{deployment}"),
            service=self.api.find(f"{_KSERVE}/v1beta1/namespaces/{self.namespace.name}/inferenceservices/{name}") if scene.service else None,
            runtimes=self.api.get(f"{_KSERVE}/v1alpha1/namespaces/{self.namespace.name}/servingruntimes")["items"] if scene.service else None,
            claim=bound, volume=self.api.find(f"/api/v1/persistentvolumes/{volume}") if volume else None,
            events=self.api.get(f"{base}/events")["items"], logs={one["metadata"]["name"]: self._log(one) for one in pods},
            seen=self._seen(pods) if scene.look else None, model_path=scene.path, waited_s=30.0,
        )  # fmt: skip

    def clear(self, scenes):
        """Remove what is not in the namespace."""
        for document in (*self.shared, *(one for scene in scenes.values() for one in scene.objects)):
            filled = self._filled(document, "")
            if self.namespace.name in filled["metadata"]["name"]:
                self.api.delete(self.api.path(filled, self.namespace.name), grace_s=0)
        self.api.delete(f"/api/v1/nodes/{OTHER_NODE}")

    def _pods(self, name):
        found = self.api.get(f"/api/v1/namespaces/{self.namespace.name}/pods")["items"]
        return [
            one for one in found if one["metadata"].get("labels", {}).get("app") in {name, f"isvc.{name}-predictor"}
        ]

    def _replica_sets(self, name):
        found = self.api.get(f"/apis/apps/v1/namespaces/{self.namespace.name}/replicasets")["items"]
        return [one for one in found if one["metadata"]["labels"].get("app") in {name, f"isvc.{name}-predictor"}]

    def _log(self, pod):
        name, lines = pod["metadata"]["name"], []
        for more in ("&previous=true", ""):
            try:
                path = f"/api/v1/namespaces/{self.namespace.name}/pods/{name}/log?tailLines=20{more}"
                lines += self.api.request("GET", path).get("text", "").splitlines()
            except ApiError:
                continue
        return lines

    def _seen(self, pods):
        """What a running server sees; None while none runs."""
        running = [one["metadata"]["name"] for one in pods if _ready(one)]
        if not running:
            return None
        listed = self.namespace.kubectl("exec", running[0], "-n", self.namespace.name, "--", "ls", "-A", "/mnt/models")
        return listed.split()

    def _find(self, document):
        return self.api.find(self.api.path(document, self.namespace.name))

    def _filled(self, document, name):
        text = json.dumps(document).replace("{namespace}", self.namespace.name)
        filled = json.loads(text.replace("{registry}", self.registry).replace("{scene}", name))
        filled["metadata"]["name"] = filled["metadata"]["name"] or name
        return filled


def _ready(pod):
    return any(
        one["type"] == "Ready" and one["status"] == "True" for one in pod.get("status", {}).get("conditions", ())
    )


def shown(finding) -> str:
    """A finding as its golden file has it."""
    lines = [
        f"class: {finding.cause}", f"found: {finding.sentence}", *(f"shown by: {one}" for one in finding.evidence[-1:]),
        f"remedy: {finding.remedy}", f"waiting: {'cannot help' if finding.fatal else 'can help'}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def plain(text: str, namespace: str = "demo", registry: str = "registry.example.com") -> str:
    """*text* without what is of one run: namespace, hashes and uids, addresses, how many nodes and which others."""
    text = text.replace(namespace, "demo").replace(registry, "registry.example.com")
    text = re.sub(r"-[0-9a-z]{8,10}-(?:[bcdfghjklmnpqrstvwxz2456789]{5}(?![a-z0-9])|(?=\"))", "-HASH", text)
    text = re.sub(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", "UID", text)
    text = re.sub(r"\b\d+\.\d+\.\d+\.\d+:(\d+)", r"ADDRESS:\1", text)
    text = re.sub(r"\d+/\d+ nodes|\b\d+ (?=node\(s\)|Insufficient|Preemption|No preemption)", _counted, text)
    text = re.sub(r", N node\(s\) had untolerated taint\(s\)|N node\(s\) had untolerated taint\(s\), ", "", text)
    return text.replace(", N Preemption is not helpful for scheduling", "")


def _counted(match):
    return "N/N nodes" if "/" in match[0] else "N "


def kept(evidence: Evidence, namespace: str, registry: str) -> str:
    """*evidence* as it is kept in a file: only events of its own objects, no managed fields, nothing of one run."""
    own = {one["metadata"]["uid"] for one in _objects(evidence)}
    parts = {part: getattr(evidence, part) for part in _PARTS}
    parts["events"] = [one for one in evidence.events if one["involvedObject"].get("uid") in own]
    text = json.dumps(parts, indent=1, default=list)
    trimmed = _without_managed_fields(json.loads(text))
    plain_text = json.dumps(trimmed, indent=1).replace(namespace, "demo").replace(registry, "registry.example.com")
    return re.sub(r'"/[^"]*?/volumes/demo/', '"/volumes/demo/', plain_text) + "\n"


def _objects(evidence):
    single = (evidence.deployment, evidence.service, evidence.claim)
    return (*evidence.pods, *evidence.replica_sets, *(one for one in single if one))


def _without_managed_fields(value):
    if isinstance(value, dict):
        return {key: _without_managed_fields(one) for key, one in value.items() if key != "managedFields"}
    return [_without_managed_fields(one) for one in value] if isinstance(value, list) else value
