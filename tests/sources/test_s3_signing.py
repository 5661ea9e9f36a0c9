"""Our signatures are those of botocore, for any key, query and header."""

from datetime import UTC, datetime
from unittest import mock
from urllib.parse import quote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from lading.sources.s3_signing import EMPTY_SHA256, UNSIGNED_PAYLOAD, Keys, encoded_path, encoded_query, signed

AT = datetime(2026, 11, 21, 18, 30, 5, tzinfo=UTC)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40)
VALUES = st.text("abc XYZ09-_.,:;/+=", max_size=20)


def botocores(method, url, headers, keys, region):
    request = AWSRequest(method=method, url=url, headers=dict(headers))
    request.context["client_config"] = mock.Mock(s3={"payload_signing_enabled": True})
    with mock.patch("botocore.auth.get_current_datetime", return_value=AT):
        S3SigV4Auth(Credentials(keys.access_key, keys.secret_key, keys.token), "s3", region).add_auth(request)
    return dict(request.headers.items())


@given(
    method=st.sampled_from(["GET", "HEAD", "PUT", "DELETE"]),
    key=NAMES,
    query=st.dictionaries(NAMES, NAMES, max_size=4),
    headers=st.dictionaries(st.sampled_from(["x-amz-checksum-mode", "X-Amz-Request-Payer", "x-amz-meta-a"]), VALUES),
    token=st.none() | st.text("abc/+=", min_size=1, max_size=30),
    region=st.sampled_from(["us-east-1", "eu-central-1", ""]),
)
def test_a_signature_is_botocores(method, key, query, headers, token, region):
    url = f"http://store.example:9000/bucket/{encoded_path(key)}"
    url += f"?{encoded_query(query)}" if query else ""
    keys = Keys(access_key="AK", secret_key="s+/cret", token=token)
    mine = signed(method, url, headers, keys=keys, region=region, at=AT)
    assert mine["Authorization"] == botocores(method, url, headers, keys, region)["Authorization"]
    assert mine["x-amz-content-sha256"] == EMPTY_SHA256


def test_the_signing_key_is_of_its_day_and_its_secret():
    """It is remembered for a day: another day, or another secret, has another one."""
    made = {
        signed("GET", "http://h/k", {}, keys=Keys(access_key="A", secret_key=secret), region="r", at=at)[
            "Authorization"
        ]
        for secret in ("one", "two")
        for at in (AT, AT.replace(day=22))
    }
    assert len(made) == 4


def test_other_headers_may_be_added_after_the_signature():
    """A range is chosen by who sends the request."""
    keys = Keys(access_key="A", secret_key="s")
    plain = signed("GET", "http://h/k", {}, keys=keys, region="r", at=AT)
    ranged = signed("GET", "http://h/k", {"Range": "bytes=1-", "If-Match": '"x"'}, keys=keys, region="r", at=AT)
    assert plain["Authorization"] == ranged["Authorization"]
    assert ranged["Range"] == "bytes=1-"


def test_a_body_may_stay_out_of_the_signature():
    keys = Keys(access_key="A", secret_key="s")
    made = signed("PUT", "https://h/k", {}, keys=keys, region="r", at=AT, payload_sha256=UNSIGNED_PAYLOAD)
    assert made["x-amz-content-sha256"] == UNSIGNED_PAYLOAD


def test_secrets_are_not_in_what_is_printed():
    assert "hush" not in repr(Keys(access_key="A", secret_key="hush", token="hush"))


@given(NAMES)
def test_a_path_is_encoded_once(key):
    assert encoded_path(key) == quote(key, safe="/~-_.")
