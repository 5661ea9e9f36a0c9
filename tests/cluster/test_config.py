"""Where the cluster is and who we are: kubeconfigs as kubectl reads them, logins, tokens that rotate, proxies, pods."""

import asyncio
import base64
import json
import os
import ssl
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.testbed import golden, pki, require

from lading.cluster import config, proxies
from lading.cluster.client import Cluster
from lading.cluster.identity import TokenFile
from lading.cluster.kinds import POD
from lading.errors import ClusterUnreachable, InvalidDocument, LadingError

SECRET = "s3cr3t-t0ken"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """An authority, a server's pair for 127.0.0.1, another for the name ``api.example`` alone, and a client's."""
    require("openssl", pki.missing() is None, pki.missing() or "")
    folder = tmp_path_factory.mktemp("pki")
    pki.write_authority(folder)
    pki.write_leaf(folder, "server", "/CN=server", ["IP:127.0.0.1"])
    pki.write_leaf(folder, "named", "/CN=named", ["DNS:api.example"])
    pki.write_leaf(folder, "client", "/CN=ann", ["DNS:ann"])
    return folder


def write(path, *, server="https://127.0.0.1:1", user=None, cluster=None, namespace=None, name="one"):
    """A kubeconfig with one context, cluster and user of that name."""
    context = {"cluster": name, "user": name, **({"namespace": namespace} if namespace else {})}
    document = {
        "apiVersion": "v1", "kind": "Config", "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": server, **(cluster or {})}}],
        "users": [{"name": name, "user": user or {}}],
        "contexts": [{"name": name, "context": context}],
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def connect(path=None, **options):
    return config.connection(kubeconfig=path, **{"environment": {}, **options})


async def headers(connection, **options):
    return dict(await connection.identity.headers(**options))


# ---------------------------------------------------------------------------------------------------------------- files


def test_the_explicit_file_comes_first_then_the_list_then_the_default_then_the_pod(tmp_path):
    """As kubectl has it; a pod's account is used where there is no kubeconfig."""
    explicit = write(tmp_path / "explicit", server="https://explicit")
    listed = write(tmp_path / "listed", server="https://listed")
    default = write(tmp_path / "home" / ".kube" / "config", server="https://default")
    account, pod = in_pod(tmp_path)
    everything = {"KUBECONFIG": str(listed), "HOME": str(tmp_path / "home"), **pod}
    found = []
    for path, without in ((explicit, ()), (None, ()), (None, ("KUBECONFIG",)), (None, ("KUBECONFIG", "HOME"))):
        environment = {key: value for key, value in everything.items() if key not in without}
        environment.setdefault("HOME", str(tmp_path / "nowhere"))
        found.append(connect(path, environment=environment, account=account).server)
    assert found == ["https://explicit", "https://listed", "https://default", "https://10.0.0.1:6443"]
    assert default.exists()


def in_pod(tmp_path):
    account = tmp_path / "account"
    account.mkdir()
    pem = ssl.DER_cert_to_PEM_cert(ssl.create_default_context().get_ca_certs(binary_form=True)[0])
    (account / "ca.crt").write_text(pem)
    (account / "token").write_text("one\n")
    (account / "namespace").write_text("demo")
    return account, {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}


async def test_a_pods_account_is_read_anew_when_its_token_rotates(tmp_path):
    """The namespace is the pod's; an IPv6 address has its brackets."""
    account, environment = in_pod(tmp_path)
    environment |= {"HOME": str(tmp_path), "KUBERNETES_SERVICE_HOST": "fd00::1"}
    found = connect(environment=environment, account=account)
    assert (found.server, found.namespace) == ("https://[fd00::1]:6443", "demo")
    assert await headers(found) == {"Authorization": "Bearer one"}
    (account / "token").write_text("two")
    assert await headers(found) == {"Authorization": "Bearer one"}
    assert await headers(found, renew=True) == {"Authorization": "Bearer two"}


async def test_a_token_file_is_read_again_after_a_minute(tmp_path):
    """Nobody says when it was replaced."""
    now = [0.0]
    path = tmp_path / "token"
    path.write_text("one")
    identity = TokenFile(path, clock=lambda: now[0])
    await identity.headers()
    path.write_text("two")
    now[0] = 61.0
    assert dict(await identity.headers()) == {"Authorization": "Bearer two"}


