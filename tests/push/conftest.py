"""A model on a volume, a bucket of a real MinIO to push it to, and the real command while it runs."""

import random
import uuid
from dataclasses import dataclass

import pytest

import lading as api

SIZES = {
    "model.gguf": 18_000_000,
    "part-b.bin": 2_500_000,
    "sub/part-c.bin": 1_500_000,
    "notes.txt": 40_000,
    "empty": 0,
}
MODEL = {path: random.Random(path).randbytes(size) for path, size in SIZES.items()}
TOTAL = sum(SIZES.values())
ANY = ("--expect", "any")


@dataclass
class Bucket:
    """A bucket of its own, and what is in it."""

    minio: object
    name: str

    def at(self, prefix):
        return f"s3://{self.name}/{prefix}"

    @property
    def client(self):
        return self.minio.client()

    def objects(self):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", ())}

    def read(self, key):
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def put(self, key, data):
        self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def holds(self, prefix, model):
        """Whether exactly these files are below the prefix, byte for byte."""
        found = {key.removeprefix(prefix) for key in self.objects() if key.startswith(prefix)}
        return found == set(model) and all(self.read(prefix + path) == data for path, data in model.items())

    def uploads(self, *keys):
        """Unfinished uploads of these keys: MinIO lists them for a whole key only."""
        found = (self.client.list_multipart_uploads(Bucket=self.name, Prefix=key).get("Uploads", ()) for key in keys)
        return [upload["Key"] for uploads in found for upload in uploads]


@pytest.fixture
def bucket(minio, minio_environment):
    made = Bucket(minio, f"b-{uuid.uuid4().hex[:12]}")
    minio.bucket(made.name, {})
    return made


@pytest.fixture
def folder(tmp_path):
    """The model as a plain folder."""
    for path, data in MODEL.items():
        file = tmp_path / "granite" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return tmp_path / "granite"


@pytest.fixture
def ref(folder, tmp_path):
    """The model as version `v2` on the volume `volume`."""
    api.pull(folder, tmp_path / "volume", model="granite", version="v2", expect="any")
    return f"{tmp_path}/volume/granite@v2"


@pytest.fixture
def push(bucket):
    """Push to the bucket's store, by the library."""

    def run(source, dest, **options):
        return api.push(source, dest, **{"endpoint": bucket.minio.endpoint, "expect": "any", **options})

    return run


@pytest.fixture
def pull(bucket):
    """Pull from the bucket's store, by the library."""

    def run(source, dest, **options):
        return api.pull(source, dest, **{"endpoint": bucket.minio.endpoint, "expect": "any", **options})

    return run


@pytest.fixture
def start(process):
    """Start `lading push …` as a process whose events are read while it runs."""
    return lambda *arguments, env=None: process("push", *arguments, "--format", "json", env=env)
