"""A Job that cannot start is one clear message, at once, and nothing of it is left hanging."""

import asyncio

import pytest

from lading.errors import LadingError, PodFailed
from lading.manifests.jobs import Limits

pytestmark = pytest.mark.real("cluster")


async def refused(pulls, document) -> LadingError:
    """What the pull raised; its Job and pods are gone."""
    with pytest.raises(LadingError) as caught:
        await pulls.pull(document)
    assert pulls.namespace.get("jobs", document["metadata"]["name"], root="/apis/batch/v1") is None
    return caught.value


async def test_an_image_that_cannot_be_pulled(namespace, pulls):
    namespace.claim()
    pulls.image = "docker.io/testbed/missing:1"
    error = await refused(pulls, pulls.document(pulls.offer("m"), "m"))
    assert "docker.io/testbed/missing:1" in error.message
    assert error.hint


async def test_a_secret_without_the_key(namespace, pulls):
    namespace.claim()
    namespace.secret("store", {"other": "x"})
    document = pulls.document(pulls.offer("m"), "m")
    container = document["spec"]["template"]["spec"]["containers"][0]
    reference = {"secretKeyRef": {"name": "store", "key": "AWS_ACCESS_KEY_ID"}}
    container["env"].append({"name": "AWS_ACCESS_KEY_ID", "valueFrom": reference})
    error = await refused(pulls, document)
    assert "AWS_ACCESS_KEY_ID" in error.message
    assert "store" in error.message


async def test_what_might_pass_and_does_not(namespace, pulls):
    """A claim that is not bound, a node that nobody has, a quota that is used up: said at once, given up soon."""
    namespace.claim()
    namespace.claim("waiting", bind=False)
    unbound, nowhere = await asyncio.gather(
        refused(pulls, pulls.document(pulls.offer("a"), "a", claim="waiting")),
        refused(pulls, pulls.document(pulls.offer("b"), "b", node_selector={"disk": "gold"})),
    )
    assert "waiting" in unbound.message
    assert "disk" in nowhere.message
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    namespace.apply(quota)
    assert "quota" in (await refused(pulls, pulls.document(pulls.offer("c"), "c"))).message


async def test_too_little_memory_ends_with_that_reason_and_the_remedy(namespace, pulls):
    namespace.claim()
    memory = {"requests": {"memory": "16Mi"}, "limits": {"memory": "24Mi"}}
    document = pulls.document(pulls.offer("m"), "m", limits=Limits(attempts=0), resources=memory)
    with pytest.raises(PodFailed, match="memory") as caught:
        await pulls.pull(document)
    assert "--memory" in caught.value.hint


async def test_what_the_command_says_is_raised_as_it_would_be_here(namespace, pulls):
    namespace.claim()
    with pytest.raises(LadingError) as caught:
        await pulls.pull(pulls.document(f"{pulls.web.url}/nothing/SHA256SUMS", "m"))
    assert caught.value.code == "SourceMissing"
    assert not pulls.notices(), "what is final is not tried again"
