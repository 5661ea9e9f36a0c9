"""TLS by libcurl and by Python's own `ssl`: the same promises, the same words for what goes wrong."""

import os
import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import pycurl
import pytest
from tests.testbed import pki

from lading.errors import SourceError, SourceTransient
from lading.sources import connection, curl
from lading.sources.connection import Connection, Get, Trust

pytestmark = [pytest.mark.real("openssl"), pytest.mark.usefixtures("tls")]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"


@contextmanager
def listening(handle):
    """A server that gives each connection to *handle* in a thread; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept():
            with suppress(OSError):
                while True:
                    peer, _ = listener.accept()
                    threading.Thread(target=answer, args=(peer,), daemon=True).start()

        def answer(peer):
            with peer, suppress(OSError):
                handle(peer)

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)


@contextmanager
def serving(certificates, handle):
    """A TLS server; its address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)

    def secured(peer):
        with context.wrap_socket(peer, server_side=True) as secure:
            handle(secure)

    with listening(secured) as port:
        yield f"https://127.0.0.1:{port}/model.bin"


def request(peer):
    """The head of one request; empty when the client is gone."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = peer.recv(4096)
        if not data:
            return b""
        head += data
    return head


def once(peer):
    """Answers every request with five bytes."""
    while request(peer):
        peer.sendall(HEAD + b"\r\nbytes")


@pytest.fixture
def trust(certificates):
    return Trust(cafile=str(certificates.authority))


def fetch(url, trust):
    asked = Connection(trust)
    try:
        return asked.send(Get(url=url, shown="the model")).read()
    finally:
        asked.close()


def test_a_server_of_the_given_authority_is_read(certificates, trust):
    with serving(certificates, once) as url:
        assert fetch(url, trust) == b"bytes"


def test_an_unknown_authority_is_refused(certificates):
    with serving(certificates, once) as url, pytest.raises(SourceError, match="cannot be trusted") as caught:
        fetch(url, Trust())
    assert not isinstance(caught.value, SourceTransient)
    assert "SSL_CERT_FILE" in caught.value.hint


def test_a_certificate_for_another_name_is_refused(certificates, trust):
    pki.write_leaf(certificates.authority.parent, "other", "/CN=other", ["DNS:other.example"])
    folder = certificates.authority.parent
    other = pki.Certificates(certificates.authority, folder / "other.crt", folder / "other.key")
    with serving(other, once) as url, pytest.raises(SourceError, match="cannot be trusted"):
        fetch(url, trust)


def test_no_certificate_is_looked_at_where_that_is_asked_for(certificates):
    with serving(certificates, once) as url:
        assert fetch(url, Trust(verify=False)) == b"bytes"


def test_a_connection_serves_many_requests(certificates, trust):
    peers = []

    def counted(peer):
        peers.append(peer)
        once(peer)

    with serving(certificates, counted) as url:
        asked = Connection(trust)
        assert [asked.send(Get(url=url, shown="the model")).read() for _ in range(3)] == [b"bytes"] * 3
        asked.close()
    assert len(peers) == 1


def test_a_kept_connection_that_the_server_closed_is_opened_again(certificates, trust):
    def one_answer(peer):
        request(peer)
        peer.sendall(HEAD + b"\r\nbytes")

    with serving(certificates, one_answer) as url:
        asked = Connection(trust)
        assert [asked.send(Get(url=url, shown="the model")).read() for _ in range(3)] == [b"bytes"] * 3
        asked.close()


def test_a_body_that_the_server_ends_by_closing_is_whole(certificates, trust):
    def unmeasured(peer):
        request(peer)
        peer.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nbytes and more")
        peer.unwrap()

    with serving(certificates, unmeasured) as url:
        assert fetch(url, trust) == b"bytes and more"


def test_a_body_of_many_records_is_whole(certificates, trust):
    """In one buffer, whatever pieces it came in."""
    data = bytes(range(256)) * 20_000

    def big(peer):
        request(peer)
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data)

    with serving(certificates, big) as url:
        assert fetch(url, trust) == data


def test_a_body_that_is_cut_off_is_transient(certificates, trust):
    def cut(peer):
        request(peer)
        peer.sendall(HEAD + b"\r\nby")

    with serving(certificates, cut) as url:
        answer = Connection(trust).send(Get(url=url, shown="the model"))
        with pytest.raises(SourceTransient), connection.faults("the model"):
            answer.read()


@pytest.mark.parametrize("where", ["handshake", "answer"])
def test_silence_is_transient_and_said_so(certificates, trust, where, monkeypatch):
    monkeypatch.setattr(connection, "SOCKET_TIMEOUT_S", 0.2)
    over = threading.Event()
    held = serving(certificates, lambda _: over.wait(30)) if where == "answer" else listening(lambda _: over.wait(30))
    with held as at, pytest.raises(SourceTransient, match="the model was silent"):
        fetch(at if where == "answer" else f"https://127.0.0.1:{at}/", trust)
    over.set()


def test_nobody_there_is_transient(trust):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and does not listen
        with pytest.raises(SourceTransient, match="Connection refused"):
            fetch(f"https://127.0.0.1:{held.getsockname()[1]}/", trust)


def test_what_is_no_tls_is_transient(trust):
    with listening(lambda peer: peer.sendall(b"SSH-2.0-OpenSSH_9\r\n")) as port, pytest.raises(SourceTransient):
        fetch(f"https://127.0.0.1:{port}/", trust)


@pytest.fixture
def proxy(monkeypatch):
    """A proxy of the environment that makes tunnels for who knows its password; the requests it got."""
    asked = []

    def tunnel(peer):
        head = request(peer)
        asked.append(head)
        if b"Proxy-Authorization: Basic dTpwdw==" not in head:
            peer.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        host, _, port = head.split()[1].decode().rpartition(":")
        with socket.create_connection((host, int(port))) as server:
            peer.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=copy, args=(server, peer))
            back.start()
            copy(peer, server)
            back.join()

    with listening(tunnel) as port:
        monkeypatch.setenv("https_proxy", f"http://u:pw@127.0.0.1:{port}")
        monkeypatch.setenv("no_proxy", "")
        yield asked


def copy(source, target):
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def test_a_proxy_of_the_environment_is_used(certificates, trust, proxy):
    """For the tunnel alone: what is asked for, and its secrets, pass it encrypted."""
    with serving(certificates, once) as url:
        assert fetch(f"{url}?signature=1", trust) == b"bytes"
        assert len(proxy) == 1
        assert proxy[0].startswith(b"CONNECT " + urlsplit(url).netloc.encode())
        assert b"signature" not in proxy[0]


def test_a_proxy_is_not_used_for_whom_the_environment_excepts(certificates, trust, proxy, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(certificates, once) as url:
        assert fetch(url, trust) == b"bytes"
    assert proxy == []


def test_a_proxy_that_refuses_is_transient(certificates, trust, proxy, monkeypatch):
    """And its password is not in the message."""
    monkeypatch.setenv("https_proxy", os.environ["https_proxy"].replace("u:pw", "u:other"))
    with serving(certificates, once) as url, pytest.raises(SourceTransient) as caught:
        fetch(url, trust)
    assert "other" not in f"{caught.value} {caught.value.__cause__}"


def test_a_host_without_an_address_is_transient():
    """In libcurl's number for it: no name is asked for here."""
    fault = curl._fault(pycurl.error(pycurl.E_COULDNT_RESOLVE_HOST, "Could not resolve host: nowhere"))
    with pytest.raises(SourceTransient, match="host name is not known"), connection.faults("the model"):
        raise fault
