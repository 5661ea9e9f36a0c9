"""What a store's headers say of the bytes: of any headers, and of what a real MinIO with a key service encrypts."""

import base64
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sources.origins import BucketOrigin
from tests.testbed import minio as testbed
from tests.testbed import require

from lading.sources import s3_checksums as checksums
from lading.weights import digests

NAMES = ("x-amz-checksum-crc64nvme", "x-amz-checksum-sha256", "x-amz-checksum-type", "etag", "content-range", "content-length",
         "x-amz-server-side-encryption", "x-amz-server-side-encryption-customer-algorithm")  # fmt: skip
VALUES = st.sampled_from(
    ["", "FULL_OBJECT", "COMPOSITE", "AES256", "aws:kms", '"' + "a" * 32 + '-2"', "GRuGp33h9GE=", "x=-2"]
)


@given(st.dictionaries(st.sampled_from(NAMES), VALUES | st.text(max_size=40)))
def test_any_headers_are_understood_or_say_nothing(headers):
    """Whatever is said can be computed and compared, or is left out."""
    said = checksums.of_all_bytes(headers)
    assert all(digests.hasher(name, said, size_bytes=1) is not None for name in said)
    tag = checksums.etag(headers)
    assert tag is None or checksums.part_count(tag) is None or checksums.part_count(tag) > 0
    size = checksums.part_size_bytes(headers)
    assert size is None or size >= 0


@given(st.integers(1, 50), st.integers(1, 1000), st.integers(1, 1000))
def test_even_parts_are_known_by_their_first_and_last(count, part, last):
    last = min(last, part)
    assert checksums.are_even((count - 1) * part + last, count, part, last)
    assert not checksums.are_even((count - 1) * part + last + 1, count, part, last)


@pytest.mark.parametrize("value", ["BJySM8UeCcV1CRVZN3HWRBTh8sKqcotsAQsr38aKGBI=-2", "no base64", ""])
def test_what_is_no_checksum_of_all_bytes_is_left_out(value):
    assert checksums.of_all_bytes({"x-amz-checksum-sha256": value}) == {}


# ------------------------------------------------------------------------------------------------------- encrypted, really

KMS = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "key"}
DATA = random.Random(3).randbytes(9 << 20)


@pytest.fixture(scope="module")
def encrypting(tmp_path_factory):
    """A real MinIO with a key service of its own."""
    require("minio", testbed.program("minio"), "not built (make testbed builds it; Go is needed)")
    key = base64.b64encode(b"k" * 32).decode()
    with testbed.running(tmp_path_factory.mktemp("kms"), settings={"MINIO_KMS_SECRET_KEY": f"key:{key}"}) as server:
        yield server


@pytest.fixture
def origin(encrypting, monkeypatch):
    for name, value in encrypting.environment.items():
        monkeypatch.setenv(name, value)
    made = BucketOrigin(encrypting)
    made.client.meta.config.request_checksum_calculation = "when_required"
    return made


def put(origin, path, data, **options):
    origin.client.put_object(Bucket=origin.bucket, Key=f"models/one/{path}", Body=data, **options)


@pytest.mark.real("minio")
def test_what_a_key_service_encrypts_is_pulled_beside_what_it_does_not(origin, lading, tmp_path):
    """Its ETags look like MD5s and are none: small and big, alone and among others, it is never held to them."""
    put(origin, "a-plain.txt", b"plain")
    put(origin, "b-small.txt", b"small", **KMS)
    put(origin, "c-big.bin", DATA, **KMS)
    put(origin, "d-big.bin", DATA, ServerSideEncryption="AES256")
    result = lading(
        "pull",
        str(origin.ref),
        "volume",
        "--model",
        "m",
        "--version",
        "v1",
        "--expect",
        "any",
        "--endpoint",
        origin.endpoint,
    )
    assert result.returncode == 0, result.stderr
    folder = tmp_path / "volume/m/v1"
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
        "a-plain.txt": b"plain", "b-small.txt": b"small", "c-big.bin": DATA, "d-big.bin": DATA,
    }  # fmt: skip
