"""What HTTP servers, lists and networks do."""

import asyncio
import hashlib
import http.server
import shutil
import socketserver
import ssl
import subprocess
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.testbed import require

from lading.errors import InvalidInput, SourceError, SourceTransient
from lading.sources.checksums import Named, parse_list
from lading.sources.connection import without_secrets, without_user
from lading.sources.http import UNCHECKED, HttpSource
from lading.spec.pull import Choices
from lading.spec.ref import SourceRef
from lading.testing import web

SUM = "a" * 64


@pytest.fixture
def server():
    with web.serving({"d/a.bin": b"a" * 1000, "d/b.bin": b"b" * 1000, "d/c d.bin": b"c"}) as running:
        yield running


@pytest.fixture
def source():
    made = HttpSource()
    yield made
    made.close()


def resolve(source, url):
    scheme, _, location = url.partition("://")
    return asyncio.run(source.resolve(SourceRef(scheme=scheme, location=location)))


def read(source, entry):
    buffer = memoryview(bytearray(10_000))
    data = bytearray()
    while count := source.read_into(entry, len(data), buffer):
        data += buffer[:count]
    return bytes(data)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a.bin\n\n# comment\nsub/b.bin\n", [Named("a.bin"), Named("sub/b.bin")]),
        (f"{SUM}  a b.bin\n{SUM} *b.bin\n", [Named("a b.bin", SUM), Named("b.bin", SUM)]),
        (f"{SUM.upper()}  ./a.bin\n", [Named("a.bin", SUM)]),
        (f"{SUM} a.bin\n", [Named(f"{SUM} a.bin")]),
    ],
)
def test_lists(text, named):
    assert parse_list(text, "list") == named


@pytest.mark.parametrize("text", ["", "\n# nothing\n", "a\na\n", f"{SUM}  a\na\n"])
def test_lists_that_say_nothing_or_one_name_twice_are_refused(text):
    with pytest.raises(InvalidInput):
        parse_list(text, "list")


@given(st.text(max_size=200))
def test_any_text_is_a_list_or_is_refused(text):
    try:
        assert len({item.path for item in parse_list(text, "list")}) > 0
    except InvalidInput:
        pass


@pytest.mark.parametrize("name", ["SHA256SUMS", "sha256sum.txt", "model.sha256", "v1_SHA256SUMS.txt", "a-sha256sums"])
def test_checksum_files_are_known_by_their_names(name, server, source):
    server.files[f"d/{name}"] = f"{hashlib.sha256(b'c').hexdigest()}  c d.bin\n".encode()
    listing = resolve(source, f"{server.url}/d/{name}")
    assert [entry.path for entry in listing.entries] == ["c d.bin"]
    assert read(source, listing.entries[0]) == b"c"


def test_small_files_share_a_connection(server, source):
    """What differs is the client's port."""
    server.files["d/SHA256SUMS"] = f"{SUM}  a.bin\n{SUM}  b.bin\n".encode()
    listing = resolve(source, f"{server.url}/d/SHA256SUMS")
    server.peers.clear()
    for entry in listing.entries * 3:
        read(source, entry)
    assert len(server.peers) == 1


def test_a_kept_connection_that_the_server_closed_is_opened_again(server, source):
    listing = resolve(source, f"{server.url}/d/a.bin")
    server.close_after = True
    for _ in range(3):
        assert read(source, listing.entries[0]) == b"a" * 1000


def test_a_proxy_of_the_environment_is_used(server, source, monkeypatch):
    """A proxy gets the whole address; our test server then knows the file by it."""
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "")
    server.files["http://models.example/x.bin"] = b"through the proxy"
    listing = resolve(source, "http://models.example/x.bin")
    assert read(source, listing.entries[0]) == b"through the proxy"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert resolve(source, f"{server.url}/d/a.bin").size_bytes == 1000


def test_redirects_without_end_are_told(server, source):
    server.redirects["loop"] = f"{server.url}/loop"
    with pytest.raises(SourceError, match="redirects more than 5 times"):
        resolve(source, f"{server.url}/loop")


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://host/x"])
def test_redirects_to_another_kind_of_place_are_refused(server, source, target):
    server.redirects["away"] = target
    with pytest.raises(SourceError, match="not as safe"):
        resolve(source, f"{server.url}/away")


