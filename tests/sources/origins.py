"""Where the sources under test read from: a folder, a web server with a checksum file, a bucket of a real MinIO."""

import hashlib
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.weights.tars import packed

from lading.sources.http import HttpSource
from lading.sources.local import LocalSource
from lading.sources.s3 import S3Source
from lading.spec.pull import Choices
from lading.spec.ref import LocalRef, SourceRef
from lading.testing.web import Web


@dataclass
class FolderOrigin:
    root: Path
    kind: type[LocalSource] = LocalSource

    @property
    def ref(self):
        return LocalRef(path=str(self.root))

    @property
    def missing_ref(self):
        return LocalRef(path=str(self.root / "missing"))

    def source(self):
        return self.kind()

    def put(self, path, data):
        """In place, as an editor or rsync --inplace does, at a time of its own."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        before = file.stat().st_mtime_ns if file.exists() else 0
        file.write_bytes(data)
        if before and file.stat().st_mtime_ns == before:
            os.utime(file, ns=(before + 1, before + 1))

    def remove(self, path):
        (self.root / path).unlink()


@dataclass
class WebOrigin:
    web: Web
    kind: type[HttpSource] = HttpSource
    options: dict = field(default_factory=dict)

    @property
    def ref(self):
        return SourceRef(scheme="http", location=f"{urlsplit(self.web.url).netloc}/models/one/SHA256SUMS")

    @property
    def missing_ref(self):
        return SourceRef(scheme="http", location=f"{urlsplit(self.web.url).netloc}/models/missing.gguf")

    def source(self):
        return self.kind(choices=Choices(**self.options))

    def put(self, path, data):
        self.web.files[f"models/one/{path}"] = data
        self._list()

    def remove(self, path):
        del self.web.files[f"models/one/{path}"]
        self._list()

    def _list(self):
        lines = [
            f"{hashlib.sha256(data).hexdigest()}  {path.removeprefix('models/one/')}\n"
            for path, data in self.web.files.items()
            if not path.endswith("/SHA256SUMS")
        ]
        self.web.files["models/one/SHA256SUMS"] = "".join(lines).encode()


class BucketOrigin:
    def __init__(self, minio, kind=S3Source):
        self.kind = kind
        self.endpoint = minio.endpoint
        self.bucket = f"b-{uuid.uuid4().hex[:12]}"
        self.client = minio.client()
        self.client.create_bucket(Bucket=self.bucket)

    @property
    def ref(self):
        return SourceRef(scheme="s3", location=f"{self.bucket}/models/one")

    @property
    def missing_ref(self):
        return SourceRef(scheme="s3", location=f"{self.bucket}/models/missing")

    def source(self):
        return self.kind(choices=Choices(endpoint=self.endpoint))

    def put(self, path, data):
        self.client.put_object(Bucket=self.bucket, Key=f"models/one/{path}", Body=data)

    def remove(self, path):
        self.client.delete_object(Bucket=self.bucket, Key=f"models/one/{path}")


class NginxOrigin:
    """A folder that nginx serves. It marks a file by its time in seconds and its size: each file gets a time of its own."""

    def __init__(self, nginx, url, kind=HttpSource):
        self.kind = kind
        self.folder = nginx.files / uuid.uuid4().hex
        self.folder.mkdir()
        self._scheme, _, self._host = url.partition("://")
        self._time_s = 1_700_000_000

    @property
    def ref(self):
        return SourceRef(scheme=self._scheme, location=f"{self._host}/{self.folder.name}/SHA256SUMS")

    @property
    def missing_ref(self):
        return SourceRef(scheme=self._scheme, location=f"{self._host}/{self.folder.name}/missing.gguf")

    def source(self):
        return self.kind()

    def put(self, path, data):
        self._write(path, data)
        self._list()

    def remove(self, path):
        (self.folder / path).unlink()
        self._list()

    def _write(self, path, data):
        """By rename, as a mirror's rsync does."""
        file, fresh = self.folder / path, self.folder / ".fresh"
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_bytes(data)
        self._time_s += 1
        os.utime(fresh, (self._time_s, self._time_s))
        fresh.rename(file)

    def _list(self):
        found = [file for file in self.folder.rglob("*") if file.is_file() and file.name != "SHA256SUMS"]
        lines = [
            f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(self.folder)}\n" for file in found
        ]
        self._write("SHA256SUMS", "".join(lines).encode())


@dataclass
class TarOrigin:
    """A plain tar on a web server, packed again at every change.

    Attributes:
        url: Of the server.
        write: Puts a file on it.
    """

    url: str
    write: Callable[[str, bytes], None]
    prefix: str = ""
    content: dict[str, bytes] = field(default_factory=dict)

    @property
    def ref(self):
        return SourceRef(scheme="http", location=f"{urlsplit(self.url).netloc}/{self.prefix}one.tar")

    @property
    def missing_ref(self):
        return SourceRef(scheme="http", location=f"{urlsplit(self.url).netloc}/{self.prefix}missing.tar")

    def source(self):
        return HttpSource()

    def put(self, path, data):
        self.content[path] = data
        self.write("one.tar", packed(self.content))

    def remove(self, path):
        del self.content[path]
        self.write("one.tar", packed(self.content))
