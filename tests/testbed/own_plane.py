"""An API server of one test's own, to be ended and started again: the shared one is never.

There is no node: `Kubelet` answers in the place of one, with logs alone.
"""

import asyncio
import contextlib
import signal
import socket
import ssl
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from aiohttp import web
from aiohttp.test_utils import RawTestServer
from tests.testbed import kube, pki
from tests.testbed.api import Api, ApiError, wait


class OwnPlane:
    """etcd and an API server under *folder*; gone with this process, also when it is killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kubeconfig = folder / "admin.kubeconfig"
        self.port, self._etcd, self._peer = (_free_port() for _ in range(3))
        self._processes: dict[str, subprocess.Popen] = {}
        pki.write_authority(folder / "pki")
        pki.write_leaf(folder / "pki", "apiserver", "/CN=kube-apiserver", ["IP:127.0.0.1", "IP:10.97.0.1"])
        pki.write_leaf(folder / "pki", "admin", "/O=system:masters/CN=admin", ["DNS:admin"])
        pki.write_leaf(folder / "pki", "kubelet", "/CN=kubelet", ["IP:127.0.0.1"])
        pki.write_kubeconfig(self.kubeconfig, folder / "pki", "admin", f"https://127.0.0.1:{self.port}")
        self.api = Api(self.kubeconfig)

    def start(self) -> None:
        """Start etcd and the API server; ready on return."""
        client, peer = f"http://127.0.0.1:{self._etcd}", f"http://127.0.0.1:{self._peer}"
        self._run(
            "etcd", "--data-dir", self.folder / "etcd", "--unsafe-no-fsync", "--log-level", "warn",
            "--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer,
            "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}",
        )  # fmt: skip
        self.start_server()
        wait("the API server is ready", self._ready, within_s=90)

    def start_server(self) -> None:
        """Start the API server alone."""
        folder = self.folder / "pki"
        self._run(
            "apiserver", "--etcd-servers", f"http://127.0.0.1:{self._etcd}", "--secure-port", str(self.port),
            "--bind-address", "127.0.0.1", "--service-cluster-ip-range", "10.97.0.0/24",
            "--authorization-mode", "RBAC", "--disable-admission-plugins", "ServiceAccount",
            "--client-ca-file", folder / "ca.crt", "--cert-dir", folder, "--shutdown-delay-duration", "0s",
            "--tls-cert-file", folder / "apiserver.crt", "--tls-private-key-file", folder / "apiserver.key",
            "--service-account-key-file", folder / "sa.pub", "--service-account-signing-key-file", folder / "sa.key",
            "--service-account-issuer", "https://kubernetes.default.svc",
            "--kubelet-client-certificate", folder / "admin.crt", "--kubelet-client-key", folder / "admin.key",
            "--kubelet-preferred-address-types", "InternalIP",
        )  # fmt: skip

    def end_server(self, how: signal.Signals) -> None:
        """End the API server."""
        self._end("apiserver", how)

    def stop(self) -> None:
        """End everything."""
        for part in [*self._processes]:
            self._end(part, signal.SIGKILL)

    def _run(self, part: str, *argv: str | Path) -> None:
        with (self.folder / f"{part}.log").open("ab") as log:
            self._processes[part] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", kube.PROGRAM, part, *argv], stdout=log, stderr=log
            )

    def _end(self, part: str, how: signal.Signals) -> None:
        process = self._processes.pop(part)
        process.send_signal(how)
        process.wait(60)

    def _ready(self) -> bool:
        with contextlib.suppress(ApiError, OSError):
            return self.api.get("/readyz")["text"] == "ok"
        return False


class Kubelet:
    """Answers an API server's questions for a container's log; an async context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = RawTestServer(self._answer)
        self.lines: list[tuple[str, str]] = []
        self.ended = False
        self.asked = asyncio.Event()

    async def __aenter__(self) -> Self:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._folder / "pki/kubelet.crt", self._folder / "pki/kubelet.key")
        await self._server.start_server(ssl=context)
        return self

    async def __aexit__(self, *_) -> None:
        self.ended = True
        await self._server.close()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.port

    def write(self, *texts: str) -> None:
        """Lines, stamped now."""
        self.lines += [(datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z", text) for text in texts]

    async def _answer(self, request):
        self.asked.set()
        since, answer, told = request.query.get("sinceTime"), web.StreamResponse(), 0
        await answer.prepare(request)
        while request.transport is not None:
            for stamp, text in self.lines[told:]:
                told += 1
                if since is None or datetime.fromisoformat(stamp) >= datetime.fromisoformat(since):
                    await answer.write(f"{stamp} {text}\n".encode())
            if self.ended or "follow" not in request.query:
                break
            await asyncio.sleep(0.02)
        return answer


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
