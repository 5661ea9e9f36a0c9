"""Where the API server is and who we are there: kubeconfig, or the files a pod is given."""

import base64
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lading.cluster import kubeconfig as kubeconfigs
from lading.cluster import proxies, tls
from lading.cluster.identity import Fixed, Identity, Login, TokenFile, bearer
from lading.cluster.kubeconfig import Entry
from lading.errors import ClusterUnreachable

#: What kubelet gives a pod.
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_EXEC_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How the API server is reached.

    Attributes:
        server: ``https://host:port``.
        namespace: Where names without one are looked up.
        context: Its name in the kubeconfig; None in a pod.
        identity: Gives the headers of a request, which may change (`lading.cluster.identity`).
        proxy: Its address; may hold a password.
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
    *,
    kubeconfig: Path | None = None,
    context: str | None = None,
    namespace: str | None = None,
    environment: Mapping[str, str] = os.environ,
    account: Path = ACCOUNT,
) -> Connection:
    """The connection by *kubeconfig*, else ``$KUBECONFIG``, else ``~/.kube/config``, else a pod's own account.

    Raises:
        ClusterUnreachable: Nothing says where a cluster is.
        InvalidDocument: The kubeconfig cannot be used; names file and key.
    """
    files = _files(kubeconfig, environment)
    if files:
        return _from_files(files, context, namespace, environment)
    if "KUBERNETES_SERVICE_HOST" in environment and (account / "token").exists() and context is None:
        return _in_cluster(namespace, environment, account)
    looked = environment.get("KUBECONFIG") or "~/.kube/config"
    raise ClusterUnreachable(
        f"no cluster is configured: there is no kubeconfig at {looked}",
        hint="log in to the cluster (oc login, aws eks update-kubeconfig …), set KUBECONFIG, or give --kubeconfig",
    )


def _files(explicit: Path | None, environment: Mapping[str, str]) -> tuple[Path, ...]:
    """The files there are; one that was named must be there, of a list those may be missing that are."""
    if explicit is not None:
        if not explicit.expanduser().exists():
            raise ClusterUnreachable(f"there is no kubeconfig at {explicit}", hint="--kubeconfig FILE names another")
        return (explicit.expanduser(),)
    listed = environment.get("KUBECONFIG")
    home = Path(environment.get("HOME") or "~").expanduser()
    names = listed.split(os.pathsep) if listed else [str(home / ".kube" / "config")]
    return tuple(path for path in (Path(name).expanduser() for name in names if name) if path.is_file())


def _in_cluster(namespace: str | None, environment: Mapping[str, str], account: Path) -> Connection:
    host, port = environment["KUBERNETES_SERVICE_HOST"], environment.get("KUBERNETES_SERVICE_PORT", "443")
    try:
        trusted = tls.context(authority=(account / "ca.crt").read_bytes(), insecure=False)
        own = (account / "namespace").read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise ClusterUnreachable(f"the pod's account in {account} cannot be used: {error}") from error
    return Connection(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        namespace=namespace or own or "default",
        tls=trusted,
        identity=TokenFile(account / "token"),
    )


def _from_files(
    files: tuple[Path, ...], context: str | None, namespace: str | None, environment: Mapping[str, str]
) -> Connection:
    config = kubeconfigs.read(files)
    chosen = config.context(context)
    cluster = config.entry("clusters", chosen.needed("cluster"))
    user = config.entry("users", chosen.needed("user"))
    server = _server(cluster)
    trusted = _trusted(cluster) if server.startswith("https:") else None
    return Connection(
        server=server,
        namespace=namespace or chosen.text("namespace") or "default",
        context=chosen.name,
        tls=trusted,
        identity=_identity(user, cluster, trusted),
        proxy=_proxy(cluster, server, environment),
        tls_server_name=cluster.text("tls-server-name"),
        notes=_notes(cluster, server),
    )


def _server(cluster: Entry) -> str:
    server = cluster.needed("server").rstrip("/")
    if not server.startswith(("https://", "http://")):
        raise cluster.wrong(f"server {server} does not begin with https://")
    try:
        urlsplit(server).port  # noqa: B018 - raises
    except ValueError as error:
        raise cluster.wrong(f"server {server} has no port that can be") from error
    return server


def _trusted(cluster: Entry) -> ssl.SSLContext:
    authority, insecure = cluster.content("certificate-authority"), _insecure(cluster)
    if authority is not None and insecure:
        raise cluster.wrong("it has a certificate-authority and insecure-skip-tls-verify: one of them is meant")
    try:
        return tls.context(authority=authority, insecure=insecure)
    except ValueError as error:
        raise cluster.wrong(f"certificate-authority {error}") from error


def _insecure(cluster: Entry) -> bool:
    return cluster.body.get("insecure-skip-tls-verify") is True