def test_what_an_earlier_file_names_wins(tmp_path):
    """Of a list, missing files are no error; a relative path starts at the file that has it."""
    first = write(tmp_path / "a" / "one", server="https://first", namespace="ours")
    second = write(tmp_path / "b" / "one", server="https://second")
    third = write(tmp_path / "b" / "two", server="https://third", name="two", user={"tokenFile": "token"})
    listed = os.pathsep.join(map(str, (tmp_path / "absent", first, second, third)))
    environment = {"KUBECONFIG": listed}
    assert (connect(environment=environment).server, connect(environment=environment).namespace) == (
        "https://first",
        "ours",
    )
    other = connect(environment=environment, context="two", namespace="theirs")
    assert (other.server, other.namespace, other.context) == ("https://third", "theirs", "two")
    assert other.identity.path == tmp_path / "b" / "token"


BROKEN = {
    "absent": None,
    "not yaml": "apiVersion: v1\nkind: Config\nusers: [{name: x, user: {token: " + SECRET + "}]\n",
    "a list": "- one\n",
    "another kind": "kind: Secret\n",
    "empty": "",
    "no context": "kind: Config\ncontexts: [{name: one, context: {cluster: c, user: u}}, {name: two, context: {}}]\n",
    "unknown context": "kind: Config\ncurrent-context: x\ncontexts: [{name: one, context: {}}]\n",
    "context without a cluster": "kind: Config\ncurrent-context: one\ncontexts: [{name: one, context: {user: u}}]\n",
    "dangling user": (
        "kind: Config\ncurrent-context: one\ncontexts: [{name: one, context: {cluster: c, user: u}}]\n"
        "clusters: [{name: c, cluster: {server: https://c}}]\n"
    ),
    "nameless": "kind: Config\nclusters: [{cluster: {server: https://c}}]\n",
    "numbers": "kind: Config\ncurrent-context: 7\n",
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_one_clear_error(tmp_path, case):
    """Which file, what is missing, what there is instead; no secret of it."""
    path = tmp_path / "config"
    if BROKEN[case] is not None:
        path.write_text(BROKEN[case])
    check_error(tmp_path, f"kubeconfig {case}", path)


def check_error(tmp_path, case, path, **options):
    with pytest.raises((ClusterUnreachable, InvalidDocument)) as raised:
        connect(path, **options)
    text = f"error: {raised.value.message}\n" + (f"hint: {raised.value.hint}\n" if raised.value.hint else "")
    text = text.replace(str(tmp_path), "FOLDER")
    assert SECRET not in text
    golden.check("cluster", case.replace(" ", "-"), text)


def test_nothing_configured_says_what_to_do(tmp_path):
    check_error(tmp_path, "kubeconfig nothing", None, environment={"HOME": str(tmp_path)})


WRONG = {
    "no server": ({"server": ""}, {}),
    "server without a scheme": ({"server": "api.example:6443"}, {}),
    "server with a wrong port": ({"server": "https://api.example:many"}, {}),
    "authority no base64": ({"certificate-authority-data": SECRET + "!"}, {}),
    "authority no certificate": ({"certificate-authority-data": base64.b64encode(b"nothing").decode()}, {}),
    "authority absent": ({"certificate-authority": "ca.crt"}, {}),
    "authority and insecure": ({"certificate-authority": "config", "insecure-skip-tls-verify": True}, {}),
    "socks": ({"proxy-url": "socks5://ann:" + SECRET + "@proxy:1080"}, {}),
    "certificate without a key": ({}, {"client-certificate-data": base64.b64encode(b"x").decode()}),
    "no pair": ({}, {"client-certificate-data": "eA==", "client-key-data": base64.b64encode(SECRET.encode()).decode()}),
    "token a number": ({}, {"token": 12345}),
    "token of two lines": ({}, {"token": SECRET + "\nX-Other: 1"}),
    "auth provider": ({}, {"auth-provider": {"name": "oidc"}}),
    "impersonation": ({}, {"as": "root", "token": SECRET}),
    "exec of an old version": ({}, {"exec": {"apiVersion": "client.authentication.k8s.io/v1alpha1", "command": "x"}}),
    "exec without a command": ({}, {"exec": {"apiVersion": "client.authentication.k8s.io/v1"}}),
    "exec with a map of env": (
        {}, {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "x", "env": {"A": SECRET}}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_entry_is_named(tmp_path, case):
    """File, entry and key; never the value of a secret."""
    cluster, user = WRONG[case]
    check_error(tmp_path, f"kubeconfig {case}", write(tmp_path / "config", cluster=cluster, user=user))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = {
    "clusters": ["server", "certificate-authority", "certificate-authority-data", "insecure-skip-tls-verify", "proxy-url",
                 "tls-server-name", "extensions"],
    "users": ["token", "tokenFile", "username", "password", "client-certificate-data", "client-key-data", "exec", "as"],
    "exec": ["apiVersion", "command", "args", "env", "installHint", "interactiveMode", "provideClusterInfo"],
}  # fmt: skip


def some(keys, **more):
    return st.fixed_dictionaries({}, optional=dict.fromkeys(keys, ANYTHING)).map(lambda drawn: {**drawn, **more})


@settings(phases=[Phase.generate])  # shrinking reads thousands of files
@given(
    some(KEYS["clusters"], server="https://127.0.0.1:1") | some(KEYS["clusters"]) | ANYTHING,
    some(KEYS["users"])
    | some(KEYS["exec"], apiVersion="client.authentication.k8s.io/v1", command="x", provideClusterInfo=True).map(
        lambda drawn: {"exec": drawn}
    )
    | ANYTHING,
    ANYTHING,
)
def test_no_kubeconfig_breaks_it(tmp_path_factory, cluster, user, other):
    """Whatever somebody wrote into it: a connection, or one of our errors."""
    path = tmp_path_factory.getbasetemp() / "any"
    document = {
        "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
        "clusters": [{"name": "c", "cluster": cluster}], "users": [{"name": "c", "user": user}],
    }  # fmt: skip
    for text in (json.dumps(document), json.dumps({**document, "contexts": other}), json.dumps(other)):
        path.write_text(text)
        try:
            connect(path)
        except LadingError:
            continue


# ------------------------------------------------------------------------------------------------------------- identity


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ({"token": SECRET}, f"Bearer {SECRET}"),
        ({"token": "other", "tokenFile": "token"}, f"Bearer {SECRET}"),
        ({"username": "ann", "password": SECRET}, "Basic " + base64.b64encode(f"ann:{SECRET}".encode()).decode()),
        ({}, None),
    ],
)
async def test_users_by_token_file_and_password(tmp_path, user, expected):
    """A token in a file is preferred; nothing of it is in a repr."""
    (tmp_path / "token").write_text(SECRET + "\n")
    found = connect(write(tmp_path / "config", user=user))
    assert (await headers(found)).get("Authorization") == expected
    assert SECRET not in repr(found) + repr(found.identity)


PLUGIN = """#!{python}
import json, os, sys
log = open("{folder}/asked", "a")
print(json.dumps([sys.argv[1:], os.environ.get("REGION"), json.loads(os.environ["KUBERNETES_EXEC_INFO"])]), file=log)
print(json.dumps({{"apiVersion": "{version}", "kind": "ExecCredential", "status": {status}}}))
"""


def plugin(folder, status, *, version="client.authentication.k8s.io/v1", body=PLUGIN, **more):
    """A kubeconfig whose user logs in by a program beside it."""
    path = folder / "login"
    path.write_text(body.format(python=sys.executable, folder=folder, version=version, status=status))
    path.chmod(0o755)
    login = {"apiVersion": version, "command": "./login", "interactiveMode": "Never", **more}
    return write(folder / "config", user={"exec": login})


def asked(folder):
    return [json.loads(line) for line in (folder / "asked").read_text().splitlines()]


@pytest.mark.parametrize("version", ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"])
async def test_a_login_program_is_asked_once(tmp_path, version):
    """By its arguments and environment, told of the cluster where it wants that; its token serves every request."""
    path = plugin(
        tmp_path, {"token": SECRET}, version=version, args=["get-token", "--x"],
        env=[{"name": "REGION", "value": "eu"}], provideClusterInfo=True,
    )  # fmt: skip
    found = connect(path)
    given = await asyncio.gather(*(headers(found) for _ in range(5)))
    assert given == [{"Authorization": f"Bearer {SECRET}"}] * 5
    ((argv, region, told),) = asked(tmp_path)
    assert (argv, region, told["apiVersion"]) == (["get-token", "--x"], "eu", version)
    assert told["spec"] == {"interactive": False, "cluster": {"server": "https://127.0.0.1:1"}}
    assert SECRET not in repr(found) + repr(found.identity)


async def test_a_login_is_repeated_when_it_has_expired_or_was_refused(tmp_path):
    """Not before."""
    status = {"token": SECRET, "expirationTimestamp": "2026-01-01T00:00:00Z"}
    found = connect(plugin(tmp_path, status))
    found.identity.clock = lambda: 1767225599.0  # a second before
    await headers(found)
    await headers(found)
    assert len(asked(tmp_path)) == 1
    await headers(found, renew=True)
    assert len(asked(tmp_path)) == 2
    found.identity.clock = lambda: 1767225600.0
    await headers(found)
    assert len(asked(tmp_path)) == 3


FAILING = {
    "absent": (None, {"installHint": "pip install the-login"}),
    "fails": ("#!/bin/sh\necho '" + SECRET + "'\necho 'the session has expired, run: aws sso login' >&2\nexit 3\n", {}),
    "prints no JSON": ("#!/bin/sh\necho " + SECRET + "\n", {}),
    "prints something else": ("#!/bin/sh\necho '{{}}'\n", {}),
    "speaks another version": (PLUGIN.replace('"{version}"', '"client.authentication.k8s.io/v9"'), {}),
    "gives nothing": (PLUGIN.replace("{status}", "{{}}"), {}),
    "gives no time": (PLUGIN.replace("{status}", '{{"token": "x", "expirationTimestamp": "soon"}}'), {}),
    "cannot be run": ("#!/nonexistent\n", {}),
}


@pytest.mark.parametrize("case", FAILING)
async def test_a_login_that_fails_says_so(tmp_path, case):
    """With the program's own last words, and how to install it; never what it printed."""
    body, more = FAILING[case]
    path = plugin(tmp_path, {"token": SECRET}, body=body or PLUGIN, **more)
    if body is None:
        (tmp_path / "login").unlink()
    with pytest.raises(ClusterUnreachable) as raised:
        await headers(connect(path))
    text = f"error: {raised.value.message}\nhint: {raised.value.hint}\n".replace(str(tmp_path), "FOLDER")
    assert SECRET not in text
    golden.check("cluster", f"login-{case}".replace(" ", "-"), text)


# ------------------------------------------------------------------------------------------------------------------ TLS


async def over_tls(authority, leaf, *, cluster=None, user=None, folder, client=None, **options):
    """What a server with the certificate *leaf* answers to our client: the name it saw in the client's certificate."""

    async def answer(request):
        shown = request.transport.get_extra_info("peercert") or {}
        names = [value for part in shown.get("subject", ()) for key, value in part if key == "commonName"]
        return web.json_response({"metadata": {"name": names[0] if names else None}})

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority / "ca.crt")
    context.load_cert_chain(authority / f"{leaf}.crt", authority / f"{leaf}.key")
    context.verify_mode = ssl.CERT_OPTIONAL
    server = RawTestServer(answer)
    await server.start_server(ssl=context)
    try:
        path = write(folder / "config", server=str(server.make_url("")), cluster=cluster, user=user)
        async with Cluster(connect(path, **options)) as cluster_:
            return (await cluster_.get(POD, "x"))["metadata"]["name"]
    finally:
        await server.close()


def data(path):
    return base64.b64encode(path.read_bytes()).decode()


async def test_a_renewed_certificate_is_shown_at_once(authority, tmp_path):
    """A connection keeps the certificate it was made with: after a refusal there is a new one."""
    for name in ("old", "new"):
        pki.write_leaf(authority, name, f"/CN={name}", [f"DNS:{name}"])
    status = json.dumps({
        name: {"clientCertificateData": (authority / f"{name}.crt").read_text(),
               "clientKeyData": (authority / f"{name}.key").read_text()} for name in ("old", "new")
    }).replace("{", "{{").replace("}", "}}")  # fmt: skip
    body = PLUGIN.replace("{status}", status + "['new' if os.path.exists('{folder}/renew') else 'old']")
    user = json.loads(plugin(tmp_path, {}, body=body).read_text())["users"][0]["user"]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority / "ca.crt")
    context.load_cert_chain(authority / "server.crt", authority / "server.key")
    context.verify_mode = ssl.CERT_REQUIRED

    async def answer(request):
        shown = dict(part[0] for part in request.transport.get_extra_info("peercert")["subject"])["commonName"]
        refused = shown == "old" and (tmp_path / "renew").exists()
        return web.json_response({"metadata": {"name": shown}}, status=401 if refused else 200)

    server = RawTestServer(answer)
    await server.start_server(ssl=context)
    trusted = {"certificate-authority-data": data(authority / "ca.crt")}
    async with Cluster(
        connect(write(tmp_path / "config", server=str(server.make_url("")), cluster=trusted, user=user))
    ) as cluster:
        assert (await cluster.get(POD, "x"))["metadata"]["name"] == "old"
        (tmp_path / "renew").touch()
        assert (await cluster.get(POD, "x"))["metadata"]["name"] == "new"
    await server.close()


