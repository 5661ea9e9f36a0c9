"""What gives out keys on a cloud's machines, on loopback: an instance's metadata service (version 2), and a portal of SSO.

Keys are handed out in the order given, the last one from then on; each with the seconds that it is said to live. Web
identity needs no fake: MinIO has that service itself.
"""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ROLE = "reader"
_TOKEN = "instance-token"  # noqa: S105 - what the fake asks for
_ROLES = "/latest/meta-data/iam/security-credentials/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Keys of a store, said to be good for *life_s*."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)
    life_s: float = 3600.0

    @property
    def ends(self) -> datetime:
        """When they are said to end, from now."""
        return datetime.now(UTC) + timedelta(seconds=self.life_s)


@dataclass(slots=True)
class Identity:
    """A running service. *asked* are the paths that keys were given out at, in order; *sso_token* is what a portal wants."""

    pairs: list[Pair]
    sso_token: str
    url: str = ""
    asked: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, path: str) -> Pair:
        """The keys that this request is given."""
        with self._lock:
            self.asked.append(path)
            return self.pairs.pop(0) if len(self.pairs) > 1 else self.pairs[0]


@contextmanager
def serving(pairs: Sequence[Pair], *, sso_token: str = "signed-in") -> Iterator[Identity]:  # noqa: S107 - of a fake
    """A running service that gives out *pairs*; ended at the end."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.identity = Identity(list(pairs), sso_token, url=f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server.identity
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    identity: Identity


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""

    def do_PUT(self) -> None:
        """A session with the metadata service."""
        self._send(200 if self.path == "/latest/api/token" else 404, _TOKEN)

    def do_GET(self) -> None:
        """Roles and their keys."""
        if self.path.startswith("/federation/credentials"):
            self._portal()
        elif self.headers.get("x-aws-ec2-metadata-token") != _TOKEN:
            self._send(401, "")
        elif self.path == _ROLES:
            self._send(200, ROLE)
        elif self.path == _ROLES + ROLE:
            self._metadata()
        else:
            self._send(404, "")

    def _metadata(self) -> None:
        pair = self.server.identity.next(self.path)
        self._send(
            200,
            {
                "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": pair.access_key, "SecretAccessKey": pair.secret_key,
                "Token": pair.token, "Expiration": pair.ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
        )  # fmt: skip

    def _portal(self) -> None:
        if self.headers.get("x-amz-sso_bearer_token") != self.server.identity.sso_token:
            self._send(401, {"__type": "UnauthorizedException", "message": "Session token not found or invalid"})
            return
        pair = self.server.identity.next(self.path)
        keys = {
            "accessKeyId": pair.access_key, "secretAccessKey": pair.secret_key, "sessionToken": pair.token,
            "expiration": int(pair.ends.timestamp() * 1000),
        }  # fmt: skip
        self._send(200, {"roleCredentials": keys})

    def _send(self, status: int, answer: str | dict[str, Any]) -> None:
        body = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(answer, str) else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
