"""Where the API server is and who we are there: kubeconfig, or the files a pod is given."""

import base64
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lading.cluster.identity import Fixed, Identity
from lading.errors import ClusterUnreachable

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How the API server is reached.

    Attributes:
        server: ``https://host:port``.
        namespace: Where names without one are looked up.
        identity: Gives the headers of a request, which may change (`lading.cluster.identity`).
        tls_server_name: The name the server's certificate must have, where it is not the host's.
        notes: What a user should know of this connection, such as that it is not checked.
    """

    server: str
    namespace: str = "default"
    context: str | None = None
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    identity: Identity = field(default_factory=Fixed, repr=False)
    proxy: str | None = field(default=None, repr=False)
    tls_server_name: str | None = None
    notes: tuple[str, ...] = ()


def connection(
    *, kubeconfig: Path | None = None, context: str | None = None, namespace: str | None = None
) -> Connection:
    """The connection that *kubeconfig* (else ``$KUBECONFIG``, ``~/.kube/config``) or a pod's own files name.

    Raises:
        ClusterUnreachable: Nothing says where a cluster is, or the configuration cannot be used.
    """
    from ruamel.yaml import YAML

    path = kubeconfig or Path(os.environ.get("KUBECONFIG") or "~/.kube/config").expanduser()
    if not path.is_file():
        raise ClusterUnreachable(f"no kubeconfig at {path}", hint="set KUBECONFIG, or give --kubeconfig")
    document = YAML(typ="safe", pure=True).load(path)
    named = _named(document, "contexts", context or document.get("current-context"))["context"]
    cluster = _named(document, "clusters", named["cluster"])["cluster"]
    user = _named(document, "users", named["user"])["user"]
    headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
    return Connection(
        server=cluster["server"].rstrip("/"),
        namespace=namespace or named.get("namespace") or "default",
        context=context or document.get("current-context"),
        tls=_tls(cluster, user),
        identity=Fixed(headers),
        proxy=cluster.get("proxy-url"),
    )


def _named(document: Mapping[str, Any], group: str, name: str) -> Mapping[str, Any]:
    for entry in document.get(group) or ():
        if entry["name"] == name:
            found: Mapping[str, Any] = entry
            return found
    raise ClusterUnreachable(f"the kubeconfig has no {name!r} among its {group}")


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any]) -> ssl.SSLContext:
    data = base64.b64decode(cluster.get("certificate-authority-data", "")).decode() or None
    context = ssl.create_default_context(cafile=cluster.get("certificate-authority"), cadata=data)
    if "client-certificate-data" in user:
        with tempfile.TemporaryDirectory() as folder:
            pair = [Path(folder) / "tls.crt", Path(folder) / "tls.key"]
            for file, key in zip(pair, ("client-certificate-data", "client-key-data"), strict=True):
                file.write_bytes(base64.b64decode(user[key]))
            context.load_cert_chain(pair[0], pair[1])
    return context
