"""Places that pages of the docs run in."""

import os

import pytest
from tests.testbed import kube
from tests.testbed.places import ROOT


@pytest.fixture
def on_claims(namespace, tiny_hf, tmp_path, tmp_path_factory, monkeypatch):
    """For docs/claims.md: a namespace with its user, a class `standard`, a store with a model at `$STORE`, two
    Secrets for it, kubectl.

    Gives the environment of its administrator.
    """
    store = namespace.minio()
    store.bucket("llm-models", {f"tiny-chat/{file.name}": file.read_bytes() for file in tiny_hf.iterdir()})
    connect(namespace, store)
    namespace.secret("keys", {"AWS_ACCESS_KEY_ID": store.access_key, "AWS_SECRET_ACCESS_KEY": store.secret_key})
    monkeypatch.setenv("STORE", store.in_cluster)
    programs = tmp_path_factory.mktemp("programs")
    (programs / "kubectl").write_text(f'#!/bin/sh\nexec {kube.PROGRAM} ctl "$@"\n')
    (programs / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    (tmp_path / "finetuned").symlink_to(tiny_hf)
    with namespace.provisioning("standard"):
        yield {"KUBECONFIG": str(namespace.admin)}


@pytest.fixture
def at_sources(hub, tiny_hf, minio_environment, monkeypatch):
    """For docs/sources.md: a hub with a model in two forms at `HF_ENDPOINT`, a store with one at `$STORE`, and its keys."""
    repository = hub.repository("acme/tiny-chat")
    repository.commit_folder(tiny_hf)
    repository.commit({"pytorch_model.bin": b"weights", "LICENSE": b"free"})
    minio_environment.bucket("llm-models", {f"chat/tiny/{file.name}": file.read_bytes() for file in tiny_hf.iterdir()})
    monkeypatch.setenv("STORE", minio_environment.endpoint)
    return {"HF_ENDPOINT": hub.url}


def connect(namespace, store):
    """The data connection `minio`, as OpenShift AI writes one."""
    namespace.secret(
        "minio",
        {
            "AWS_ACCESS_KEY_ID": store.access_key,
            "AWS_SECRET_ACCESS_KEY": store.secret_key,
            "AWS_S3_ENDPOINT": store.in_cluster,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_S3_BUCKET": "llm-models",
        },
        labels={"opendatahub.io/dashboard": "true"},
        annotations={"opendatahub.io/connection-type": "s3", "openshift.io/display-name": "minio"},
    )