async def test_an_authority_is_trusted_by_file_and_by_data(authority, tmp_path):
    """A relative file is beside the kubeconfig; another authority is not trusted, and that is said at once."""
    (tmp_path / "ca.crt").write_bytes((authority / "ca.crt").read_bytes())
    for cluster in ({"certificate-authority": "ca.crt"}, {"certificate-authority-data": data(authority / "ca.crt")}):
        assert await over_tls(authority, "server", cluster=cluster, folder=tmp_path) is None
    with pytest.raises(ClusterUnreachable, match="not trusted"):
        await over_tls(authority, "server", folder=tmp_path)


async def test_a_client_certificate_is_shown_and_leaves_no_key_behind(authority, tmp_path, monkeypatch):
    """By files and by data; OpenSSL's file is ours alone and gone at once."""
    left = tmp_path / "left"
    left.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(left))
    modes = []
    load = ssl.SSLContext.load_cert_chain

    def watched(self, pair, **options):
        modes.append((stat.S_IMODE(Path(pair).stat().st_mode), stat.S_IMODE(Path(pair).parent.stat().st_mode)))
        return load(self, pair, **options)

    trusted = {"certificate-authority-data": data(authority / "ca.crt")}
    by_data = {
        f"client-{kind}-data": data(authority / f"client.{end}")
        for kind, end in (("certificate", "crt"), ("key", "key"))
    }
    by_file = {
        f"client-{kind}": str(authority / f"client.{end}") for kind, end in (("certificate", "crt"), ("key", "key"))
    }
    for user in (by_data, by_file):
        with monkeypatch.context() as patch:
            patch.setattr(ssl.SSLContext, "load_cert_chain", watched)
            write(tmp_path / "config", cluster=trusted, user=user)
            connect(tmp_path / "config")
        assert await over_tls(authority, "server", cluster=trusted, user=user, folder=tmp_path) == "ann"
    assert modes == [(0o600, 0o700)] * 2
    assert list(left.iterdir()) == []


