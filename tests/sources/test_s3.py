"""What a bucket of a real MinIO may hold, how it is addressed, and what it says of its content."""

import asyncio
import hashlib
import os
import random
import socket
import uuid

import pytest
from tests.sources.origins import BucketOrigin
from tests.testbed import minio as testbed
from tests.testbed import require

from lading.errors import HostileName, InvalidInput, SourceChanged, SourceDenied, SourceError, SourceMissing
from lading.sources.s3 import S3Source
from lading.sources.s3_access import Access
from lading.sources.s3_place import Place
from lading.spec.pull import Choices
from lading.spec.ref import SourceRef
from lading.testing import faults, faulty
from lading.testing.sources import SourceContract
from lading.weights import digests, names

pytestmark = pytest.mark.real("minio")
MIB = 1 << 20


@pytest.fixture(params=["plain", "botocore"])
def bucket(minio_environment, request, monkeypatch):
    """An empty bucket: its name, and a client. Read as the environment says, and as botocore does, where that has a say."""
    if request.param == "botocore":
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    name = f"b-{uuid.uuid4().hex[:12]}"
    client = minio_environment.client()
    client.create_bucket(Bucket=name)
    return Bucket(minio_environment.endpoint, name, client)


class Bucket:
    def __init__(self, endpoint, name, client):
        self.endpoint, self.name, self.client = endpoint, name, client

    def put(self, key, data=b"x", **options):
        return self.client.put_object(Bucket=self.name, Key=key, Body=data, **options)

    def keep_versions(self):
        self.client.put_bucket_versioning(Bucket=self.name, VersioningConfiguration={"Status": "Enabled"})

    def source(self, **choices):
        return S3Source(choices=Choices(**{"endpoint": self.endpoint} | choices))

    def paths(self, place):
        return [entry.path for entry in self.listed(place).entries]

    def listed(self, place):
        return with_source(self.source(), lambda source: resolve(source, f"{self.name}/{place}"))

    def multipart(self, key, parts, **options):
        upload = self.client.create_multipart_upload(Bucket=self.name, Key=key, **options)["UploadId"]
        algorithm = options.get("ChecksumAlgorithm")
        sent = []
        for number, data in enumerate(parts, 1):
            extra = {"ChecksumAlgorithm": algorithm} if algorithm else {}
            part = self.client.upload_part(
                Bucket=self.name, Key=key, UploadId=upload, PartNumber=number, Body=data, **extra
            )
            checksum = {f"Checksum{algorithm}": part[f"Checksum{algorithm}"]} if algorithm else {}
            sent.append({"ETag": part["ETag"], "PartNumber": number, **checksum})
        kind = {"ChecksumType": options["ChecksumType"]} if "ChecksumType" in options else {}
        self.client.complete_multipart_upload(
            Bucket=self.name, Key=key, UploadId=upload, MultipartUpload={"Parts": sent}, **kind
        )
        return b"".join(parts)


def with_source(source, do):
    try:
        return do(source)
    finally:
        source.close()


def resolve(source, location):
    return asyncio.run(source.resolve(SourceRef(scheme="s3", location=location)))


def read(source, entry, offset=0):
    buffer = memoryview(bytearray(MIB))
    data = bytearray()
    while count := source.read_into(entry, offset + len(data), buffer):
        data += buffer[:count]
    return bytes(data)


# -------------------------------------------------------------------------------------------------------------- names


def test_a_prefix_is_a_directory(bucket):
    """`llm/granite` never matches `llm/granite-2`."""
    for key in ("llm/granite/a", "llm/granite-2/b", "llm/granite.bak", "llm/granite/sub/c"):
        bucket.put(key)
    assert bucket.paths("llm/granite") == ["a", "sub/c"]
    assert bucket.paths("llm/granite/") == ["a", "sub/c"]
    assert bucket.paths("llm/granite-2") == ["b"]


