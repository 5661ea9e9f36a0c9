"""Where the environment says all there is to know of a store, and where it does not."""

import subprocess
import sys
import textwrap

import pytest
from tests.sources.test_s3 import Bucket, bucket, read, resolve, with_source

from lading.errors import SourceError
from lading.sources import s3_plain
from lading.sources.s3_signing import Keys
from lading.spec.pull import Choices
from lading.testing import faults, faulty

__all__ = ("bucket",)
ENDPOINT = "http://127.0.0.1:9000"


@pytest.fixture
def told(monkeypatch, tmp_path):
    """An environment with a pair of keys, an authority, and nothing else of S3."""
    for name in [name for name in s3_plain.os.environ if name.startswith(("AWS_", "LADING_S3"))]:
        monkeypatch.delenv(name)
    authority = tmp_path / "ca.pem"
    authority.write_text("")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "who")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    return monkeypatch


def found(endpoint=ENDPOINT, **choices):
    return s3_plain.found(Choices(endpoint=endpoint, **choices))


def test_a_store_and_its_keys_are_taken_from_the_environment(told):
    plain = found(endpoint="http://127.0.0.1:9000/")
    assert (plain.endpoint, plain.region, plain.keys) == (
        ENDPOINT, "us-east-1", Keys(access_key="who", secret_key="hidden"),
    )  # fmt: skip
    assert "hidden" not in repr(plain)


def test_what_else_may_be_said(told):
    told.setenv("AWS_SESSION_TOKEN", "token")
    told.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    told.setenv("AWS_ENDPOINT_URL_S3", "https://store.example")
    plain = found(endpoint=None, verify_tls=False)
    assert (plain.endpoint, plain.region) == ("https://store.example", "eu-west-1")
    assert plain.keys.token == "token"
    assert not plain.trust.verify


def test_requests_that_are_anyones(told):
    told.setenv("LADING_S3_ANONYMOUS", "true")
    assert found().keys is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_PROFILE", "work"),
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/reader"),
        ("AWS_SOMETHING_NEW", "1"),
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
        ("AWS_CA_BUNDLE", "/nowhere/ca.pem"),
        ("LADING_S3_ADDRESSING", "virtual"),
    ],
)
def test_where_others_have_a_say_there_is_none(told, name, value):
    told.setenv(name, value)
    assert found() is None


@pytest.mark.parametrize("name", ["config", "credentials"])
def test_nor_where_a_file_has_settings(told, tmp_path, name):
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / name).write_text("")
    assert found() is not None
    (tmp_path / ".aws" / name).write_text("[default]\nregion = eu-west-1\n")
    assert found() is None


@pytest.mark.parametrize(
    "endpoint",
    [None, "https://s3.eu-west-1.amazonaws.com", "http://a/below", "http://a?b", "http://a:port", "http://", "ftp://a"],
)
def test_nor_where_the_address_is_another_kind(told, endpoint):
    assert found(endpoint=endpoint) is None


@pytest.mark.parametrize("name", ["arn:aws:s3:::x", "Upper", "a_b", "..", "a", "x" * 64, "a/b", "ü"])
def test_names_that_are_not_put_into_a_path(name):
    assert not s3_plain.is_bucket(name)


@pytest.mark.real("minio")
def test_a_pull_from_a_plain_store_does_without_botocore(minio_environment, tmp_path):
    client = minio_environment.client()
    client.create_bucket(Bucket="without-botocore")
    client.put_object(Bucket="without-botocore", Key="m/config.json", Body=b"{}")
    program = textwrap.dedent("""
        import sys
        from lading.cli.app import main
        try:
            main(sys.argv[1:])
        finally:
            assert "botocore" not in sys.modules
    """)
    argv = ["pull", "s3://without-botocore/m", str(tmp_path / "v"), "--expect", "any"]
    done = subprocess.run(
        [sys.executable, "-c", program, *argv, "--endpoint", minio_environment.endpoint],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("Error")) == (0, 0), done.stderr


UNREADABLE = {
    "nothing": b"",
    "page": b"<html>",
    "long": b"<a>" + b"x" * (17 << 20) + b"</a>",
    "no-size": b"<a><Contents><Key>m/a</Key></Contents></a>",
    "no-number": b"<a><Contents><Key>m/a</Key><Size>many</Size><ETag>x</ETag></Contents></a>",
    "entities": b'<!DOCTYPE a [<!ENTITY b "' + b"b" * 10_000 + b'"><!ENTITY c "' + b"&b;" * 10_000 + b'">]><a>&c;</a>',
}


@pytest.mark.real("minio")
@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_is_no_listing_is_asked_again_or_told(bucket: Bucket, kind):
    bucket.put("m/a", b"data")
    page = faults.status(200, ("Content-Type", "application/xml"), body=UNREADABLE[kind])
    with faulty.serving(faulty.Upstream(bucket.endpoint)) as server:
        server.plan(page, path=bucket.name, times=2)

        def do(source):
            (entry,) = resolve(source, f"{bucket.name}/m").entries
            return read(source, entry)

        try:
            assert with_source(bucket.source(endpoint=server.url), do) == b"data"
        except SourceError:
            assert "AWS_MAX_ATTEMPTS" in s3_plain.os.environ  # nobody else was left to ask
