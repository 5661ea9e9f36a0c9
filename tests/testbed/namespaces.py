"""A namespace for one test: a user with the shipped Role and nothing more, claims on real folders, MinIO within reach."""

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from tests.testbed import kube, minio, mounts, node, processes
from tests.testbed.api import Api, wait
from tests.testbed.places import CLUSTER, ROOT

_WORKLOADS = (
    ("/apis/serving.kserve.io/v1beta1", "inferenceservices"),
    ("/apis/batch/v1", "jobs"),
    ("/apis/apps/v1", "deployments"),
    ("/apis/apps/v1", "statefulsets"),
)
_VOLUMES = CLUSTER / "volumes"
_SESSION = "testbed/session"
"""Label of a namespace: the `processes.mark` of the test session that made it."""


@dataclass(frozen=True)
class Claim:
    """A PersistentVolumeClaim, and the folder of this host that its volume is.

    Attributes:
        path: The folder; None for a claim without a volume.
        volume: Name of the PersistentVolume.
    """

    name: str
    path: Path | None
    volume: str | None


@dataclass
class Namespace:
    """One namespace.

    Attributes:
        admin: kubeconfig that may do everything, in this namespace.
        kubeconfig: kubeconfig of the namespace's user: a ServiceAccount with the Role of ``deploy/rbac``.
        api: The API as the administrator uses it.
    """

    name: str
    admin: Path
    kubeconfig: Path
    api: Api
    folder: Path
    _ends: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def apply(self, document: Mapping[str, Any] | str) -> dict[str, Any]:
        """Apply one document, or the YAML text of several (the last is given back), as administrator."""
        if not isinstance(document, str):
            return self.api.apply(document, namespace=self.name)
        applied: dict[str, Any] = {}
        for one in filter(None, YAML(typ="safe", pure=True).load_all(document)):
            applied = self.api.apply(one, namespace=self.name)
        return applied

    def get(self, plural: str, name: str = "", *, root: str = "/api/v1") -> Any:
        """One object as it is, None where there is none; without *name*, all of them as a list."""
        path = f"{root}/namespaces/{self.name}/{plural}"
        return self.api.find(f"{path}/{name}") if name else self.api.get(path)["items"]

    def kubectl(self, *argv: str, **options: Any) -> str:
        """What kubectl prints, as administrator, in this namespace."""
        return kube.kubectl(self.admin, *argv, **options)

    def secret(
        self, name: str, data: Mapping[str, str], *, labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> str:  # fmt: skip
        """A Secret; its name."""
        metadata = {"name": name, "labels": {**(labels or {})}, "annotations": {**(annotations or {})}}
        self.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {**data}})
        return name

    def claim(
        self,
        name: str = "models",
        size: str = "1Gi",
        modes: Sequence[str] = ("ReadWriteOnce",),
        *,
        storage_class: str | None = None,
        capacity_on_disk_bytes: int | None = None,
        bind: bool = True,
        retain: bool = True,
        permissions: int = 0o755,
    ) -> Claim:
        """A claim on a folder of its own, bound.

        Args:
            capacity_on_disk_bytes: The folder is a file system of this size, so that it can really be full.
            bind: False: no volume is made, the claim stays Pending.
            retain: The volume's reclaim policy; False: Delete.
            permissions: Of the folder, which belongs to root: a pod needs an fsGroup to write there.
        """
        spec = {
            "accessModes": [*modes],
            "resources": {"requests": {"storage": size}},
            "storageClassName": storage_class or "",
        }
        self.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec})
        if not bind:
            return Claim(name=name, path=None, volume=None)
        return self.bind(name, capacity_on_disk_bytes=capacity_on_disk_bytes, retain=retain, permissions=permissions)

    def bind(
        self, name: str, *, capacity_on_disk_bytes: int | None = None, retain: bool = True, permissions: int = 0o755
    ) -> Claim:
        """Give the claim *name*, whoever made it, a volume of its size and class; bound on return."""
        claim = self.get("persistentvolumeclaims", name)
        path = self._folder(name, capacity_on_disk_bytes, permissions)
        volume = f"{self.name}-{name}"
        self.apply(_volume(volume, path, claim, "Retain" if retain else "Delete"))
        wait(
            f"claim {name} is bound",
            lambda: self.get("persistentvolumeclaims", name)["status"].get("phase") == "Bound",
        )
        return Claim(name=name, path=path, volume=volume)

    @contextlib.contextmanager
    def provisioning(self, storage_class: str = "standard") -> Iterator[None]:
        """Meanwhile, claims of *storage_class* get a volume as from a provisioner; their folders belong to nobody else."""
        self.apply(
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": {"name": storage_class},
                "provisioner": "testbed.lading.dev/folders",
                "allowVolumeExpansion": True,
            }
        )
        ended = threading.Event()
        with ThreadPoolExecutor(max_workers=1) as beside:
            work = beside.submit(self._provision, storage_class, ended)
            try:
                yield
            finally:
                ended.set()
                work.result()

    def _provision(self, storage_class: str, ended: threading.Event) -> None:
        while not ended.wait(0.2):
            for claim in self.get("persistentvolumeclaims"):
                unbound = claim["status"].get("phase") == "Pending" and not claim["spec"].get("volumeName")
                if unbound and claim["spec"].get("storageClassName") == storage_class:
                    self.bind(claim["metadata"]["name"], retain=False)

    def allow_serving(self) -> None:
        """Give the user the rights of ``deploy/rbac/serving``, too."""
        for document in shipped_role("serving"):
            self.apply(document)
            self.apply(_binding(document["metadata"]["name"]))

    def minio(self) -> minio.Minio:
        """A MinIO of this namespace: ``endpoint`` reaches it from here, ``in_cluster`` from pods."""
        folder = self.folder / f"minio-{secrets.token_hex(3)}"
        folder.mkdir()
        return self._ends.enter_context(minio.running(folder, reach="cluster"))

    def remove(self) -> None:
        """Everything of it, gone from the cluster and from the disk."""
        _empty(self.api, self.name)
        self._ends.close()
        _forget(self.api, self.name)

    def _folder(self, name: str, capacity_bytes: int | None, permissions: int) -> Path:
        path = _VOLUMES / self.name / name
        path.mkdir(parents=True)
        if capacity_bytes is not None:
            argv = ["mount", "-t", "tmpfs", "-o", f"size={capacity_bytes}", f"lading-{self.name}", path]
            subprocess.run(argv, check=True)
        path.chmod(permissions)
        return path