def test_an_object_is_found_among_its_longer_neighbours(bucket):
    bucket.put("m/model.gguf", b"one")
    bucket.put("m/model.gguf.sha256", b"two")
    assert bucket.paths("m/model.gguf") == ["model.gguf"]


def test_directory_markers_are_no_files_and_empty_objects_are(bucket):
    for key in ("m/", "m/sub/", "m/sub/empty", "m/weights.bin"):
        bucket.put(key, b"")
    assert bucket.paths("m") == ["sub/empty", "weights.bin"]


def test_a_marker_with_bytes_in_it_is_told(bucket):
    """MinIO keeps none; other stores do."""
    with faulty.serving(faulty.Upstream(bucket.endpoint)) as server:
        listing = (
            b'<ListBucketResult><Contents><Key>m/sub/</Key><Size>3</Size><ETag>"x"</ETag></Contents></ListBucketResult>'
        )
        server.plan(faults.status(403), path=f"{bucket.name}*", times=1)  # whether it keeps versions
        server.plan(
            faults.status(200, ("Content-Type", "application/xml"), body=listing), path=f"{bucket.name}*", skip=1
        )
        with pytest.raises(SourceError, match="3 bytes under a directory's name"):
            with_source(bucket.source(endpoint=server.url), lambda source: resolve(source, f"{bucket.name}/m"))


ODD = [
    "a b.txt", "a+b", "a%2Fb", "100%", "ü/é.txt", "模型.bin", "a#b?c", "a&b=c;d", "q?versionId=x/y", "'quoted\"", "dot.", "..name",
    "~tilde", "[1]{2}", "back\\slash", "a:b@c", "tab\tkey", "star*", "l" * 200 + "/" + "m" * 200,
]  # fmt: skip


def test_odd_names_are_listed_and_read(bucket):
    for number, key in enumerate(ODD):
        bucket.put(f"m/{key}", f"{number}".encode())

    def check(source):
        listing = resolve(source, f"{bucket.name}/m")
        assert {entry.path: read(source, entry) for entry in listing.entries} == {
            key: f"{number}".encode() for number, key in enumerate(ODD)
        }

    with_source(bucket.source(), check)


@pytest.mark.parametrize("path", ["/leading", "a/../../b", "./a", "a//b", "nul\x01"])
def test_names_that_lead_elsewhere_are_listed_as_they_are_and_never_written(bucket, path):
    """MinIO takes none of these; a store that does is listed by the same code."""
    escaped = path.replace("\x01", "%01")
    listing = f'<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>m/{escaped}</Key><Size>1</Size><ETag>"x"</ETag></Contents></ListBucketResult>'
    with faulty.serving(faulty.Upstream(bucket.endpoint)) as server:
        server.plan(faults.status(403), path=f"{bucket.name}*", times=1)
        server.plan(
            faults.status(200, ("Content-Type", "application/xml"), body=listing.encode()),
            path=f"{bucket.name}*",
            skip=1,
        )
        found = with_source(bucket.source(endpoint=server.url), lambda source: resolve(source, f"{bucket.name}/m"))
    assert [entry.path for entry in found.entries] == [path]
    with pytest.raises(HostileName):
        names.check_all([path])