async def test_a_login_may_give_a_certificate(authority, tmp_path):
    """It is shown on the next connection."""
    texts = [(authority / name).read_text() for name in ("client.crt", "client.key")]
    path = plugin(tmp_path, {"clientCertificateData": texts[0], "clientKeyData": texts[1]})
    user = json.loads(path.read_text())["users"][0]["user"]
    trusted = {"certificate-authority-data": data(authority / "ca.crt")}
    assert await over_tls(authority, "server", cluster=trusted, user=user, folder=tmp_path) == "ann"


def test_an_encrypted_key_asks_nobody(authority, tmp_path):
    """A question on the terminal of a Job would hang for ever."""
    locked = tmp_path / "locked.key"
    subprocess.run(
        ["openssl", "pkey", "-in", authority / "client.key", "-aes128", "-passout", "pass:x", "-out", locked],
        check=True,
    )
    path = write(
        tmp_path / "config", user={"client-certificate": str(authority / "client.crt"), "client-key": str(locked)}
    )
    with pytest.raises(InvalidDocument, match="encrypted"):
        connect(path)


async def test_the_name_in_the_certificate_may_be_another(authority, tmp_path):
    """`tls-server-name`; without it the same server is refused."""
    trusted = {"certificate-authority-data": data(authority / "ca.crt")}
    with pytest.raises(ClusterUnreachable, match="not trusted"):
        await over_tls(authority, "named", cluster=trusted, folder=tmp_path)
    named = {**trusted, "tls-server-name": "api.example"}
    assert await over_tls(authority, "named", cluster=named, folder=tmp_path) is None


