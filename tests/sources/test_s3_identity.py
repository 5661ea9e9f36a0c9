"""Whose requests they are: every way in which keys are found, with real keys of a real MinIO, and what happens when they end."""

import asyncio
import base64
import hashlib
import json
import os
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from tests.testbed import minio as testbed
from tests.testbed import oidc, pki, require

from lading.errors import InvalidInput, SourceDenied
from lading.sources import s3_signing as signing
from lading.sources.connection import Connection, Get
from lading.sources.s3 import S3Source
from lading.sources.s3_botocore import Store
from lading.spec.pull import Choices
from lading.spec.ref import SourceRef
from lading.testing import identity

pytestmark = pytest.mark.real("minio")
DATA = bytes(range(256)) * 1000
LIFE_S = 6
"""Of keys that are to end: time for a listing and a first read on a busy machine."""


@pytest.fixture
def bucket(minio):
    """A bucket with one object; its name."""
    name = f"b-{uuid.uuid4().hex[:12]}"
    minio.bucket(name, {"m/model.bin": DATA})
    return name


@pytest.fixture
def nobody(monkeypatch, tmp_path):
    """An environment without any keys, and no other configuration of this machine."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


def read(endpoint, bucket):
    source = S3Source(choices=Choices(endpoint=endpoint))
    try:
        entry = listed(source, bucket)
        return whole(source, entry)
    finally:
        source.close()


def listed(source, bucket):
    return asyncio.run(source.resolve(SourceRef(scheme="s3", location=f"{bucket}/m"))).entries[0]


def whole(source, entry):
    buffer = memoryview(bytearray(100_000))
    data = bytearray()
    while count := source.read_into(entry, len(data), buffer):
        data += buffer[:count]
    return bytes(data)


def test_keys_of_the_environment(minio, bucket, nobody):
    nobody.setenv("AWS_ACCESS_KEY_ID", minio.access_key)
    nobody.setenv("AWS_SECRET_ACCESS_KEY", minio.secret_key)
    assert read(minio.endpoint, bucket) == DATA


def test_a_profile_of_the_users_files(minio, bucket, nobody, tmp_path):
    """Also its endpoint and region, without --endpoint."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text(f"[profile team]\nendpoint_url = {minio.endpoint}\nregion = us-east-1\n")
    (tmp_path / ".aws/credentials").write_text(
        f"[team]\naws_access_key_id = {minio.access_key}\naws_secret_access_key = {minio.secret_key}\n"
    )
    nobody.setenv("AWS_PROFILE", "team")
    assert read(None, bucket) == DATA


def test_a_program_that_gives_keys(minio, bucket, nobody, tmp_path):
    """`credential_process`; where it fails its own words stay with it."""
    script, config = tmp_path / "keys.sh", tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = sh {script}\n")
    nobody.setenv("AWS_CONFIG_FILE", str(config))
    keys = {"Version": 1, "AccessKeyId": minio.access_key, "SecretAccessKey": minio.secret_key}
    script.write_text(f"echo '{json.dumps(keys)}'\n")
    assert read(minio.endpoint, bucket) == DATA
    script.write_text("echo hush-hush >&2; exit 1\n")
    with pytest.raises(SourceDenied, match="custom-process") as caught:
        read(minio.endpoint, bucket)
    assert "hush" not in f"{caught.value}{caught.value.hint}"


def test_a_profile_that_is_not_there_is_named(minio, nobody):
    nobody.setenv("AWS_PROFILE", "absent")
    with pytest.raises(InvalidInput, match="absent") as caught:
        S3Source(choices=Choices(endpoint=minio.endpoint))
    assert "AWS_PROFILE" in caught.value.hint


def test_a_bucket_for_anyone_is_read_without_keys(minio, bucket, nobody):
    """Requests are then not signed at all."""
    allow = {"Effect": "Allow", "Principal": {"AWS": ["*"]}}
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            allow | {"Action": ["s3:ListBucket"], "Resource": [f"arn:aws:s3:::{bucket}"]},
            allow | {"Action": ["s3:GetObject"], "Resource": [f"arn:aws:s3:::{bucket}/*"]},
        ],
    }
    minio.client().put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    assert read(minio.endpoint, bucket) == DATA


