"""An identity provider on loopback, for servers that check tokens by OpenID Connect: a real key, real signatures (openssl)."""

import base64
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CLIENT = "lading"


@dataclass(frozen=True)
class Provider:
    """A running provider; *url* is the address of its configuration."""

    issuer: str
    key: Path

    @property
    def url(self) -> str:
        return f"{self.issuer}/.well-known/openid-configuration"

    def token(self, *, life_s: int, policy: str = "readonly", subject: str = "pod") -> str:
        """A signed token of *subject*, good for *life_s* from now."""
        now = int(time.time())
        claims = {
            "iss": self.issuer, "sub": subject, "aud": CLIENT, "azp": CLIENT, "iat": now, "exp": now + life_s, "policy": policy,
        }  # fmt: skip
        text = ".".join(map(_encoded, ({"alg": "RS256", "typ": "JWT", "kid": "one"}, claims)))
        signature = _openssl("dgst", "-sha256", "-sign", self.key, data=text.encode())
        return f"{text}.{_base64(signature)}"


@contextmanager
def running(folder: Path) -> Iterator[Provider]:
    """A provider whose key lies in *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    key = folder / "key.pem"
    _openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key)
    modulus = _openssl("rsa", "-in", key, "-noout", "-modulus").decode().strip().partition("=")[2]
    keys = {
        "keys": [
            {
                "kty": "RSA",
                "use": "sig",
                "alg": "RS256",
                "kid": "one",
                "e": "AQAB",
                "n": _base64(bytes.fromhex(modulus)),
            }
        ]
    }
    documents: dict[str, dict] = {"/keys": keys}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps(documents.get(self.path, {})).encode()
            self.send_response(200 if self.path in documents else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer = f"http://127.0.0.1:{server.server_address[1]}"
        documents["/.well-known/openid-configuration"] = {
            "issuer": issuer,
            "jwks_uri": f"{issuer}/keys",
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield Provider(issuer=issuer, key=key)
        finally:
            server.shutdown()
            thread.join()


def _encoded(document: dict) -> str:
    return _base64(json.dumps(document).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _openssl(*argv: str | Path, data: bytes | None = None) -> bytes:
    return subprocess.run(["openssl", *argv], input=data, check=True, capture_output=True).stdout