async def test_not_checking_is_said(authority, tmp_path):
    """`insecure-skip-tls-verify` works, with a note; so does plain HTTP."""
    insecure = {"insecure-skip-tls-verify": True}
    assert await over_tls(authority, "named", cluster=insecure, folder=tmp_path) is None
    assert "not checked" in connect(tmp_path / "config").notes[0]
    assert "without encryption" in connect(write(tmp_path / "plain", server="http://127.0.0.1:1")).notes[0]
    assert connect(write(tmp_path / "sound")).notes == ()


# --------------------------------------------------------------------------------------------------------------- proxies


@pytest.mark.parametrize(
    ("server", "no_proxy", "through"),
    [
        ("https://api.example:6443", "", True), ("https://api.example", "*", False),
        ("https://api.example", "example", False), ("https://api.example", ".example", False),
        ("https://example", ".other,example", False), ("https://badexample", "example", True),
        ("https://api.example:6443", "api.example:6443", False), ("https://api.example:6443", "api.example:443", True),
        ("https://10.1.2.3", "10.0.0.0/8", False), ("https://11.1.2.3", "10.0.0.0/8,.1.2.3x", True),
        ("https://[fd00::1]:6443", "fd00::/8", False), ("https://localhost:6443", "", False),
        ("https://127.0.0.5:6443", "", False), ("http://api.example", "", False),
    ],
)  # fmt: skip
def test_which_proxy(server, no_proxy, through):
    """`HTTPS_PROXY` but for what `NO_PROXY` exempts; this machine is never beyond a proxy."""
    expected = "http://proxy:3128" if through else None
    for case in (str.upper, str.lower):
        environment = {case("https_proxy"): "proxy:3128", case("no_proxy"): no_proxy}
        assert proxies.of(server, environment) == expected


