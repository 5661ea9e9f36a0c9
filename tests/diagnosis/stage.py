"""Puts scenes on a real cluster and takes down what it says of them."""

import http.server
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass

from tests.diagnosis.scenes import OTHER_NODE, SHARED, Scene, pod
from tests.testbed.api import Api, ApiError, wait

from lading.diagnosis import claims, jobs, pods

MERGE = "application/merge-patch+json"
PATHS = {
    "Pod": "/api/v1/namespaces/{}/pods/{}",
    "Job": "/apis/batch/v1/namespaces/{}/jobs/{}",
    "PersistentVolumeClaim": "/api/v1/namespaces/{}/persistentvolumeclaims/{}",
}


@dataclass(frozen=True)
class Evidence:
    """What the cluster says of one scene's subject."""

    subject: dict
    pods: list
    events: list


@dataclass(frozen=True)
class Stage:
    api: Api
    namespace: str
    registry: str

    def prepare(self):
        """Make what all scenes share, and see that it is in effect."""
        for document in SHARED:
            self.api.apply(self._filled(document, ""), namespace=self.namespace)
        probe = self._filled(pod("job-admission-probe", "true"), "")
        wait("the admission policy is in effect", lambda: self._refused(probe))

    def _refused(self, document):
        path = f"/api/v1/namespaces/{self.namespace}/pods?dryRun=All"
        try:
            self.api.request("POST", path, document)
        except ApiError as error:
            return "owner label" in str(error)
        return False

    def play(self, name, scene: Scene):
        """Create what *scene* has."""
        for document in scene.objects:
            filled = self._filled(document, name)
            if not self._there(filled):
                self.api.apply(filled, namespace=self.namespace)

    def finish(self, name, scene: Scene):
        """Once the claim is bound and its pods run: remove what *scene* removes, write what it writes, evict."""
        if not (scene.deleted or scene.status or scene.evicted):
            return
        if scene.subject != "Pod":
            wait(f"{name} is bound", lambda: self.api.get(self._path(name, scene))["status"].get("phase") == "Bound")
        for user in (one for one in scene.objects if one["kind"] == "Pod"):
            path = PATHS["Pod"].format(self.namespace, user["metadata"]["name"] or name)
            wait(f"{path} runs", lambda path=path: self.api.get(path)["status"].get("phase") == "Running")
        if scene.status:
            path = f"{self._path(name, scene)}/status"
            self.api.request("PATCH", path, {"status": scene.status}, content=MERGE)
        if scene.evicted:
            eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
            self.api.request("POST", f"{self._path(name, scene)}/eviction", eviction)
        for path in (one.format(namespace=self.namespace) for one in scene.deleted):
            self.api.delete(path)
            if "/persistentvolumes/" in path:
                self._release(path)

    def _release(self, path):
        """Take the finalizers off, so that what was deleted goes."""
        if self.api.find(path) is not None:
            self.api.request("PATCH", path, {"metadata": {"finalizers": None}}, content=MERGE)

    def evidence(self, name, scene: Scene):
        """What there is to see of *scene* now; None while its subject is not there."""
        subject = self.api.find(self._path(name, scene))
        if subject is None:
            return None
        base = f"/api/v1/namespaces/{self.namespace}"
        pods = self.api.get(f"{base}/pods?labelSelector=batch.kubernetes.io/job-name={name}")["items"]
        uids = {one["metadata"]["uid"] for one in (subject, *pods)}
        events = self.api.get(f"{base}/events")["items"]
        return Evidence(subject, pods, [one for one in events if one["involvedObject"].get("uid") in uids])

    def clear(self, scenes):
        """Remove what is not in the namespace."""
        for name, scene in scenes.items():
            if scene.evicted:
                self._release(self._path(name, scene))
            for document in (*SHARED, *scene.objects):
                filled = self._filled(document, name)
                if self.namespace in filled["metadata"]["name"]:
                    self.api.delete(self.api.path(filled, self.namespace), grace_s=0)
        self.api.delete(f"/api/v1/nodes/{OTHER_NODE}")

    def _path(self, name, scene):
        return PATHS[scene.subject].format(self.namespace, name)

    def _there(self, document):
        return self.api.find(self.api.path(document, self.namespace)) is not None

    def _filled(self, document, name):
        text = json.dumps(document).replace("{namespace}", self.namespace).replace("{registry}", self.registry)
        filled = json.loads(text)
        filled["metadata"]["name"] = filled["metadata"]["name"] or name
        return filled


@contextmanager
def registry():
    """A registry on this host that has nothing under ``missing/`` and wants credentials for ``private/``."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Registry)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Registry(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        private = "/private/" in self.path
        code, kind = (401, "UNAUTHORIZED") if private else (404, "MANIFEST_UNKNOWN")
        body = json.dumps({"errors": [{"code": kind, "message": kind.lower().replace("_", " ")}]}).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if private:
            self.send_header("WWW-Authenticate", 'Basic realm="registry"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - as the server calls it

    def log_message(self, *arguments):
        """Nothing: the test says what it found."""


def trimmed(evidence: Evidence):
    """*evidence* without what is noise in a file: managed fields."""

    def plain(thing):
        return {**thing, "metadata": {k: v for k, v in thing["metadata"].items() if k != "managedFields"}}

    return {
        "subject": plain(evidence.subject),
        "pods": [plain(one) for one in evidence.pods],
        "events": [plain(one) for one in evidence.events],
    }


def found(scene, evidence):
    """The finding on *evidence*, by the part of the diagnosis for its kind."""
    if scene.subject == "Job":
        return jobs.watching(evidence.subject, evidence.pods, evidence.events)
    if scene.subject == "Pod":
        return pods.watching(evidence.subject, evidence.events)
    return next(iter(claims.findings(evidence.subject, evidence.events)), None)
