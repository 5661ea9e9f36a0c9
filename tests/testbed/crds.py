"""The CustomResourceDefinitions of KServe and OME: data from the folder that ``LADING_TEST_CRDS`` names."""

import os
from pathlib import Path

from tests.testbed import kube
from tests.testbed.api import Api

_KINDS = ("kserve", "ome")
_ALL = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def folder() -> Path | None:
    """Where they are, None where nobody says."""
    named = os.environ.get("LADING_TEST_CRDS")
    return Path(named) if named and Path(named).is_dir() else None


def apply(kubeconfig: Path) -> None:
    """Apply all of them and wait until they are served; nothing without a folder."""
    root = folder()
    if root is None:
        return
    kube.kubectl(kubeconfig, "apply", "--server-side", *(f"--filename={root / kind}" for kind in _KINDS))
    kube.kubectl(kubeconfig, "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")


def applied(api: Api) -> bool:
    """Whether the cluster knows KServe's and OME's kinds."""
    return all(api.find(f"{_ALL}/inferenceservices.{group}") for group in ("serving.kserve.io", "ome.io"))
