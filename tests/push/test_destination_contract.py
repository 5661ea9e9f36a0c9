"""Folders and buckets keep the contract of a destination."""

import base64
from types import SimpleNamespace

import pytest
from tests.push.places import BucketPlace, FolderPlace

from lading.errors import SourceMissing, SourceTransient
from lading.sources.s3_upload import S3Destination
from lading.spec.pull import Choices
from lading.spec.ref import SourceRef
from lading.testing.destinations import DestinationContract


class TestFolder(DestinationContract):
    @pytest.fixture
    def place(self, tmp_path):
        return FolderPlace(tmp_path / "out" / "granite")


@pytest.mark.real("minio")
class TestMinio(DestinationContract):
    @pytest.fixture
    def place(self, minio, minio_environment):
        return BucketPlace(minio)


@pytest.mark.real("minio")
class TestMinioWithoutCrc(DestinationContract):
    """A store that knows no CRC: everything goes with its MD5."""

    @pytest.fixture
    def place(self, minio, minio_environment):
        return BucketPlace(minio, kind=_KnowsNoCrc)


class _KnowsNoCrc(S3Destination):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self._by_md5.set()


@pytest.mark.real("minio")
@pytest.mark.parametrize("checksum", ["crc", "md5"])
def test_the_store_refuses_other_bytes_than_were_sent(minio, minio_environment, monkeypatch, checksum):
    """The body is changed after its checksum was made: no object, and worth another try."""
    place = BucketPlace(minio, kind=S3Destination if checksum == "crc" else _KnowsNoCrc)
    there = place.destination()
    monkeypatch.setattr("lading.sources.s3_upload._pieces", lambda data, cancel: iter([b"X" * len(data)]))
    with pytest.raises(SourceTransient, match="other bytes arrived"):
        there.put("a.bin", memoryview(b"what was meant"))
    upload = there.begin("b.bin", 10)
    with pytest.raises(SourceTransient, match="other bytes arrived"):
        there.send("b.bin", upload, 1, memoryview(b"what was meant"), offset=0)
    there.close()
    assert place.seen() == {}


@pytest.mark.real("minio")
def test_a_store_that_does_not_answer_with_the_crc_is_sent_the_md5(minio, minio_environment, monkeypatch):
    """Not answered means not compared; MD5 is compared by all."""
    place = BucketPlace(minio)
    there, sent = place.destination(), []
    sender = there._uploaded

    def uploaded(where, query, headers, *rest):
        sent.append(next(iter(headers)))
        answer = sender(where, query, headers, *rest)
        return {name: value for name, value in answer.items() if "crc" not in name}

    monkeypatch.setattr(there, "_uploaded", uploaded)
    there.put("a.bin", memoryview(b"a"))
    there.put("b.bin", memoryview(b"b"))
    there.close()
    assert sent == ["x-amz-checksum-crc64nvme", "Content-MD5", "Content-MD5"]
    assert place.seen() == {"a.bin": b"a", "b.bin": b"b"}


@pytest.mark.real("minio")
def test_completing_again_after_a_lost_answer_is_no_error(minio, minio_environment):
    """The upload is gone, and the object is what was to be completed."""
    place = BucketPlace(minio)
    there = place.destination()
    upload = there.begin("a.bin", 1)
    part = there.send("a.bin", upload, 1, memoryview(b"a"), offset=0)
    assert there.complete("a.bin", upload, [part]) == there.complete("a.bin", upload, [part])
    there.close()


@pytest.mark.real("minio")
def test_a_bucket_that_is_not_there_is_named(minio, minio_environment):
    there = S3Destination(SourceRef(scheme="s3", location="nowhere-at-all/x"), choices=Choices(endpoint=minio.endpoint))
    with pytest.raises(SourceMissing, match="no bucket 'nowhere-at-all'"):
        there.files()
    there.close()


def test_checksums_are_written_as_stores_read_them():
    """CRC-64/NVME in base64, its most significant byte first."""
    from lading.sources.s3_upload import _encoded, _part

    said = _encoded(0x0102030405060708)
    assert base64.b64decode(said) == bytes(range(1, 9))
    part = _part({"PartNumber": 1, "Size": 3, "ETag": '"x"', "ChecksumCRC64NVME": said})
    assert SimpleNamespace(crc=part.crc64nvme).crc == 0x0102030405060708
