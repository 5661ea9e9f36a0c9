"""KServe's own controller and webhooks beside the cluster, built from its published packages; started when a test asks.

It then runs as long as the cluster does: its webhooks refuse InferenceServices once it is gone.
"""

import base64
import json
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.testbed import crds, kube, pki, processes
from tests.testbed.api import Api, wait
from tests.testbed.places import BIN, CLUSTER, PIDS

PROGRAM = BIN / "kserve"
_SOURCE = Path(__file__).parent / "kserve"
_RECORD = PIDS / "kserve"
_DONE = CLUSTER / "kserve-is-complete"
_PORT, _HEALTH = 19443, "127.0.0.1:18081"
# The webhooks that our build of the controller serves.
_SERVED = ("mutate-pods", "inferenceservice", "v1alpha1-servingruntime")


def missing() -> str | None:
    """Why there can be no KServe here; None when there can."""
    if _complete():
        return None
    if not PROGRAM.exists():
        return "KServe's controller is not built (make testbed builds it; Go is needed)"
    return None if crds.folder() else "LADING_TEST_CRDS names no folder with KServe's CustomResourceDefinitions"


def prepare() -> list[str]:
    """Build it when its source changed (minutes, the first time); a sentence on it."""
    kube.build(_SOURCE, PROGRAM)
    return [f"kserve: {missing() or PROGRAM}"]


def ensure(api: Api, kubeconfig: Path) -> None:
    """Have the controller run and its webhooks called."""
    if _complete():
        return
    down()
    if not crds.applied(api):
        crds.apply(kubeconfig)
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kserve"}})
    api.apply(_document("inferenceservice-config.json"))
    argv = [PROGRAM, "--certificates", _certificates(), "--port", str(_PORT), "--health", _HEALTH]
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    processes.start(_RECORD, argv, log=CLUSTER / "log" / "kserve.log", env=environment)
    wait("KServe's controller is ready", _ready, within_s=90)
    for configuration in _webhooks():
        api.apply(configuration)
    api.apply(_document("clusterstoragecontainer.json"))
    _DONE.touch()


def down() -> None:
    """End the controller, by recorded id."""
    processes.end(_RECORD)
    _DONE.unlink(missing_ok=True)


def _complete() -> bool:
    """Whether the controller runs, and its webhooks were made known."""
    return _DONE.exists() and processes.running(_RECORD) is not None


def _certificates() -> Path:
    folder = CLUSTER / "pki" / "kserve"
    folder.mkdir(exist_ok=True)
    pki.write_leaf(CLUSTER / "pki", "kserve-hooks", "/CN=kserve", ["IP:127.0.0.1"])
    for end in ("crt", "key"):
        (folder / f"tls.{end}").write_bytes((CLUSTER / "pki" / f"kserve-hooks.{end}").read_bytes())
    return folder


def _ready() -> bool:
    if processes.running(_RECORD) is None:
        raise RuntimeError(f"KServe's controller ended: {(CLUSTER / 'log' / 'kserve.log').read_text()[-3000:]}")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{_HEALTH}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _webhooks() -> list[dict[str, Any]]:
    """KServe's own configurations, with our certificate, without webhooks that nobody answers."""
    authority = base64.b64encode((CLUSTER / "pki" / "ca.crt").read_bytes()).decode()
    kept = []
    for configuration in _document("webhooks.json")["items"]:
        hooks = [hook for hook in configuration["webhooks"] if hook["clientConfig"]["url"].endswith(_SERVED)]
        for hook in hooks:
            hook["clientConfig"]["caBundle"] = authority
        if hooks:
            kept.append({**configuration, "webhooks": hooks})
    return kept


def _document(name: str) -> dict[str, Any]:
    folder = crds.folder()
    assert folder is not None
    document: dict[str, Any] = json.loads((folder / "kserve-config" / name).read_text())
    return document
