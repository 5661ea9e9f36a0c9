"""Images are pulled where they are not here, with progress, from a registry on this machine by the real daemon."""

import contextlib
import gzip
import hashlib
import json
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.testbed import base, docker

from lading.backends import docker_daemon as talking
from lading.events import ImageProgress, ImagePulled

pytestmark = pytest.mark.real("docker")
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@contextlib.contextmanager
def registry(archive):
    """A registry that has the image of *archive* under every name; its address."""
    answers = contents(archive)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            kind, body = answers.get(self.path.rpartition("/")[2], ("application/json", b"{}"))
            self.send_response(200)
            for name, value in (
                ("Content-Type", kind),
                ("Content-Length", len(body)),
                ("Docker-Content-Digest", sha(body)),
            ):
                self.send_header(name, str(value))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def do_HEAD(self):
            self.do_GET()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def contents(archive):
    """By the last word of its path: the manifest under the tag ``1`` and its digest, the config, the layer."""
    with tarfile.open(archive) as files:
        [described] = json.load(files.extractfile("manifest.json"))
        config = files.extractfile(described["Config"]).read()
        layer = gzip.compress(files.extractfile(described["Layers"][0]).read(), 1)
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": _CONFIG, "size": len(config), "digest": sha(config)},
            "layers": [{"mediaType": _LAYER, "size": len(layer), "digest": sha(layer)}],
        }
    ).encode()
    octets = "application/octet-stream"
    return {
        "1": (_MANIFEST, manifest), sha(manifest): (_MANIFEST, manifest), sha(config): (octets, config),
        sha(layer): (octets, layer),
    }  # fmt: skip


def sha(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


async def test_an_image_that_is_not_here_is_pulled_with_progress_and_only_once(docker_daemon, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", docker_daemon)
    told = []
    with registry(base.pause_archive()) as address:
        image = f"{address}/tiny/pause:1"
        async with talking.connected() as client:
            await talking.have_image(client, image, told.append)
            await talking.have_image(client, image, told.append)
    try:
        assert isinstance(told[0], ImageProgress)
        assert told[0].image == image
        assert [event.image for event in told if isinstance(event, ImagePulled)] == [image]
        assert docker.docker("images", "--quiet", image)
    finally:
        docker.docker("rmi", image)


def test_a_pull_is_counted_by_its_layers():
    """What the daemon tells step by step, as bytes that arrived of bytes known of."""
    layers = {}
    for step in (
        {"status": "Pulling from tiny/pause", "id": "1"},
        {"status": "Downloading", "id": "a", "progressDetail": {"current": 10, "total": 100}},
        {"status": "Downloading", "id": "b", "progressDetail": {"current": 5, "total": 50}},
        {"status": "Extracting", "id": "a", "progressDetail": {"current": 1, "total": 999}},
        {"status": "Download complete", "id": "a", "progressDetail": {}},
        {"status": "Already exists", "id": "c"},
    ):
        talking._count(layers, step)
    progress = talking._progress("x", layers)
    assert (progress.done_bytes, progress.total_bytes) == (105, 150)
