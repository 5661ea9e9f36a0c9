"""A blocking client of the API for the test bed itself: what it prepares is not made by the code under test."""

import base64
import json
import ssl
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

MANAGER = "testbed"


class ApiError(RuntimeError):
    """What the server refused, with its own words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Api:
    """The API as the client certificate or token of *kubeconfig* may use it."""

    def __init__(self, kubeconfig: Path) -> None:
        document = YAML(typ="safe", pure=True).load(kubeconfig)
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        self._server = cluster["server"]
        self._headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        if "client-certificate-data" in user:
            with _files(user["client-certificate-data"], user["client-key-data"]) as pair:
                context.load_cert_chain(*pair)
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        self._resources: dict[str, dict[str, tuple[str, bool]]] = {}

    def get(self, path: str) -> dict[str, Any]:
        """The document at *path*.

        Raises:
            ApiError: As the server said.
        """
        return self.request("GET", path)

    def find(self, path: str) -> dict[str, Any] | None:
        """As `get`; None where there is nothing."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def delete(self, path: str, *, grace_s: int | None = None) -> None:
        """Delete what is at *path*, one object or all of a kind; nothing there is silent."""
        body: dict[str, Any] = {"propagationPolicy": "Background"}
        if grace_s is not None:
            body["gracePeriodSeconds"] = grace_s
        try:
            self.request("DELETE", path, body)
        except ApiError as error:
            if error.status not in (404, 405):
                raise

    def apply(self, document: Mapping[str, Any], *, namespace: str | None = None) -> dict[str, Any]:
        """Server-side apply, by force."""
        path = f"{self.path(document, namespace)}?fieldManager={MANAGER}&force=true"
        return self.request("PATCH", path, document, content="application/apply-patch+yaml")

    def path(self, document: Mapping[str, Any], namespace: str | None = None) -> str:
        """Where *document* belongs."""
        group = document["apiVersion"]
        root = f"/apis/{group}" if "/" in group else f"/api/{group}"
        plural, namespaced = self._resource(root, document["kind"])
        place = document["metadata"].get("namespace") or namespace or "default"
        folder = f"{root}/namespaces/{place}/{plural}" if namespaced else f"{root}/{plural}"
        return f"{folder}/{document['metadata']['name']}"

    def request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, content: str = "application/json"
    ) -> dict[str, Any]:
        """One request; the server's document, or ``{"text": …}`` where it answers in words.

        Raises:
            ApiError: As the server said.
        """
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": content, "Accept": "application/json", **self._headers}
        request = urllib.request.Request(self._server + path, data=data, headers=headers, method=method)
        try:
            with self._opener.open(request, timeout=30) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            raise ApiError(error.code, error.read().decode(errors="replace")[:2000]) from None
        return json.loads(text) if text.startswith("{") else {"text": text}

    def _resource(self, root: str, kind: str) -> tuple[str, bool]:
        if kind not in self._resources.get(root, {}):
            self._resources[root] = {
                one["kind"]: (one["name"], one["namespaced"])
                for one in self.get(root)["resources"]
                if "/" not in one["name"]
            }
        return self._resources[root][kind]


def wait(what: str, found: Callable[[], Any], *, within_s: float = 60) -> Any:
    """What *found* gives once it is true.

    Raises:
        TimeoutError: It did not come, with *what*.
    """
    deadline = time.monotonic() + within_s
    while not (got := found()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {within_s:g} s")
        time.sleep(0.05)
    return got


@contextmanager
def _files(*texts: str) -> Iterator[list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for index, text in enumerate(texts):
            path = Path(folder) / str(index)
            path.write_bytes(base64.b64decode(text))
            paths.append(str(path))
        yield paths