@given(st.text(), st.text())
def test_no_environment_breaks_it(proxy, no_proxy):
    """Whatever somebody exported."""
    proxies.of("https://api.example:6443", {"HTTPS_PROXY": proxy, "NO_PROXY": no_proxy})


async def test_the_proxy_of_the_kubeconfig_is_used(authority, tmp_path):
    """Before that of the environment; a refusal of the proxy's does not show its password."""
    connected = []

    async def tunnel(reader, writer):
        target = (await reader.readline()).split()[1].decode()
        while (await reader.readline()).strip():
            pass
        connected.append(target)
        if "refuse" in str(tmp_path / "refuse") and (tmp_path / "refuse").exists():
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            writer.close()
            return
        there, back = await asyncio.open_connection(*target.split(":"))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(carried(reader, back), carried(there, writer))

    proxy = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    port = proxy.sockets[0].getsockname()[1]
    cluster = {
        "certificate-authority-data": data(authority / "ca.crt"), "proxy-url": f"http://ann:{SECRET}@127.0.0.1:{port}",
    }  # fmt: skip
    environment = {"HTTPS_PROXY": "http://127.0.0.1:1"}
    assert await over_tls(authority, "server", cluster=cluster, folder=tmp_path, environment=environment) is None
    assert len(connected) == 1
    (tmp_path / "refuse").touch()
    with pytest.raises(ClusterUnreachable, match="407") as raised:
        await over_tls(authority, "server", cluster=cluster, folder=tmp_path)
    assert SECRET not in f"{raised.value.message}{raised.value.hint}"
    proxy.close()


async def carried(reader, writer):
    while chunk := await reader.read(65536):
        writer.write(chunk)
    writer.close()


# ----------------------------------------------------------------------------------------------------------- unreachable


async def test_a_server_that_is_not_there_is_named(tmp_path, unused_tcp_port):
    """With its context, and soon: before the first answer there may be none at all."""
    path = write(tmp_path / "config", server=f"https://127.0.0.1:{unused_tcp_port}")
    async with Cluster(connect(path)) as cluster:
        with pytest.raises(ClusterUnreachable) as raised:
            await cluster.get(POD, "x")
    text = f"error: {raised.value.message}\nhint: {raised.value.hint}\n".replace(str(unused_tcp_port), "PORT")
    golden.check("cluster", "unreachable", text)


def test_the_client_is_quick_to_import():
    """Nothing but aiohttp and ours: no YAML, no pydantic."""
    script = "import sys, lading.cluster.client; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"ruamel", "pydantic", "rich", "botocore", "kubernetes"} & set(loaded)
