"""Three conventions of credentials, read by names of keys alone; their values never leave the Secret."""

import base64
import json

import pytest

from lading.errors import ClusterDenied, InvalidInput, PreflightFailed
from lading.manifests import credentials as deciding
from lading.manifests.credentials import Lacking
from lading.placement import credentials as credentialing
from lading.placement import secrets
from lading.spec.credentials import STORAGE_CONFIG_VARIABLE, CredentialChoice, CredentialEnv
from lading.spec.ref import parse
from lading.wiring import pod

ID, KEY = "AKIDtopsecret", "wJalr/verysecret+value"
SOURCE = parse("s3://llm/granite")


def secret(name="s3", data=None, **metadata):
    data = {"AWS_ACCESS_KEY_ID": ID, "AWS_SECRET_ACCESS_KEY": KEY} if data is None else data
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"metadata": {"name": name, **metadata}, "data": encoded}


def env(made) -> dict[str, str]:
    assert not isinstance(made, Lacking), made
    return {entry.name: entry.key for entry in made.env}


class Api:
    """Secrets and ServiceAccounts by name; what is None may not be read."""

    namespace = "demo"

    def __init__(self, **objects):
        self.objects = objects

    async def find(self, kind, name):
        found = self.objects.get(f"{kind.plural}_{name.replace('-', '_')}", ...)
        if found is None:
            raise ClusterDenied("no")
        return None if found is ... else found

    async def list(self, kind, **_):
        return [one for name, one in self.objects.items() if name.startswith(kind.plural) and one]


def account(*named, name="puller", **annotations):
    return {"metadata": {"name": name, "annotations": annotations}, "secrets": [{"name": one} for one in named]}


# ------------------------------------------------------------------------------------------------------- spellings


@pytest.mark.parametrize(
    ("id_key", "secret_key"),
    [
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        ("awsAccessKeyID", "awsSecretAccessKey"),
        ("accesskey", "secretkey"),
        ("access_key_id", "secret_access_key"),
        ("root-user", "root-password"),
    ],
)
def test_keys_are_known_in_all_spellings_in_use(id_key, secret_key):
    made = deciding.s3(secrets.seen(secret(data={id_key: ID, secret_key: KEY, "other": "x"})))
    assert env(made) == {"AWS_ACCESS_KEY_ID": id_key, "AWS_SECRET_ACCESS_KEY": secret_key}
    assert made.notes == (f"credentials: {id_key}, {secret_key} of Secret s3",)


def test_a_key_that_is_missing_is_named_with_those_that_are_there():
    made = deciding.s3(secrets.seen(secret(data={"AWS_ACCESS_KEY_ID": ID, "AWS_SECRET_KEY_ACCES": KEY})))
    assert made == Lacking(
        message="Secret s3 has no AWS_SECRET_ACCESS_KEY; its keys: AWS_ACCESS_KEY_ID, AWS_SECRET_KEY_ACCES",
        hint="is AWS_SECRET_KEY_ACCES meant to be it? It has to be called AWS_SECRET_ACCESS_KEY",
    )


def test_kserve_annotations_win_over_data_and_become_its_variables():
    made = deciding.s3(
        secrets.seen(
            secret(
                data={
                    "awsAccessKeyID": ID,
                    "awsSecretAccessKey": KEY,
                    "S3_ENDPOINT": "data:1",
                    "AWS_DEFAULT_REGION": "eu",
                },
                annotations={
                    "serving.kserve.io/s3-endpoint": "minio.demo:9000",
                    "serving.kserve.io/s3-usehttps": "0",
                    "serving.kserve.io/s3-cabundle-configmap": "our-ca",
                },
            )
        )
    )
    assert made.plain == {"S3_ENDPOINT": "minio.demo:9000", "S3_USE_HTTPS": "0"}
    assert "S3_ENDPOINT" not in env(made)
    assert env(made)["AWS_DEFAULT_REGION"] == "AWS_DEFAULT_REGION"
    assert (made.ca_config_map, made.ca_key) == ("our-ca", "cabundle.crt")


def test_an_anonymous_secret_needs_no_keys():
    made = deciding.s3(secrets.seen(secret(data={}, annotations={"serving.kserve.io/s3-useanoncredential": "true"})))
    assert made.env == ()
    assert made.plain == {"awsAnonymousCredential": "true"}


def test_a_data_connection_is_read_by_its_keys_and_its_bucket_is_compared():
    data = {
        "AWS_ACCESS_KEY_ID": ID,
        "AWS_SECRET_ACCESS_KEY": KEY,
        "AWS_S3_ENDPOINT": "http://m:9",
        "AWS_S3_BUCKET": "other",
    }
    made = deciding.connection(
        secrets.seen(secret(data=data, annotations={"opendatahub.io/connection-type": "s3"})), bucket="llm"
    )
    assert env(made)["AWS_S3_ENDPOINT"] == "AWS_S3_ENDPOINT"
    assert "Secret s3 is for bucket other, the source is in llm" in made.notes
    refused = deciding.connection(
        secrets.seen(secret(data=data, annotations={"opendatahub.io/connection-type": "uri-v1"}))
    )
    assert refused.message == "connection s3 is of type uri-v1, not s3"


