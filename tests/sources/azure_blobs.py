"""As much of Azure Blob Storage as is read from it: a listing in pages, and blobs by range with their marks."""

import hashlib
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

PAGE = 3
_DATE = "Sat, 21 Nov 2026 10:00:00 GMT"


@dataclass
class Blobs:
    """Blobs by name, in the container ``models`` of the account ``lading``."""

    url: str = ""
    blobs: dict[str, bytes] = field(default_factory=dict)
    status: int | None = None


@contextmanager
def serving():
    blobs = Blobs()

    class Handler(_Handler):
        held = blobs

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        blobs.url = f"http://127.0.0.1:{server.server_address[1]}/lading"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield blobs
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    held: Blobs

    def log_message(self, *said):
        """Say nothing."""

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        if self.held.status:
            self._answer(self.held.status, b"")
        elif query.get("comp") == ["list"]:
            self._answer(200, self._list(query.get("prefix", [""])[0], query.get("marker", [""])[0]))
        else:
            self._blob(unquote(parts.path).removeprefix("/lading/models/"))

    def _list(self, prefix, marker):
        names = [name for name in sorted(self.held.blobs) if name.startswith(prefix) and name > marker]
        items = "".join(
            f"<Blob><Name>{escape(name)}</Name><Properties><Last-Modified>{_DATE}</Last-Modified>"
            f"<Etag>{_etag(self.held.blobs[name])}</Etag><Content-Length>{len(self.held.blobs[name])}</Content-Length>"
            "<Content-Type>application/octet-stream</Content-Type></Properties></Blob>"
            for name in names[:PAGE]
        )
        more = escape(names[PAGE - 1]) if len(names) > PAGE else ""
        return (
            '<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="models">'
            f"<Blobs>{items}</Blobs><NextMarker>{more}</NextMarker></EnumerationResults>"
        ).encode()

    def _blob(self, name):
        data = self.held.blobs.get(name)
        if data is None:
            self._answer(404, b"")
            return
        wanted = self.headers.get("If-Match")
        if wanted not in {None, _etag(data)}:
            self._answer(412, b"")
            return
        start, end = 0, len(data)
        asked = self.headers.get("x-ms-range") or self.headers.get("Range")
        if asked:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last) + 1, len(data)) if last else len(data)
        headers = {"ETag": _etag(data), "Last-Modified": _DATE, "x-ms-blob-type": "BlockBlob"}
        if asked:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
        self._answer(206 if asked else 200, data[start:end], headers)

    def _answer(self, status, body, headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def _etag(data):
    return f'"0x{hashlib.sha256(data).hexdigest()[:15].upper()}"'
