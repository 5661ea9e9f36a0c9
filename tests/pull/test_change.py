"""A source that changes while it is pulled: decided again, what is as it was is not fetched again, and nothing is mixed."""

import asyncio
import random
import threading
import uuid
from collections import Counter
from functools import partial

import pytest

from lading.errors import SourceChanged
from lading.events import Notice, Published
from lading.flows import pull as flow
from lading.sources.s3 import S3Source
from lading.spec.pull import Choices
from lading.spec.ref import SourceRef
from lading.testing import faulty
from lading.volume import find

pytestmark = pytest.mark.real("minio")
BIG = 2 << 20
ANY = Choices(expect="any")
FILES = {f"part-{number}.bin": random.Random(number).randbytes(BIG) for number in range(9)} | {"small.txt": b"one"}


class Changing:
    """A source that somebody changes right after it was listed, as often as there are *changes*."""

    def __init__(self, source, changes):
        self.source = source
        self.changes = list(changes)
        self.fetched = Counter()
        self.lock = threading.Lock()

    async def resolve(self, ref):
        listing = await self.source.resolve(ref)
        if self.changes:
            await asyncio.to_thread(self.changes.pop(0))
        return listing

    def read_into(self, entry, offset, buffer, *, end=None):
        count = self.source.read_into(entry, offset, buffer, end=end)
        with self.lock:
            self.fetched[entry.path] += count
        return count

    def close(self):
        self.source.close()


@pytest.fixture
def bucket(minio_environment):
    name = f"b-{uuid.uuid4().hex[:12]}"
    client = minio_environment.client()
    client.create_bucket(Bucket=name)

    def put(path, data):
        client.put_object(Bucket=name, Key=f"m/{path}", Body=data)

    for path, data in FILES.items():
        put(path, data)
    return name, put, minio_environment.endpoint


async def pulled(bucket, volume, changes, **options):
    name, put, endpoint = bucket
    choices = Choices(endpoint=endpoint, expect="any")
    source = Changing(S3Source(choices=choices), [partial(put, path, data) for path, data in changes])
    told = []
    try:
        ref = SourceRef(scheme="s3", location=f"{name}/m")
        done = await flow.pull(source, volume, ref, choices=choices, emit=told.append, **options)
    finally:
        source.close()
    return done, source.fetched, [event.message for event in told if isinstance(event, Notice)]


def content(volume, done):
    directory = volume.directory(volume.manifest(done.model, done.version))
    return {path.name: path.read_bytes() for path in directory.iterdir()}


async def test_what_is_replaced_meanwhile_is_taken_as_it_is_then(bucket, tmp_path):
    """The files that came before are not fetched again."""
    volume = find.create_volume(tmp_path)
    new = random.Random(99).randbytes(BIG)
    done, fetched, told = await pulled(bucket, volume, [("part-8.bin", new)])
    assert isinstance(done, Published)
    assert content(volume, done) == FILES | {"part-8.bin": new}
    assert any("part-8.bin changed while it was read: going on with what is there now" in one for one in told)
    assert fetched == {path: len(data) for path, data in FILES.items()}


async def test_one_that_never_rests_is_told(bucket, tmp_path):
    volume = find.create_volume(tmp_path)
    changes = [("part-8.bin", random.Random(number).randbytes(BIG)) for number in range(20, 30)]
    with pytest.raises(SourceChanged, match=r"part-8\.bin changed"):
        await pulled(bucket, volume, changes)
    assert list(volume.manifests()) == []


async def test_a_version_that_was_named_keeps_its_name(bucket, tmp_path):
    volume = find.create_volume(tmp_path)
    done, _, _ = await pulled(bucket, volume, [("small.txt", b"two")], version="v7")
    assert done.version == "v7"
    assert content(volume, done)["small.txt"] == b"two"


async def test_what_is_removed_meanwhile_is_left_out(bucket, minio_environment, tmp_path):
    """And what is missing though it is still listed is told: see `tests/faults`."""
    volume = find.create_volume(tmp_path)
    name, _, endpoint = bucket
    remove = partial(minio_environment.client().delete_object, Bucket=name, Key="m/part-8.bin")
    source = Changing(S3Source(choices=Choices(endpoint=endpoint)), [remove])
    try:
        done = await flow.pull(source, volume, SourceRef(scheme="s3", location=f"{name}/m"), choices=ANY)
    finally:
        source.close()
    assert content(volume, done) == {path: data for path, data in FILES.items() if path != "part-8.bin"}


@pytest.mark.parametrize("plain", [True, False])
async def test_a_listing_that_changes_between_its_pages(minio_environment, tmp_path, monkeypatch, plain):
    """One object of the first page is removed, one replaced, and one comes at the end: what is there then is published."""
    if not plain:
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")  # listed by botocore
    name, client = f"b-{uuid.uuid4().hex[:12]}", minio_environment.client()
    client.create_bucket(Bucket=name)
    files = {f"{number:04}": str(number).encode() for number in range(1003)}
    for path, data in files.items():
        client.put_object(Bucket=name, Key=f"m/{path}", Body=data)

    def change():
        client.delete_object(Bucket=name, Key="m/0000")
        client.put_object(Bucket=name, Key="m/0001", Body=b"another")
        client.put_object(Bucket=name, Key="m/9999", Body=b"new")

    with faulty.serving(faulty.Upstream(minio_environment.endpoint)) as server:
        server.plan(path=f"{name}*", skip=2, before=change)  # whether it keeps versions, the first page
        source = S3Source(choices=Choices(endpoint=server.url))
        try:
            volume = find.create_volume(tmp_path)
            done = await flow.pull(source, volume, SourceRef(scheme="s3", location=f"{name}/m"), choices=ANY)
        finally:
            source.close()
    del files["0000"]
    assert content(volume, done) == files | {"0001": b"another", "9999": b"new"}
