"""Fixtures of the real parts."""

import pytest
from tests.testbed import cluster as clusters
from tests.testbed import docker as dockers
from tests.testbed import engine as engines
from tests.testbed import kserve as kserves
from tests.testbed import minio as testbed
from tests.testbed import namespaces, pki, require
from tests.testbed import nginx as nginxes


@pytest.fixture(scope="session")
def minio(tmp_path_factory):
    """A real MinIO for the whole session."""
    require("minio", testbed.program("minio"), "not built (make testbed builds it; Go is needed)")
    with testbed.running(tmp_path_factory.mktemp("minio")) as server:
        yield server


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """A certificate for servers of this host, of an authority that nobody else trusts."""
    missing = pki.missing()
    require("openssl", missing is None, missing or "")
    return pki.for_server(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def minio_tls(tmp_path_factory, certificates):
    """A real MinIO that speaks TLS; `certificates` names its authority."""
    require("minio", testbed.program("minio"), "not built (make testbed builds it; Go is needed)")
    with testbed.running(tmp_path_factory.mktemp("minio-tls"), certificates=certificates) as server:
        yield server


@pytest.fixture(scope="session")
def nginx(tmp_path_factory, certificates):
    """A real nginx, plain and by TLS, over its `files`."""
    require("nginx", nginxes.program(), "not installed (make testbed installs it where it may)")
    with nginxes.running(tmp_path_factory.mktemp("nginx"), certificates=certificates) as server:
        yield server


@pytest.fixture
def minio_environment(minio, monkeypatch):
    """MinIO's credentials in the environment, and no others of this machine."""
    for name, value in minio.environment.items():
        monkeypatch.setenv(name, value)
    return minio


@pytest.fixture(scope="session")
def cluster():
    """A real one-node Kubernetes with our image, shared by the session (and by its other processes)."""
    missing = clusters.missing()
    require("cluster", missing is None, missing or "")
    running = clusters.shared()
    namespaces.sweep(running.api)
    return running


@pytest.fixture(scope="session")
def control_plane():
    """A real API server with its controllers, whether or not this machine can have a node."""
    missing = clusters.missing(with_node=False)
    require("control plane", missing is None, missing or "")
    return clusters.shared()


@pytest.fixture(scope="session")
def kserve(cluster):
    """KServe's own controller and webhooks beside the cluster; they stay as long as it does."""
    missing = kserves.missing()
    require("kserve", missing is None, missing or "")
    clusters.with_kserve(cluster)
    return cluster


@pytest.fixture
def namespace(cluster, tmp_path_factory, monkeypatch):
    """A fresh namespace. ``KUBECONFIG`` and ``LADING_IMAGE`` are those of its user: the shipped Role and nothing more."""
    made = namespaces.create(cluster.api, tmp_path_factory.mktemp("namespace"))
    monkeypatch.setenv("KUBECONFIG", str(made.kubeconfig))
    monkeypatch.setenv("LADING_IMAGE", cluster.image)
    yield made
    made.remove()


@pytest.fixture(scope="session")
def engine_image():
    """The name of the image that has llama.cpp's server; in the node, too, when the cluster runs (ask for `cluster` first)."""
    missing = engines.missing()
    require("engine image", missing is None, missing or "")
    engines.ensure()
    return engines.NAME


@pytest.fixture(scope="session")
def docker_daemon(engine_image):
    """A real Docker daemon that has the engine image: its address, as ``DOCKER_HOST`` takes it."""
    with dockers.daemon():
        engines.in_docker()
        yield dockers.HOST
