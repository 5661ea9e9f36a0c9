"""Certificates and kubeconfigs of the test bed, by openssl, anew for each cluster and each server."""

import base64
import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


def missing() -> str | None:
    """Why no certificates can be made here; None when they can."""
    return None if shutil.which("openssl") else "openssl is not installed"


@dataclass(frozen=True)
class Certificates:
    """What a TLS server of the test bed shows, and what its clients must trust: paths of PEM files."""

    authority: Path
    certificate: Path
    key: Path


def for_server(folder: Path) -> Certificates:
    """A certificate for this host's loopback, of an authority of its own."""
    write_authority(folder)
    write_leaf(folder, "server", "/CN=localhost", ["DNS:localhost", "IP:127.0.0.1"])
    return Certificates(folder / "ca.crt", folder / "server.crt", folder / "server.key")


def write_authority(folder: Path) -> None:
    """``ca.crt`` and ``ca.key``, and ``sa.key`` with ``sa.pub`` for ServiceAccounts' tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    _key(folder / "ca.key")
    _openssl(
        "req", "-x509", "-key", folder / "ca.key", "-subj", "/CN=testbed", "-days", "30", "-out", folder / "ca.crt",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign",
    )  # fmt: skip
    _key(folder / "sa.key")
    _openssl("pkey", "-in", folder / "sa.key", "-pubout", "-out", folder / "sa.pub")


def write_leaf(folder: Path, name: str, subject: str, alternatives: Sequence[str]) -> None:
    """``NAME.crt`` and ``NAME.key``, signed by the folder's authority.

    Args:
        alternatives: ``DNS:…`` and ``IP:…``.
    """
    key, request, extensions = (folder / f"{name}.{end}" for end in ("key", "csr", "ext"))
    _key(key)
    _openssl("req", "-new", "-key", key, "-subj", subject, "-out", request)
    extensions.write_text(
        f"subjectAltName={','.join(alternatives)}\nextendedKeyUsage=serverAuth,clientAuth\n"
        "authorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"
    )
    _openssl(
        "x509", "-req", "-in", request, "-CA", folder / "ca.crt", "-CAkey", folder / "ca.key", "-CAcreateserial",
        "-days", "30", "-extfile", extensions, "-out", folder / f"{name}.crt",
    )  # fmt: skip


def write_kubeconfig(path: Path, folder: Path, name: str, server: str) -> None:
    """A kubeconfig for the leaf *name*."""
    user = {"client-certificate-data": _text(folder / f"{name}.crt"), "client-key-data": _text(folder / f"{name}.key")}
    cluster = {"server": server, "certificate-authority-data": _text(folder / "ca.crt")}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testbed", "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": name}}],
        "current-context": "testbed",
    }
    path.write_text(json.dumps(document))
    path.chmod(0o600)


def _key(path: Path) -> None:
    _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)
    path.chmod(0o600)


def _openssl(*argv: str | Path) -> None:
    subprocess.run(["openssl", *argv], check=True, capture_output=True)


def _text(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
