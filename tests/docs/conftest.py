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
def on_serving(namespace, engine_image, tiny_gguf, lading, monkeypatch):
    """For docs/serving-on-a-cluster.md: a namespace whose user may serve, `tiny` on the claim `models`, an engine's image."""
    namespace.allow_serving()
    claim = namespace.claim("models", permissions=0o2775)
    done = lading("pull", tiny_gguf.parent, claim.path, "--model", "tiny", "--version", "v1")
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("ENGINE_IMAGE", engine_image)
    return {"KUBECONFIG": str(namespace.admin)}


@pytest.fixture
def on_docker(docker_daemon, engine_image, tiny_gguf, tmp_path, monkeypatch):
    """For docs/serving-docker.md: a Docker daemon that has an engine's image, and a model on a volume."""
    monkeypatch.setenv("DOCKER_HOST", docker_daemon)
    monkeypatch.setenv("ENGINE_IMAGE", engine_image)
    (tmp_path / "tiny.gguf").symlink_to(tiny_gguf)
    return {}


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