def _notes(cluster: Entry, server: str) -> tuple[str, ...]:
    if server.startswith("http:"):
        return (f"the API server {server} is spoken to without encryption",)
    if _insecure(cluster):
        return (f"the certificate of {server} is not checked (insecure-skip-tls-verify in {cluster.file})",)
    return ()


def _proxy(cluster: Entry, server: str, environment: Mapping[str, str]) -> str | None:
    given = cluster.text("proxy-url")
    proxy = given or proxies.of(server, environment)
    if proxy is not None and not proxy.startswith(("http://", "https://")):
        what = "proxy-url" if given else "the environment's proxy"
        raise cluster.wrong(f"{what} is neither http:// nor https://", hint="SOCKS proxies are not supported")
    return proxy


# ------------------------------------------------------------------------------------------------------------- identity


def _identity(user: Entry, cluster: Entry, trusted: ssl.SSLContext | None) -> Identity:
    """Who *user* is; a token in a file is preferred to one beside it, as kubectl does."""
    if user.body.get("auth-provider"):
        raise user.wrong("auth-provider is not supported", hint="an exec plugin is, such as kubelogin")
    if any(user.body.get(key) for key in ("as", "as-uid", "as-groups", "as-user-extra")):
        raise user.wrong("impersonation (`as`) is not supported", hint="use a kubeconfig of that user")
    _show_certificate(user, trusted)
    file, token, name = user.path("tokenFile"), user.text("token"), user.text("username")
    if file is not None:
        return TokenFile(file)
    if token is not None:
        if not token.strip().isascii() or not token.strip().isprintable():
            raise user.wrong("token holds characters that no token has")
        return Fixed(bearer(token.strip()))
    if name is not None:
        pair = base64.b64encode(f"{name}:{user.text('password') or ''}".encode()).decode()
        return Fixed({"Authorization": f"Basic {pair}"})
    if user.body.get("exec"):
        return _login(user, cluster, trusted)
    return Fixed()


def _show_certificate(user: Entry, trusted: ssl.SSLContext | None) -> None:
    certificate, key = user.content("client-certificate"), user.content("client-key")
    if (certificate is None) != (key is None):
        raise user.wrong(f"client-{'key' if key is None else 'certificate'} is missing")
    if certificate is not None and key is not None and trusted is not None:
        try:
            tls.show(trusted, certificate, key)
        except ValueError as error:
            raise user.wrong(f"client-certificate and client-key cannot be used: {error}") from error


def _login(user: Entry, cluster: Entry, trusted: ssl.SSLContext | None) -> Login:
    body = user.body["exec"]
    if not isinstance(body, dict):
        raise user.wrong("exec must be a mapping")
    inner = Entry(user.group, f"{user.name}: exec", body, user.file)
    version = inner.needed("apiVersion")
    if version not in _EXEC_VERSIONS:
        raise user.wrong(f"exec.apiVersion {version} is not supported", hint=f"write {_EXEC_VERSIONS[0]}")
    command = inner.needed("command")
    program = str(user.file.parent / command) if "/" in command else command
    return Login(
        argv=(program, *_texts(user, body.get("args"))),
        api_version=version,
        env=_env(user, body.get("env")),
        install_hint=inner.text("installHint"),
        interactive=inner.text("interactiveMode") != "Never",
        cluster=_told(cluster) if body.get("provideClusterInfo") is True else None,
        into=trusted,
    )


def _texts(user: Entry, listed: object) -> tuple[str, ...]:
    found = listed or []
    if not isinstance(found, list) or not all(isinstance(item, str) and "\0" not in item for item in found):
        raise user.wrong("exec.args must be a list of strings")
    return tuple(found)


def _env(user: Entry, listed: object) -> dict[str, str]:
    found = listed or []
    try:
        pairs = {item["name"]: item["value"] for item in found}  # type: ignore[attr-defined]  # what else fails is caught
    except (TypeError, KeyError):
        raise user.wrong("exec.env must be a list of name and value") from None
    if not all(isinstance(text, str) and "\0" not in text for pair in pairs.items() for text in pair):
        raise user.wrong("exec.env must be a list of name and value")
    return pairs


def _told(cluster: Entry) -> dict[str, Any]:
    """What a login program is told of the cluster."""
    authority = cluster.content("certificate-authority")
    extensions = cluster.body.get("extensions")
    listed = [one for one in extensions if isinstance(one, dict)] if isinstance(extensions, list) else []
    config = [one.get("extension") for one in listed if one.get("name") == "client.authentication.k8s.io/exec"]
    told = {
        "server": cluster.text("server"),
        "tls-server-name": cluster.text("tls-server-name"),
        "insecure-skip-tls-verify": _insecure(cluster) or None,
        "certificate-authority-data": None if authority is None else base64.b64encode(authority).decode(),
        "proxy-url": cluster.text("proxy-url"),
        "config": config[0] if config else None,
    }
    return {key: value for key, value in told.items() if value is not None}
