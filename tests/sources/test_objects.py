"""Stores by `obstore`: one adapter keeps the contract over its memory and file stores, a real MinIO as S3 and as GCS, and Azure."""

import asyncio
import json
import uuid

import obstore
import pytest
from obstore.store import LocalStore, MemoryStore, S3Store
from tests.sources import azure_blobs

from lading.errors import MissingExtra, SourceBusy, SourceDenied, SourceError, SourceTransient
from lading.sources import objects
from lading.sources.objects import AzureSource, GoogleSource, ObjectSource
from lading.spec.pull import Choices
from lading.spec.ref import SourceRef
from lading.testing.sources import CONTENT, SourceContract


class StoreOrigin:
    """A store, filled by the same library."""

    def __init__(self, store):
        self.store = store

    ref = SourceRef(scheme="store", location="bucket/models/one")
    missing_ref = SourceRef(scheme="store", location="bucket/models/missing")

    def source(self):
        return ObjectSource("store", lambda bucket: self.store)

    def put(self, path, data):
        obstore.put(self.store, f"models/one/{path}", data)

    def remove(self, path):
        obstore.delete(self.store, f"models/one/{path}")


class TestMemory(SourceContract):
    @pytest.fixture
    def origin(self):
        return StoreOrigin(MemoryStore())


class TestFiles(SourceContract):
    @pytest.fixture
    def origin(self, tmp_path):
        return StoreOrigin(LocalStore(tmp_path))


@pytest.fixture
def bucket(minio):
    """A new bucket's name, and the client that made it."""
    client, name = (
        minio.client(),
        f"o{uuid.uuid4().hex[:12]}",
    )  # no dash: MinIO does not read the %2D that obstore makes of it
    client.create_bucket(Bucket=name)
    return name, client


@pytest.mark.real("minio")
class TestMinio(SourceContract):
    @pytest.fixture
    def origin(self, minio, bucket):
        made = S3Store(
            bucket[0], endpoint=minio.endpoint, access_key_id=minio.access_key, secret_access_key=minio.secret_key,
            region="us-east-1", client_options={"allow_http": True},
        )  # fmt: skip
        return StoreOrigin(made)


class BucketOrigin:
    """A public bucket of MinIO, which speaks the XML of Google's store as well."""

    def __init__(self, bucket, client):
        self.bucket, self.client = bucket, client
        everyone = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": ["*"]},
                    "Action": ["s3:ListBucket", "s3:GetObject"],
                    "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
                }
            ],
        }
        client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(everyone))

    @property
    def ref(self):
        return SourceRef(scheme="gs", location=f"{self.bucket}/models/one")

    @property
    def missing_ref(self):
        return SourceRef(scheme="gs", location=f"{self.bucket}/models/missing")

    def source(self):
        return GoogleSource()

    def put(self, path, data):
        self.client.put_object(Bucket=self.bucket, Key=f"models/one/{path}", Body=data)

    def remove(self, path):
        self.client.delete_object(Bucket=self.bucket, Key=f"models/one/{path}")


@pytest.mark.real("minio")
class TestGoogle(SourceContract):
    @pytest.fixture
    def origin(self, minio, bucket, monkeypatch):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", minio.endpoint)
        return BucketOrigin(*bucket)


class ContainerOrigin:
    def __init__(self, server):
        self.server = server

    ref = SourceRef(scheme="az", location="models/models/one")
    missing_ref = SourceRef(scheme="az", location="models/models/missing")

    def source(self):
        return AzureSource()

    def put(self, path, data):
        self.server.blobs[f"models/one/{path}"] = data

    def remove(self, path):
        del self.server.blobs[f"models/one/{path}"]


@pytest.fixture
def azure(monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "lading")
    monkeypatch.setenv("AZURE_SKIP_SIGNATURE", "true")
    with azure_blobs.serving() as server:
        monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", server.url)
        yield server


class TestAzure(SourceContract):
    @pytest.fixture
    def origin(self, azure):
        return ContainerOrigin(azure)


def resolved(source, ref):
    try:
        return asyncio.run(source.resolve(ref))
    finally:
        source.close()


def test_a_prefix_has_a_boundary_and_directory_markers_are_no_files():
    origin = StoreOrigin(MemoryStore())
    for path in ("one/a.bin", "one-2/b.bin", "one/sub/c.bin"):
        obstore.put(origin.store, f"models/{path}", b"x")
    obstore.put(origin.store, "models/one/sub", b"")
    assert [entry.path for entry in resolved(origin.source(), origin.ref).entries] == ["a.bin", "sub/c.bin"]


def test_one_object_is_a_model_too():
    origin = StoreOrigin(MemoryStore())
    obstore.put(origin.store, "models/one.gguf", b"x")
    listing = resolved(origin.source(), SourceRef(scheme="store", location="bucket/models/one.gguf"))
    assert (listing.name, [entry.path for entry in listing.entries]) == ("one", ["one.gguf"])


def test_a_whole_bucket_is_a_prefix_too():
    origin = StoreOrigin(MemoryStore())
    obstore.put(origin.store, "a/b.bin", b"x")
    listing = resolved(origin.source(), SourceRef(scheme="store", location="bucket"))
    assert (listing.name, [entry.path for entry in listing.entries]) == ("bucket", ["a/b.bin"])


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (403, SourceDenied),
        (401, SourceDenied),
        (503, SourceBusy),
        (429, SourceBusy),
        (500, SourceTransient),
        (400, SourceError),
    ],
)
def test_what_a_store_answers_is_what_we_say(azure, status, error):
    azure.status = status
    with pytest.raises(error) as caught:
        resolved(AzureSource(), ContainerOrigin.ref)
    assert type(caught.value) is error


def test_a_store_that_is_not_there_is_worth_another_try(monkeypatch, azure):
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", "http://127.0.0.1:9/lading")
    with pytest.raises(SourceTransient, match="az://models/models/one cannot be reached"):
        resolved(AzureSource(), ContainerOrigin.ref)


def test_no_secret_is_in_what_is_said(monkeypatch, azure):
    monkeypatch.delenv("AZURE_SKIP_SIGNATURE")
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", "sv=2026&sig=topsecret")
    for status in (403, 500, 400):
        azure.status = status
        with pytest.raises(SourceError) as caught:
            resolved(AzureSource(), ContainerOrigin.ref)
        assert "topsecret" not in f"{caught.value}{caught.value.hint}"
        assert caught.value.__suppress_context__


def test_nothing_that_says_whose_account_it_is_is_told(monkeypatch):
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(SourceDenied) as caught:
        resolved(AzureSource(), ContainerOrigin.ref)
    assert "AZURE_STORAGE_ACCOUNT_NAME" in caught.value.hint


def test_an_endpoint_of_the_options_counts_before_the_environment(monkeypatch, azure):
    ContainerOrigin(azure).put("config.json", CONTENT["config.json"])
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", "http://127.0.0.1:9/lading")
    assert len(resolved(AzureSource(choices=Choices(endpoint=azure.url)), ContainerOrigin.ref).entries) == 1


def test_without_the_extra_it_is_named(monkeypatch):
    monkeypatch.setattr(objects, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="obstore"):
        GoogleSource()