def create(api: Api, folder: Path, *, session: int | None = None) -> Namespace:
    """A fresh namespace with its user; *folder* takes the kubeconfigs. It outlives the process *session* (this) not for long."""
    name = f"t-{secrets.token_hex(4)}"
    labels = {_SESSION: processes.mark(session or os.getpid())}
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    made = Namespace(name=name, admin=folder / "admin", kubeconfig=folder / "user", api=api, folder=folder)
    admin = YAML(typ="safe", pure=True).load(CLUSTER / "admin.kubeconfig")
    _write(made.admin, admin, name, admin["users"][0]["user"])
    made.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "user"}})
    for document in shipped_role():
        made.apply(document)
        made.apply(_binding(document["metadata"]["name"]))
    _write(made.kubeconfig, admin, name, {"token": _token(api, name)})
    # The first pod is refused until the namespace has its default account.
    wait("the ServiceAccount default", lambda: made.get("serviceaccounts", "default"))
    return made


def sweep(api: Api) -> list[str]:
    """Remove the namespaces of sessions that were killed: their fixtures never came to it. The names."""
    found = api.get(f"/api/v1/namespaces?labelSelector={_SESSION}")["items"]
    left = [one["metadata"]["name"] for one in found if not processes.lives(one["metadata"]["labels"][_SESSION])]
    for name in left:
        _empty(api, name)
        _forget(api, name)
    return left


def shipped_role(component: str = "") -> list[dict[str, Any]]:
    """The Roles that ``deploy/rbac``, or a component of it, gives a namespace's user."""
    documents: list[dict[str, Any]] = []
    for path in sorted((ROOT / "deploy" / "rbac" / component).glob("*.yaml")):
        documents += YAML(typ="safe", pure=True).load_all(path)
    return [document for document in documents if document and document["kind"] == "Role"]


def pod(name: str, image: str, argv: Sequence[str], *, claim: str | None = "models", **security: Any) -> dict[str, Any]:
    """A pod that runs *argv*, with *claim* at ``/volume``; *security* as a pod's ``securityContext``."""
    volumes = [{"name": "volume", "persistentVolumeClaim": {"claimName": claim}}] if claim else []
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": [*argv],
        "volumeMounts": [{"name": "volume", "mountPath": "/volume"}] if claim else [],
    }
    spec = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "securityContext": security,
        "volumes": volumes,
        "containers": [container],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def _volume(name: str, path: Path, claim: Mapping[str, Any], policy: str) -> dict[str, Any]:
    """A volume on *path* for this very claim: without its uid, they would find each other seconds later.

    ``local``, not ``hostPath``: the kubelet gives it the pod's fsGroup.
    """
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node.NAME]}
    metadata, spec = claim["metadata"], claim["spec"]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "labels": {"testbed": metadata["namespace"]}},
        "spec": {
            "capacity": spec["resources"]["requests"],
            "accessModes": spec["accessModes"],
            "persistentVolumeReclaimPolicy": policy,
            "storageClassName": spec.get("storageClassName", ""),
            "local": {"path": str(path)},
            "claimRef": {key: metadata[key] for key in ("namespace", "name", "uid")},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }


def _binding(role: str) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": f"user-{role}"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": "user"}],
    }


def _token(api: Api, namespace: str) -> str:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 86400}}
    answer = api.request("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/user/token", body)
    return str(answer["status"]["token"])


def _write(path: Path, like: Mapping[str, Any], namespace: str, user: Mapping[str, str]) -> None:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": like["clusters"],
        "users": [{"name": "user", "user": {**user}}],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": "user", "namespace": namespace}}],
        "current-context": "testbed",
    }
    path.write_text(json.dumps(document))
    path.chmod(0o600)


def _forget(api: Api, name: str) -> None:
    """Remove the volumes of a namespace that is empty, and their folders."""
    api.delete(f"/api/v1/persistentvolumes?labelSelector=testbed%3D{name}")
    mounts.unmount(_VOLUMES / name)
    shutil.rmtree(_VOLUMES / name, ignore_errors=True)


def _empty(api: Api, name: str) -> None:
    """Delete a namespace: nothing new starts there, and its pods and claims are gone on return.

    Kubernetes itself waits five seconds before it looks at a deleted namespace; nobody waits for that.
    """
    api.delete(f"/api/v1/namespaces/{name}")
    for root, plural in _WORKLOADS:
        api.delete(f"{root}/namespaces/{name}/{plural}")
    for plural, grace_s in (("pods", 1), ("persistentvolumeclaims", 0)):
        path = f"/api/v1/namespaces/{name}/{plural}"
        api.delete(path, grace_s=grace_s)
        wait(f"the {plural} of {name} are gone", lambda path=path: not api.get(path)["items"])
