"""A real nginx over a folder, plain and by TLS, as any user: the web server that most mirrors of weights are."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.testbed import packages
from tests.testbed.pki import Certificates

PACKAGE = "nginx-light"
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])

_CONFIG = """
daemon off;
{user}
worker_processes {workers};
pid {state}/nginx.pid;
error_log {state}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log {state}/access.log;
    client_body_temp_path {state}/body;
    proxy_temp_path {state}/proxy;
    fastcgi_temp_path {state}/fastcgi;
    uwsgi_temp_path {state}/uwsgi;
    scgi_temp_path {state}/scgi;
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000;
    server {{
        listen 127.0.0.1:{plain};
        root {files};
    }}
    {secure}
}}
"""
_SECURE = """
    server {{
        listen 127.0.0.1:{port} ssl;
        root {files};
        ssl_certificate {certificates.certificate};
        ssl_certificate_key {certificates.key};
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache shared:tls:1m;
    }}
"""


def program() -> Path | None:
    """Where nginx is; None where there is none."""
    found = shutil.which("nginx", path=_PATH)
    return Path(found) if found else None


def prepare() -> list[str]:
    """Install it where that is ours to do (Debian, as root), without its service; a sentence on what was found."""
    if program() is None and packages.can_install():
        packages.install([PACKAGE])
    return [f"nginx: {program() or 'not found; install it with the packages of this system'}"]


@dataclass(frozen=True)
class Nginx:
    """A running server.

    Attributes:
        files: The folder it serves.
        url: Its root without TLS.
        tls_url: The same by TLS; None without certificates.
    """

    files: Path
    url: str
    tls_url: str | None
    certificates: Certificates | None


@contextmanager
def running(state: Path, *, certificates: Certificates | None = None, workers: int = 2) -> Iterator[Nginx]:
    """A server over ``STATE/files``; ended with its workers at the end."""
    binary = program()
    assert binary is not None
    files = state / "files"
    files.mkdir()
    plain, port = _free_ports()
    secure = "" if certificates is None else _SECURE.format(port=port, files=files, certificates=certificates)
    config = state / "nginx.conf"
    config.write_text(
        _CONFIG.format(
            user="user root;" if os.geteuid() == 0 else "", state=state, files=files, plain=plain, workers=workers,
            secure=secure,
        )
    )  # fmt: skip
    with (state / "nginx.log").open("wb") as log:
        process = subprocess.Popen([str(binary), "-p", str(state), "-c", str(config)], stdout=log, stderr=log)
    try:
        _wait_listening(process, plain, state / "nginx.log")
        tls_url = None if certificates is None else f"https://127.0.0.1:{port}"
        yield Nginx(files, f"http://127.0.0.1:{plain}", tls_url, certificates)
    finally:
        process.terminate()  # never killed first: its workers would stay
        process.wait(timeout=30)


def _wait_listening(process: subprocess.Popen, port: int, log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"nginx ended with {process.returncode}: {log.read_text()[-2000:]}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=2).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"nginx does not listen: {log.read_text()[-2000:]}")


def _free_ports() -> list[int]:
    """Two, held at once so that they differ."""
    with socket.socket() as one, socket.socket() as other:
        for probe in (one, other):
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in (one, other)]
