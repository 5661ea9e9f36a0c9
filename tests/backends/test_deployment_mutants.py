"""The contract fails on a deployment backend that breaks it: defects that only a cluster has."""

import dataclasses
import os

import pytest
from tests.backends.on_cluster_places import DeploymentPlace

from lading.backends.deployment import DeploymentBackend
from lading.cluster import kinds
from lading.cluster.client import Cluster
from lading.errors import LadingError
from lading.ports.backend import Ready
from lading.testing import backends
from lading.testing.backends import BackendContract

pytestmark = [pytest.mark.real("cluster"), pytest.mark.timeout(300)]


class BelievesTheKubelet(DeploymentBackend):
    """A ready pod is a ready server: no request is made."""

    async def _answered(self, cluster, scene, applied, until):
        service = await self._service(cluster, applied.deployment.name)
        endpoint = f"http://{service['spec']['clusterIP']}"
        return backends.Endpoint(base_url=endpoint, served_name="tiny", reach="cluster"), {}


class LeavesTheService(DeploymentBackend):
    """The Deployment alone is deleted."""

    async def _remove(self, name, within_s):
        async with self._cluster(name) as cluster:
            await cluster.delete(kinds.DEPLOYMENT, name)


class ForcesItsWay(DeploymentBackend):
    """What runs under the name is replaced."""

    async def _there(self, cluster: Cluster, deployment):
        return None


class ReapsWhatHasNoLease(DeploymentBackend):
    """A user's server is taken for one that was left behind."""

    async def _reap(self):
        left = await super()._reap()
        for name in await self._names():
            if name == "users":
                await self._remove(name, 60.0)
        return left


class TellsThePlan(DeploymentBackend):
    """The command line is not read from the pod."""

    async def ready(self, name, *, within_s):
        ready: Ready = await super().ready(name, within_s=within_s)
        return dataclasses.replace(ready, argv=("other", *ready.argv[1:]))


MUTANTS = [
    (BelievesTheKubelet, "test_a_server_that_answers_under_another_name_is_not_ready"),
    (ForcesItsWay, "test_a_name_that_runs_something_else_is_refused_and_left_alone"),
    (LeavesTheService, "test_what_was_removed_is_gone_and_removing_it_again_is_silent"),
    (TellsThePlan, "test_the_argv_of_a_ready_server_is_the_one_that_was_planned"),
    (ReapsWhatHasNoLease, "test_reap_removes_exactly_what_belongs_to_leases_nobody_holds"),
]
#: Each starts real pods: two of them here, all under LADING_SOAK.
CHOSEN = MUTANTS if os.environ.get("LADING_SOAK") else MUTANTS[:2]


@pytest.mark.parametrize(("mutant", "clause"), CHOSEN, ids=lambda value: getattr(value, "__name__", value))
async def test_the_clause_fails_on_its_mutant(mutant, clause, namespace, engine_image, lading_home, monkeypatch):
    """With the clause's own assertion, not by a cluster that does not answer."""
    monkeypatch.setattr(backends, "PATIENCE_S", 60.0)
    place = DeploymentPlace(namespace, lading_home, engine_image, mutant)
    test = getattr(BackendContract(), clause)
    wanted = {"place": place, "backend": place.backend()}
    arguments = {
        name: wanted[name] for name in test.__code__.co_varnames[: test.__code__.co_argcount] if name in wanted
    }
    try:
        with pytest.raises((AssertionError, pytest.fail.Exception)) as raised:
            await test(**arguments)
        assert not isinstance(raised.value, LadingError)
    finally:
        place.close()