def test_storage_config_is_given_whole_and_its_fields_are_picked_in_the_pod():
    connection = {
        "type": "s3",
        "access_key_id": ID,
        "secret_access_key": KEY,
        "endpoint_url": "minio:9000",
        "verify_ssl": "0",
    }
    found = secrets.seen(secret("storage-config", {"aws-minio": json.dumps(connection), "broken": "x"}))
    made = deciding.storage(found, "aws-minio")
    assert made.env == (CredentialEnv(name=STORAGE_CONFIG_VARIABLE, secret="storage-config", key="aws-minio"),)
    assert deciding.storage(found, "aws-mino").hint == "did you mean --storage-key aws-minio?"
    assert deciding.storage(found, "").message.startswith("Secret storage-config has no default connection")
    assert deciding.storage(found, "broken").message == "key broken of Secret storage-config is no JSON object"


def test_a_field_that_is_missing_in_storage_config_is_named():
    found = secrets.seen(secret("storage-config", {"k": json.dumps({"type": "s3", "access_key_id": ID, "region": ""})}))
    assert (
        deciding.storage(found, "k").message
        == "key k of Secret storage-config has no secret_access_key; its fields: access_key_id, type"
    )


# ------------------------------------------------------------------------------------------------ values stay where they are


def test_what_kubectl_apply_was_given_is_not_kept_either():
    applied = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps({"stringData": {"k": KEY}})}
    assert KEY not in repr(secrets.seen(secret(annotations=applied)))


def test_no_value_of_a_secret_is_kept():
    """But for the names of a bucket and of a ConfigMap, whose form is checked: a secret written there is not shown."""
    seen = secrets.seen(
        secret(
            data={
                "AWS_ACCESS_KEY_ID": ID,
                "AWS_SECRET_ACCESS_KEY": KEY,
                "AWS_S3_BUCKET": KEY,
                "conn": json.dumps({"access_key_id": ID, "secret_access_key": KEY, "bucket": KEY, "type": "s3"}),
            }
        )
    )
    assert ID not in repr(seen)
    assert "verysecret" not in repr(seen)


@pytest.mark.parametrize("text", ["{", "[]", f'"{KEY}"'])
def test_a_broken_connection_is_refused_in_the_pod_without_its_text(text):
    with pytest.raises(InvalidInput) as caught:
        pod.settled({STORAGE_CONFIG_VARIABLE: text})
    assert KEY not in str(caught.value)


# -------------------------------------------------------------------------------------------------------- in the pod


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({"awsAccessKeyID": "a", "awsSecretAccessKey": "b"}, {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}),
        ({"S3_ENDPOINT": "m:9000", "S3_USE_HTTPS": "0"}, {"AWS_ENDPOINT_URL": "http://m:9000"}),
        ({"S3_ENDPOINT": "m:9000"}, {"AWS_ENDPOINT_URL": "https://m:9000"}),
        ({"S3_ENDPOINT": "http://m", "S3_USE_HTTPS": "1"}, {"AWS_ENDPOINT_URL": "http://m"}),
        ({"AWS_S3_ENDPOINT": "https://m"}, {"AWS_ENDPOINT_URL": "https://m"}),
        ({"S3_VERIFY_SSL": "False"}, {"LADING_S3_VERIFY_TLS": "false"}),
        ({"S3_USER_VIRTUAL_BUCKET": "true"}, {"LADING_S3_ADDRESSING": "virtual"}),
        ({"awsAnonymousCredential": "1"}, {"LADING_S3_ANONYMOUS": "true"}),
        ({"AWS_REGION": "eu-1"}, {"AWS_DEFAULT_REGION": "eu-1"}),
        ({"AWS_ACCESS_KEY_ID": "a", "AWS_ENDPOINT_URL": "http://m"}, {}),
        (
            {STORAGE_CONFIG_VARIABLE: '{"access_key_id": "a", "secret_access_key": "b", "endpoint_url": "m", "verify_ssl": false}'},
            {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": "https://m", "LADING_S3_VERIFY_TLS": "false"},
        ),
    ],
)  # fmt: skip
def test_every_convention_ends_as_the_variables_of_botocore(given, made):
    assert pod.settled(given) == made


# ------------------------------------------------------------------------------------------------------- by the API


async def gathered(api, **choice):
    return await credentialing.gathered(api, SOURCE, CredentialChoice(**choice))


async def test_a_service_account_gives_its_annotated_secret():
    api = Api(
        serviceaccounts_puller=account("pull", "kserve"),
        secrets_pull=secret("pull", {".dockerconfigjson": "{}"}),
        secrets_kserve=secret("kserve"),
    )
    made, problems = await gathered(api, service_account="puller")
    assert problems == ()
    assert {entry.secret for entry in made.env} == {"kserve"}
    assert (made.service_account, made.token) == ("puller", False)