def test_more_objects_than_a_page_has(bucket):
    for number in range(1003):
        bucket.put(f"m/{number:04}", b"")
    assert len(bucket.paths("m")) == 1003


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("LADING_SOAK"), reason="5 GB through a busy machine: LADING_SOAK=1")
def test_an_object_of_more_than_five_gigabytes(bucket):
    """Uploaded in parts; its last bytes are read where they are."""
    piece = random.Random(1).randbytes(64 * MIB)
    upload = bucket.client.create_multipart_upload(Bucket=bucket.name, Key="m/big")["UploadId"]
    parts = [
        {"PartNumber": number, "ETag": bucket.client.upload_part(
            Bucket=bucket.name, Key="m/big", UploadId=upload, PartNumber=number, Body=piece)["ETag"]}
        for number in range(1, 84)
    ]  # fmt: skip
    bucket.client.complete_multipart_upload(
        Bucket=bucket.name, Key="m/big", UploadId=upload, MultipartUpload={"Parts": parts}
    )

    def check(source):
        entry = resolve(source, f"{bucket.name}/m").entries[0]
        assert entry.size_bytes == 83 * 64 * MIB > 5 << 30
        assert read(source, entry, entry.size_bytes - 3 * MIB) == piece[-3 * MIB :]
        assert source.digests(entry)[digests.PART_BYTES_KEY] == str(64 * MIB)

    with_source(bucket.source(), check)


# ----------------------------------------------------------------------------------------------------------- versions


class TestBucketWithVersions(SourceContract):
    @pytest.fixture
    def origin(self, minio_environment):
        made = BucketOrigin(minio_environment)
        made.client.put_bucket_versioning(Bucket=made.bucket, VersioningConfiguration={"Status": "Enabled"})
        return made


def test_what_was_listed_is_read_though_it_is_replaced_and_removed(bucket):
    """Where the bucket keeps versions, a pull is of one moment."""
    bucket.keep_versions()
    bucket.put("m/a", b"first")
    bucket.put("m/b", b"first")
    bucket.put("m/gone", b"first")
    bucket.client.delete_object(Bucket=bucket.name, Key="m/gone")

    def check(source):
        listing = resolve(source, f"{bucket.name}/m")
        bucket.put("m/a", b"SECOND")
        bucket.client.delete_object(Bucket=bucket.name, Key="m/b")
        assert [(entry.path, read(source, entry)) for entry in listing.entries] == [("a", b"first"), ("b", b"first")]

    with_source(bucket.source(), check)


def test_without_versions_a_replaced_object_is_refused_in_the_middle(bucket):
    data = random.Random(1).randbytes(3 * MIB)
    bucket.put("m/a", data)

    def check(source):
        entry = resolve(source, f"{bucket.name}/m").entries[0]
        buffer = memoryview(bytearray(MIB))
        assert source.read_into(entry, 0, buffer, end=MIB) > 0
        bucket.put("m/a", data[::-1])
        with pytest.raises(SourceChanged):
            source.read_into(entry, MIB, buffer, end=2 * MIB)

    with_source(bucket.source(), check)


def test_one_version_is_named(bucket):
    """`?versionId=` as object stores write it; its revision is not that of another version."""
    bucket.keep_versions()
    old = bucket.put("m/model.gguf", b"old!")["VersionId"]
    bucket.put("m/model.gguf", b"new")

    def check(source):
        listing = resolve(source, f"{bucket.name}/m/model.gguf?versionId={old}")
        assert [(entry.path, entry.size_bytes) for entry in listing.entries] == [("model.gguf", 4)]
        assert listing.name == "model"
        assert read(source, listing.entries[0]) == b"old!"
        assert resolve(source, f"{bucket.name}/m/model.gguf").revision != listing.revision

    with_source(bucket.source(), check)


def test_a_version_that_is_not_there_is_missing(bucket):
    bucket.keep_versions()
    bucket.put("m/a")
    with pytest.raises(SourceMissing, match="does not exist"):
        bucket.listed(f"m/a?versionId={uuid.uuid4()}")


def test_who_may_not_read_versions_reads_the_objects(bucket):
    """Reading versions is a right of its own: without it the bucket is read as one that keeps none."""
    bucket.keep_versions()
    bucket.put("m/a", b"bytes")
    with faulty.serving(faulty.Upstream(bucket.endpoint)) as server:
        server.plan(faults.status(403), path=f"{bucket.name}/m/a", method="HEAD", times=None)

        def check(source):
            entry = resolve(source, f"{bucket.name}/m").entries[0]
            assert Place.of(entry.key).version is None
            assert read(source, entry) == b"bytes"

        with_source(bucket.source(endpoint=server.url), check)