def test_without_keys_another_bucket_is_said_to_want_them(minio, bucket, nobody):
    with pytest.raises(SourceDenied, match="wants credentials, and none were found"):
        read(minio.endpoint, bucket)


def test_an_instances_own_role(minio, bucket, nobody):
    pair = identity.Pair(access_key=minio.access_key, secret_key=minio.secret_key)
    with identity.serving([pair]) as service:
        nobody.delenv("AWS_EC2_METADATA_DISABLED")
        nobody.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", service.url)
        assert read(minio.endpoint, bucket) == DATA


# ---------------------------------------------------------------------------------------------------------------- SSO


@pytest.fixture
def signed_in(nobody, tmp_path):
    """A profile of SSO, as `aws configure sso` writes it, and the function that signs in, as `aws sso login` does."""
    folder = tmp_path / ".aws"
    (folder / "sso/cache").mkdir(parents=True)
    (folder / "config").write_text(
        "[profile work]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = reader\n"
        "[sso-session corp]\nsso_start_url = https://corp.example/start\nsso_region = us-east-1\n"
    )
    nobody.setenv("AWS_PROFILE", "work")

    def sign_in(token="signed-in"):
        ends = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        name = hashlib.sha1(b"corp").hexdigest()
        document = {
            "accessToken": token,
            "expiresAt": ends,
            "region": "us-east-1",
            "startUrl": "https://corp.example/start",
        }
        (folder / f"sso/cache/{name}.json").write_text(json.dumps(document))

    return sign_in


@pytest.fixture
def pulled(lading, minio, bucket):
    """A pull by the command, as a process of its own: botocore looks for the sign-in of who starts it."""
    return lambda: lading("pull", f"s3://{bucket}/m", "volume", "--expect", "any", "--endpoint", minio.endpoint)


def test_a_profile_of_sso(minio, pulled, nobody, signed_in):
    pair = identity.Pair(access_key=minio.access_key, secret_key=minio.secret_key)
    with identity.serving([pair]) as portal:
        nobody.setenv("AWS_ENDPOINT_URL_SSO", portal.url)
        signed_in()
        result = pulled()
    assert result.returncode == 0, result.stderr
    assert portal.asked == ["/federation/credentials?role_name=reader&account_id=123456789012"]


def test_who_is_not_signed_in_is_told_the_command(pulled, nobody, signed_in):
    assert "hint: aws sso login --profile work" in pulled().stderr


def test_a_session_that_ended_is_told_the_command(minio, pulled, nobody, signed_in):
    pair = identity.Pair(access_key=minio.access_key, secret_key=minio.secret_key)
    with identity.serving([pair]) as portal:
        nobody.setenv("AWS_ENDPOINT_URL_SSO", portal.url)
        signed_in(token="of yesterday")
        assert "hint: aws sso login --profile work" in pulled().stderr


# -------------------------------------------------------------------------------------------- web identity, keys that end


@pytest.fixture(scope="module")
def trusting(tmp_path_factory):
    """A real MinIO that gives keys for tokens of an identity provider; and that provider."""
    missing = pki.missing()
    require("minio", testbed.program("minio"), "not built (make testbed builds it; Go is needed)")
    require("openssl", missing is None, missing or "")
    folder = tmp_path_factory.mktemp("trusting")
    with oidc.running(folder / "provider") as provider:
        settings = {
            "MINIO_IDENTITY_OPENID_CONFIG_URL": provider.url,
            "MINIO_IDENTITY_OPENID_CLIENT_ID": oidc.CLIENT,
            "MINIO_IDENTITY_OPENID_ROLE_POLICY": "readwrite",
        }
        with testbed.running(folder, settings=settings) as server:
            server.bucket("models", {"m/model.bin": DATA})
            yield server, provider


