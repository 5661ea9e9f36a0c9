"""The control plane: etcd, API server, controllers, scheduler; needs no root."""

import contextlib
import urllib.error

from tests.testbed import kube, network, pki, processes
from tests.testbed.api import Api, ApiError, wait
from tests.testbed.places import CLUSTER, PIDS

SERVER = "https://127.0.0.1:16443"
KUBECONFIG = CLUSTER / "admin.kubeconfig"
_PKI = CLUSTER / "pki"
_ETCD = "http://127.0.0.1:12379"
_PARTS = ("scheduler", "controller-manager", "apiserver", "etcd")


def write_identities() -> None:
    """Certificates and kubeconfigs of everyone who takes part."""
    host = network.host_address()
    names = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
    pki.write_authority(_PKI)
    server = [*(f"DNS:{name}" for name in names), "IP:127.0.0.1", "IP:10.96.0.1", f"IP:{host}"]
    pki.write_leaf(_PKI, "apiserver", "/CN=kube-apiserver", server)
    pki.write_leaf(_PKI, "admin", "/O=system:masters/CN=admin", ["DNS:admin"])
    node = ["DNS:node-1", "IP:127.0.0.1", f"IP:{host}"]
    pki.write_leaf(_PKI, "kubelet", "/O=system:nodes/CN=system:node:node-1", node)
    for name in ("admin", "kubelet"):
        pki.write_kubeconfig(CLUSTER / f"{name}.kubeconfig", _PKI, name, SERVER)


def up() -> Api:
    """Start it and wait until the API is ready."""
    kube.start(
        "etcd", "--data-dir", CLUSTER / "etcd", "--unsafe-no-fsync", "--log-level", "warn",
        "--listen-client-urls", _ETCD, "--advertise-client-urls", _ETCD,
        "--listen-peer-urls", "http://127.0.0.1:12380", "--initial-advertise-peer-urls", "http://127.0.0.1:12380",
        "--initial-cluster", "default=http://127.0.0.1:12380",
    )  # fmt: skip
    kube.start(
        "apiserver", "--etcd-servers", _ETCD, "--secure-port", "16443", "--bind-address", "0.0.0.0",
        "--advertise-address", network.host_address(), "--service-cluster-ip-range", "10.96.0.0/16",
        "--authorization-mode", "Node,RBAC", "--enable-admission-plugins", "NodeRestriction", "--allow-privileged",
        "--client-ca-file", _PKI / "ca.crt", "--cert-dir", _PKI,
        "--tls-cert-file", _PKI / "apiserver.crt", "--tls-private-key-file", _PKI / "apiserver.key",
        "--service-account-key-file", _PKI / "sa.pub", "--service-account-signing-key-file", _PKI / "sa.key",
        "--service-account-issuer", "https://kubernetes.default.svc",
        "--kubelet-client-certificate", _PKI / "admin.crt", "--kubelet-client-key", _PKI / "admin.key",
        "--kubelet-certificate-authority", _PKI / "ca.crt", "--kubelet-preferred-address-types", "InternalIP",
    )  # fmt: skip
    api = Api(KUBECONFIG)
    wait("the API server is ready", lambda: ready(api), within_s=90)
    kube.start(
        "controller-manager", "--kubeconfig", KUBECONFIG, "--bind-address", "127.0.0.1", "--leader-elect=false",
        "--use-service-account-credentials", "--service-account-private-key-file", _PKI / "sa.key",
        "--root-ca-file", _PKI / "ca.crt", "--cluster-signing-cert-file", _PKI / "ca.crt",
        "--cluster-signing-key-file", _PKI / "ca.key", "--allocate-node-cidrs", "--cluster-cidr", "10.244.0.0/16",
        "--pvclaimbinder-sync-period", "1s",
    )  # fmt: skip
    kube.start("scheduler", "--kubeconfig", KUBECONFIG, "--bind-address", "127.0.0.1", "--leader-elect=false")
    return api


def down() -> None:
    """End it, by recorded id."""
    for part in _PARTS:
        processes.end(PIDS / part)


def ready(api: Api | None = None) -> bool:
    """Whether the API server says that it is ready."""
    with contextlib.suppress(ApiError, urllib.error.URLError, OSError):
        return (api or Api(KUBECONFIG)).get("/readyz")["text"] == "ok"
    return False