@pytest.mark.parametrize("version", [None, "null", "a b+c/d?e"])
@pytest.mark.parametrize("key", ["a/b", "a?b", "a%20b c", "/x", "ü"])
def test_a_place_is_what_its_text_says(key, version):
    place = Place(bucket="b", key=key, version=version)
    assert Place.of(place.text) == place


# ------------------------------------------------------------------------------------------------------- how it is asked


@pytest.mark.parametrize("told", ["by the environment", "by a profile"])
def test_the_bucket_in_the_host_name(told, tmp_path_factory, tmp_path, minio_environment, monkeypatch):
    """Virtual style, by a real MinIO that has a domain; its names lead to loopback here."""
    require("minio", testbed.program("minio"), "not built (make testbed builds it; Go is needed)")
    real = socket.getaddrinfo
    asked = set()

    def here(host, *arguments, **options):
        name = host.decode() if isinstance(host, bytes) else host
        if name and name.endswith("s3.lading.test"):
            asked.add(name)
            host = "127.0.0.1"
        return real(host, *arguments, **options)

    with testbed.running(tmp_path_factory.mktemp("domain"), settings={"MINIO_DOMAIN": "s3.lading.test"}) as server:
        server.bucket("models", {"m/a b.bin": b"by name"})
        monkeypatch.setattr(socket, "getaddrinfo", here)
        if told == "by a profile":
            (tmp_path / "config").write_text("[default]\ns3 =\n    addressing_style = virtual\n")
            monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        else:
            monkeypatch.setenv("LADING_S3_ADDRESSING", "virtual")
        endpoint = f"http://s3.lading.test:{server.endpoint.rpartition(':')[2]}"

        def check(source):
            assert read(source, resolve(source, "models/m").entries[0]) == b"by name"

        with_source(S3Source(choices=Choices(endpoint=endpoint)), check)
    assert "models.s3.lading.test" in asked


def test_a_bucket_of_another_region(tmp_path_factory, minio_environment):
    """Who does not name the region is told it by the store; signatures of bytes name it, too."""
    require("minio", testbed.program("minio"), "not built (make testbed builds it; Go is needed)")
    with testbed.running(tmp_path_factory.mktemp("region"), settings={"MINIO_REGION": "eu-test-1"}) as server:
        server.bucket("models", {"m/a": b"far away"})

        def check(source):
            assert read(source, resolve(source, "models/m").entries[0]) == b"far away"

        with_source(S3Source(choices=Choices(endpoint=server.endpoint)), check)


def test_who_pays_says_so_in_every_request(bucket):
    bucket.put("m/a", random.Random(1).randbytes(9 * MIB))
    with faulty.serving(faulty.Upstream(bucket.endpoint)) as server:

        def check(source):
            entry = resolve(source, f"{bucket.name}/m").entries[0]
            source.digests(entry)
            read(source, entry)

        with_source(bucket.source(endpoint=server.url, requester_pays=True), check)
    told = [
        request.headers.get("x-amz-request-payer") for request in server.asked if "versioning" not in request.target
    ]
    assert len(told) >= 3
    assert set(told) == {"requester"}


def test_a_store_whose_clock_differs_is_told_with_the_difference(bucket):
    bucket.put("m/a")
    skewed = (faults.s3_error(403, "RequestTimeTooSkewed"), faults.header("Date", "Sat, 21 Nov 2020 18:30:00 GMT"))
    with faulty.serving(faulty.Upstream(bucket.endpoint)) as server:

        def check(source):
            entry = resolve(source, f"{bucket.name}/m").entries[0]
            server.plan(*skewed, path="*", times=None)
            with pytest.raises(SourceError, match=r"clocks .* differ by .* \(ours is ahead\)"):
                read(source, entry)
            with pytest.raises(SourceError, match=r"clocks .* differ"):
                resolve(source, f"{bucket.name}/m")

        with_source(bucket.source(endpoint=server.url), check)