@pytest.fixture
def pod(trusting, nobody, tmp_path):
    """What a pod with a bound ServiceAccount sees; the file of its token, which a kubelet writes anew."""
    server, _ = trusting
    role = base64.urlsafe_b64encode(hashlib.sha1(oidc.CLIENT.encode()).digest()).rstrip(b"=").decode()
    token = tmp_path / "token"
    nobody.setenv("AWS_ROLE_ARN", f"arn:minio:iam:::role/{role}")
    nobody.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    nobody.setenv("AWS_ENDPOINT_URL_STS", server.endpoint)
    return token


@pytest.mark.real("openssl")
def test_a_pods_service_account(trusting, pod):
    """IRSA: a token in a file, changed for keys by AssumeRoleWithWebIdentity."""
    server, provider = trusting
    pod.write_text(provider.token(life_s=3600))
    assert read(server.endpoint, "models") == DATA


@pytest.mark.real("openssl")
def test_keys_that_end_in_the_middle_are_followed_by_new_ones(trusting, pod):
    """Real keys of MinIO that live for seconds, and have ended between two ranges; nothing is asked of the user."""
    server, provider = trusting
    pod.write_text(provider.token(life_s=LIFE_S))
    keys = Store(Choices(endpoint=server.endpoint)).keys()
    source = S3Source(choices=Choices(endpoint=server.endpoint))
    entry = listed(source, "models")
    first = part(source, entry, 0, 1000)
    pod.write_text(provider.token(life_s=3600))
    wait_for_the_end(server, keys)
    assert first + part(source, entry, 1000, len(DATA)) == DATA
    source.close()


@pytest.mark.real("openssl")
def test_keys_that_the_store_refuses_are_looked_for_anew(trusting, pod, nobody, tmp_path):
    """Keys of a file without an end, which another program writes: botocore holds the old ones good for ever."""
    server, provider = trusting
    pod.write_text(provider.token(life_s=LIFE_S))
    ending = Store(Choices(endpoint=server.endpoint)).keys()
    for name in ("AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        nobody.delenv(name)
    (tmp_path / ".aws").mkdir()
    file = tmp_path / ".aws/credentials"

    def write(access_key, secret_key, token=None):
        lines = ["[default]", f"aws_access_key_id = {access_key}", f"aws_secret_access_key = {secret_key}"]
        file.write_text("\n".join([*lines, *([f"aws_session_token = {token}"] if token else [])]) + "\n")

    write(ending.access_key, ending.secret_key, ending.token)
    source = S3Source(choices=Choices(endpoint=server.endpoint))
    entry = listed(source, "models")
    assert part(source, entry, 0, 1000) == DATA[:1000]
    wait_for_the_end(server, ending)
    with pytest.raises(SourceDenied, match="refused the request"):
        part(source, entry, 1000, 2000)
    write(server.access_key, server.secret_key)
    assert part(source, entry, 1000, 2000) == DATA[1000:2000]
    source.close()


def wait_for_the_end(server, keys):
    """Until the store itself refuses what *keys* sign."""
    url = f"{server.endpoint}/models/m/model.bin"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        headers = signing.signed("HEAD", url, {}, keys=keys, region="us-east-1", at=datetime.now(UTC))
        connection = Connection()
        status = connection.send(Get(url=url, shown="it", headers=headers, method="HEAD")).status
        connection.close()
        if status != 200:
            return
        time.sleep(0.2)
    raise AssertionError("the keys did not end")


def part(source, entry, start, end):
    buffer = memoryview(bytearray(end - start))
    got = 0
    while got < len(buffer) and (count := source.read_into(entry, start + got, buffer[got:], end=end)):
        got += count
    return bytes(buffer[:got])


@pytest.mark.real("openssl")
def test_a_token_that_nobody_renewed_is_refused(trusting, pod):
    server, provider = trusting
    pod.write_text(provider.token(life_s=-10))
    with pytest.raises(SourceDenied):
        read(server.endpoint, "models")