def test_what_is_no_http_is_told(source):
    class Nonsense(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(1000)
            self.request.sendall(b"SSH-2.0-OpenSSH_9\r\n\r\n")

    with socketserver.TCPServer(("127.0.0.1", 0), Nonsense) as other:
        threading.Thread(target=other.serve_forever, args=(0.02,), daemon=True).start()
        with pytest.raises(SourceTransient, match="BadStatusLine"):
            resolve(source, f"http://127.0.0.1:{other.server_address[1]}/x")
        other.shutdown()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://u:p@host:1/a/b?sig=1#x", "https://host:1/a/b?…"),
        ("http://host/a", "http://host/a"),
        ("https://u:p%40@host/", "https://host/"),
    ],
)
def test_addresses_are_shown_without_secrets(url, shown):
    assert without_secrets(url) == shown


def test_a_password_becomes_a_header():
    assert without_user("http://a:b%20c@h/x") == ("http://h/x", {"Authorization": "Basic YTpiIGM="})
    assert without_user("http://h/x") == ("http://h/x", {})


@pytest.fixture
def secure(tmp_path):
    """An HTTPS server whose certificate only its own CA file trusts; the address and that file."""
    require("openssl", shutil.which("openssl"), "no openssl program to make a certificate with")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    (tmp_path / "model.bin").write_bytes(b"secret weights")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(tmp_path))

        def log_message(self, *arguments):
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, request, client_address):
            pass

    with Server(("127.0.0.1", 0), Quiet) as running:
        running.socket = context.wrap_socket(running.socket, server_side=True)
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield f"https://localhost:{running.server_address[1]}/model.bin", certificate
        running.shutdown()


@pytest.mark.real("openssl")
def test_certificates_are_checked(secure, source, monkeypatch):
    from lading.sources import connection

    url, certificate = secure
    connection._context.cache_clear()
    with pytest.raises(SourceError, match=r"cannot be trusted: self.signed certificate"):
        resolve(source, url)
    connection._context.cache_clear()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    listing = resolve(source, url)
    assert read(source, listing.entries[0]) == b"secret weights"
    connection._context.cache_clear()


@pytest.mark.real("openssl")
def test_a_store_whose_certificate_is_not_to_be_checked_is_read(secure):
    """`verify=False` is what a Secret says for a store with a self-signed certificate."""
    from lading.sources.connection import Get, Trust
    from lading.sources.get import RangeReader
    from lading.weights.listing import Entry

    url, _ = secure
    reader = RangeReader(lambda entry: Get(url=url, shown=entry.path), trust=Trust(verify=False))
    buffer = bytearray(64)
    count = reader.read_into(Entry(path="model.bin", key="model.bin", size_bytes=None), 0, memoryview(buffer))
    reader.close()
    assert bytes(buffer[:count]) == b"secret weights"


@pytest.mark.real("openssl")
def test_an_unchecked_certificate_is_said(secure):
    url, _ = secure
    source = HttpSource(choices=Choices(verify_tls=False))
    listing = resolve(source, url)
    assert read(source, listing.entries[0]) == b"secret weights"
    assert listing.notes == (UNCHECKED,)
    source.close()


def test_a_password_is_sent_as_a_header_and_never_shown(server, source):
    server.password = "me:s3cret"
    listing = resolve(source, server.url.replace("http://", "http://me:s3cret@") + "/d/a.bin")
    assert read(source, listing.entries[0]) == b"a" * 1000
    assert "s3cret" not in repr((listing.ref, listing.notes, listing.name, listing.revision))


def test_a_password_does_not_go_along_to_another_place(server, source):
    with web.serving({"a.bin": b"elsewhere"}) as other:
        server.password = "me:s3cret"
        server.redirects["d/a.bin"] = f"{other.url}/a.bin"
        resolve(source, server.url.replace("http://", "http://me:s3cret@") + "/d/a.bin")
        assert other.asked
        assert not any("Authorization" in headers for headers in other.headers)


def test_what_is_compressed_on_the_way_is_refused(source):
    """Its size, mark and ranges are those of other bytes."""

    class Compressing(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(b"4\r\n\x1f\x8b\x08\x00\r\n0\r\n\r\n")

        do_HEAD = do_GET  # noqa: N815 - the base class's names

        def log_message(self, *said):
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Compressing) as other:
        threading.Thread(target=other.serve_forever, args=(0.02,), daemon=True).start()
        listing = resolve(source, f"http://127.0.0.1:{other.server_address[1]}/model.json?x")
        with pytest.raises(SourceError, match="compressed"):
            read(source, listing.entries[0])
        source.close()
        other.shutdown()