@pytest.mark.parametrize("endpoint", ["127.0.0.1:9000", "http://user:word@127.0.0.1:9000"])
def test_an_endpoint_that_is_none_is_refused(endpoint):
    with pytest.raises(InvalidInput):
        Access(Choices(endpoint=endpoint))


def test_a_bundle_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("AWS_CA_BUNDLE", "/absent/ca.pem")
    with pytest.raises(InvalidInput, match=r"/absent/ca\.pem"):
        Access(Choices(endpoint="https://127.0.0.1:9"))


def test_wrong_keys_are_refused_in_words(bucket, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    with pytest.raises(SourceDenied, match="SignatureDoesNotMatch") as caught:
        bucket.listed("m")
    assert "hush" not in f"{caught.value}{caught.value.hint}"


# ----------------------------------------------------------------------------------------------------------- checksums


def said(bucket, key="m/a"):
    def ask(source):
        return dict(source.digests(resolve(source, f"{bucket.name}/{key}").entries[0]))

    return with_source(bucket.source(), ask)


def holds(found, data):
    """Whether what the store says is what the engine computes of *data*."""
    name, value = digests.to_compare(found)
    hasher = digests.hasher(name, found, size_bytes=len(data))
    hasher.update(memoryview(data))
    return hasher.hexdigest() == value


DATA = random.Random(2).randbytes(16 * MIB + 123)
PARTS = [DATA[: 8 * MIB], DATA[8 * MIB : 16 * MIB], DATA[16 * MIB :]]


@pytest.mark.parametrize("algorithm", ["CRC64NVME", "CRC32C", "CRC32", "SHA256", "SHA1"])
def test_a_checksum_of_all_bytes_is_told(bucket, algorithm):
    bucket.put("m/a", DATA, ChecksumAlgorithm=algorithm)
    found = said(bucket)
    assert algorithm.lower() in found
    assert holds(found, DATA)


def test_an_upload_in_parts_has_a_crc_of_all_bytes(bucket):
    bucket.multipart("m/a", PARTS, ChecksumAlgorithm="CRC64NVME", ChecksumType="FULL_OBJECT")
    found = said(bucket)
    assert set(found) == {"crc64nvme"}
    assert holds(found, DATA)


@pytest.mark.parametrize("options", [{}, {"ChecksumAlgorithm": "SHA256"}])
def test_the_etag_of_an_upload_in_parts_comes_with_their_size(bucket, options):
    """A checksum of the parts' checksums says nothing of the bytes; the parts' MD5s do, once their size is known."""
    bucket.multipart("m/a", PARTS, **options)
    found = said(bucket)
    assert set(found) == {"etag", digests.PART_BYTES_KEY}
    assert found[digests.PART_BYTES_KEY] == str(8 * MIB)
    assert holds(found, DATA)


def test_parts_of_different_sizes_are_not_compared(bucket):
    """The engine could not tell where they end."""
    bucket.multipart("m/a", [DATA[: 6 * MIB], DATA[6 * MIB : 16 * MIB], DATA[16 * MIB :]])
    assert said(bucket) == {}


def test_a_single_upload_has_its_md5(bucket):
    bucket.client.meta.config.request_checksum_calculation = "when_required"
    bucket.put("m/a", DATA)
    found = said(bucket)
    assert found.get("etag", hashlib.md5(DATA).hexdigest()) == hashlib.md5(DATA).hexdigest()
    assert holds(found, DATA)


def test_small_files_cost_one_question_in_all(bucket):
    """Their ETags were listed; one of them shows that ETags are MD5s here."""
    for number in range(20):
        bucket.put(f"m/{number}", f"{number}".encode())
    with faulty.serving(faulty.Upstream(bucket.endpoint)) as server:

        def check(source):
            entries = resolve(source, f"{bucket.name}/m").entries
            for entry in entries:
                assert holds(source.digests(entry), entry.path.encode())
            asked = [request for request in server.asked if request.method == "HEAD"]
            assert len(asked) == 1
            source.digests(entries[7])  # its bytes differ: the store is asked after all
            assert len([request for request in server.asked if request.method == "HEAD"]) == 2

        with_source(bucket.source(endpoint=server.url), check)


@pytest.mark.parametrize(
    "header",
    [("x-amz-server-side-encryption", "aws:kms"), ("x-amz-server-side-encryption-customer-algorithm", "AES256")],
)
def test_the_etag_of_what_is_encrypted_by_keys_of_its_own_is_not_compared(bucket, header):
    bucket.client.meta.config.request_checksum_calculation = "when_required"
    bucket.put("m/a", b"small")
    with faulty.serving(faulty.Upstream(bucket.endpoint)) as server:
        server.plan(
            faults.header(*header), faults.header("x-amz-checksum-crc32", None), faults.header("x-amz-checksum-crc64nvme", None),
            path="*/m/a", method="HEAD", times=None,
        )  # fmt: skip

        def check(source):
            entry = resolve(source, f"{bucket.name}/m").entries[0]
            assert source.digests(entry) == source.digests(entry) == {}

        with_source(bucket.source(endpoint=server.url), check)


def test_who_may_not_ask_is_told_nothing(bucket):
    """A refused question is no failure of the pull: its reading tells what is wrong."""
    bucket.put("m/a", DATA)
    with faulty.serving(faulty.Upstream(bucket.endpoint)) as server:
        server.plan(faults.status(403), path="*/m/a", method="HEAD", times=None)

        def check(source):
            entry = resolve(source, f"{bucket.name}/m").entries[0]
            assert source.digests(entry) == {}
            assert read(source, entry) == DATA

        with_source(bucket.source(endpoint=server.url), check)


# -------------------------------------------------------------------------------------------------------------- a pull


@pytest.fixture
def pulled(lading, bucket):
    """Pulls what is below `m` through a server that may lie; the finished command."""
    return lambda server, *options: lading(
        "pull", f"s3://{bucket.name}/m", "volume", "--model", "m", "--expect", "any", "--endpoint", server.url, *options
    )


def test_bytes_that_changed_on_the_way_are_fetched_again(bucket, pulled, tmp_path):
    """The store's own checksum shows it; the second time they are right."""
    bucket.put("m/a", DATA, ChecksumAlgorithm="CRC64NVME")
    with faulty.serving(faulty.Upstream(bucket.endpoint)) as server:
        server.plan(faults.wrong(1000), path="*/m/a", at=1000)
        result = pulled(server, "--version", "v1")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "volume/m/v1/a").read_bytes() == DATA


def test_bytes_that_are_not_what_the_store_says_are_never_published(bucket, pulled, tmp_path):
    """Wrong at rest: they were read twice, and differ both times."""
    bucket.put("m/a", DATA, ChecksumAlgorithm="CRC64NVME")
    with faulty.serving(faulty.Upstream(bucket.endpoint)) as server:
        server.plan(faults.header("x-amz-checksum-crc64nvme", "AAAAAAAAAAA="), path="*/m/a", method="HEAD", times=None)
        result = pulled(server, "--version", "v1")
    assert result.returncode == 4
    assert "m/a" in result.stderr or " a " in result.stderr
    assert not (tmp_path / "volume/m/v1").exists()


def test_a_version_may_be_pulled_by_a_job(bucket):
    """It is no secret: a Job's document may hold it."""
    assert SourceRef(scheme="s3", location="b/k?versionId=1").shown == "s3://b/k?versionId=1"
    assert SourceRef(scheme="https", location="u:p@h/k?signature=1").shown == "https://h/k"