async def test_a_cloud_identity_gets_its_token_and_no_secret():
    api = Api(serviceaccounts_puller=account(**{"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x"}))
    made, problems = await gathered(api, service_account="puller")
    assert problems == ()
    assert (made.env, made.service_account, made.token) == ((), "puller", True)


async def test_what_is_not_there_is_named_with_what_is_near():
    api = Api(secrets_minio_keys=secret("minio-keys"))
    _, problems = await gathered(api, secret="minio-key")
    assert [(one.code, one.message, one.hint) for one in problems] == [
        ("secret-missing", "there is no Secret minio-key in demo", "did you mean minio-keys?")
    ]
    _, problems = await gathered(api, service_account="absent")
    assert [one.code for one in problems] == ["service-account-missing"]
    with pytest.raises(PreflightFailed, match="there is no Secret minio-key in demo"):
        await credentialing.credentials(api, SOURCE, CredentialChoice(secret="minio-key"))


async def test_a_secret_that_may_not_be_read_is_used_all_the_same():
    made, problems = await gathered(Api(secrets_s3=None), secret="s3")
    assert problems == ()
    assert all(entry.optional for entry in made.env)
    assert {"AWS_ACCESS_KEY_ID", "awsAccessKeyID", "AWS_S3_ENDPOINT"} <= {entry.name for entry in made.env}
    assert "may not be read" in made.notes[0]


async def test_a_connection_is_found_by_the_name_that_the_dashboard_shows():
    shown = {"openshift.io/display-name": "My storage", "opendatahub.io/connection-type": "s3"}
    api = Api(secrets_aws_connection_x=secret("aws-connection-x", annotations=shown))
    made, problems = await gathered(api, connection="My storage")
    assert problems == ()
    assert {entry.secret for entry in made.env} == {"aws-connection-x"}


@pytest.mark.parametrize(
    ("choice", "source", "said"),
    [
        ({"secret": "a", "connection": "b"}, "s3://b/p", "two ways"),
        ({"secret": "a"}, "https://h/f", "is for s3:// and hf:// sources"),
    ],
)
async def test_a_choice_that_contradicts_itself_is_refused(choice, source, said):
    with pytest.raises(InvalidInput, match=said):
        await credentialing.gathered(Api(), parse(source), CredentialChoice(**choice))


# ------------------------------------------------------------------------------------------------------------ a hub

HUB = parse("hf://acme/tiny")


@pytest.mark.parametrize("choice", [{"token_secret": "hub"}, {"secret": "hub"}])
@pytest.mark.parametrize("key", ["HF_TOKEN", "token", "HUGGING_FACE_HUB_TOKEN"])
async def test_a_hub_s_token_comes_from_a_secret_in_any_spelling(choice, key):
    api = Api(secrets_hub=secret("hub", {key: "hf_topsecret"}))
    made = await credentialing.credentials(api, HUB, CredentialChoice(**choice))
    assert made.env == (CredentialEnv(name="HF_TOKEN", secret="hub", key=key),)
    assert "topsecret" not in repr(made)


async def test_a_secret_without_a_token_and_one_that_is_not_there_are_said_with_the_remedy():
    with pytest.raises(PreflightFailed) as caught:
        await credentialing.credentials(Api(secrets_hub=secret("hub")), HUB, CredentialChoice(token_secret="hub"))
    assert "Secret hub has no token (HF_TOKEN)" in caught.value.message
    with pytest.raises(PreflightFailed) as caught:
        await credentialing.credentials(Api(), HUB, CredentialChoice(token_secret="hub"))
    assert "create secret generic hub --from-literal=HF_TOKEN=…" in f"{caught.value.message} {caught.value.hint}"


async def test_a_secret_that_may_not_be_read_is_trusted_to_have_the_token_by_its_usual_name():
    made = await credentialing.credentials(Api(secrets_hub=None), HUB, CredentialChoice(token_secret="hub"))
    assert made.env == (CredentialEnv(name="HF_TOKEN", secret="hub", key="HF_TOKEN", optional=True),)


@pytest.mark.parametrize(
    ("source", "choice", "said"),
    [
        (HUB, {"connection": "minio"}, "--connection is for s3:// sources"),
        (SOURCE, {"token_secret": "hub"}, "--token-secret is for hf:// sources"),
        (parse("https://host/x"), {"secret": "hub"}, "--secret is for s3:// and hf:// sources"),
        (HUB, {"secret": "a", "token_secret": "b"}, "--secret and --token-secret are two ways to say the same"),
    ],
)
async def test_credentials_of_another_kind_of_source_are_refused(source, choice, said):
    with pytest.raises(InvalidInput, match=said):
        await credentialing.credentials(Api(), source, CredentialChoice(**choice))
