"""Each clause of the contract of a backend fails when a backend breaks it."""

import asyncio
import dataclasses
import hashlib
import secrets

import pytest
from tests.backends.places import EndpointPlace, ProcessPlace, end_all

from lading.backends import record
from lading.backends.endpoint import EndpointBackend
from lading.backends.process import ProcessBackend
from lading.errors import NotReady, ServingError, WrongModelServed
from lading.ports.backend import Endpoint, Ready
from lading.testing import backends
from lading.testing.backends import BackendContract


class NewPlanEachTime(ProcessBackend):
    def plan(self, request):
        return dataclasses.replace(super().plan(request), argv_sha256=secrets.token_hex(32))


class ForgetsTheLease(ProcessBackend):
    def plan(self, request):
        return dataclasses.replace(super().plan(request), lease=None)


class HashesTheName(ProcessBackend):
    def plan(self, request):
        return dataclasses.replace(super().plan(request), argv_sha256=hashlib.sha256(request.name.encode()).hexdigest())


class RecordsPlans(ProcessBackend):
    def plan(self, request):
        plan = super().plan(request)
        (record.folder(self._home, plan.name)).mkdir(parents=True, exist_ok=True)
        (record.folder(self._home, plan.name) / "state.json").write_text(
            record.ServerRecord(
                name=plan.name, mark="m", boot="b", engine="e", model="m", served_name="s", host="127.0.0.1", port=1,
                argv=(), argv_sha256="",
            ).model_dump_json()
        )  # fmt: skip
        return plan


class ReadyAtOnce(ProcessBackend):
    """Ready before anything listens; for ever patient."""

    async def ready(self, name, *, within_s):
        started = self._started.get(name)
        if started is None:
            raise ServingError("unknown")
        server = started.server
        endpoint = Endpoint(base_url="http://127.0.0.1:9", served_name=server.served_name)
        return Ready(endpoint=endpoint, ready_s=0.01, argv=server.argv, effective={})


class TrustsHealth(ProcessBackend):
    """Ready when ``/health`` says so: no request, no name."""

    async def ready(self, name, *, within_s):
        try:
            return await super().ready(name, within_s=within_s)
        except (NotReady, WrongModelServed):
            return Ready(endpoint=None, ready_s=1.0, argv=None, effective={})


class PassesAnotherArgument(ProcessBackend):
    async def ready(self, name, *, within_s):
        ready = await super().ready(name, within_s=within_s)
        return dataclasses.replace(ready, argv=(*ready.argv[:-1], "{}"))


class StartsAgain(ProcessBackend):
    async def apply(self, deployment):
        if record.read(self._home, deployment.name):
            await self.remove(deployment.name)
        await super().apply(deployment)


class KeepsWhateverRuns(ProcessBackend):
    async def apply(self, deployment):
        if not record.read(self._home, deployment.name):
            await super().apply(deployment)


class RemovesAll(ProcessBackend):
    async def remove(self, name, *, within_s=60.0):
        for found in await self.names():
            await super().remove(found, within_s=within_s)


class CleansUpWhenLate(ProcessBackend):
    async def ready(self, name, *, within_s):
        try:
            return await super().ready(name, within_s=within_s)
        except NotReady:
            await self.remove(name)
            raise


class TakesItsTime(ProcessBackend):
    async def ready(self, name, *, within_s):
        return await super().ready(name, within_s=within_s + backends.SLACK_S + 0.2)


class WaitsForTheUnknown(ProcessBackend):
    async def ready(self, name, *, within_s):
        if name not in self._started:
            return None
        return await super().ready(name, within_s=within_s)


class AliveForEver(ProcessBackend):
    async def alive(self, name):
        return True


class LogUpsideDown(ProcessBackend):
    def log(self, name, *, lines=200):
        return super().log(name)[::-1][-lines:]


class MissesTheUnknown(ProcessBackend):
    async def remove(self, name, *, within_s=60.0):
        if record.read(self._home, name) is None:
            raise ServingError("unknown")
        await super().remove(name, within_s=within_s)


class ForgetsInsteadOfStopping(ProcessBackend):
    async def remove(self, name, *, within_s=60.0):
        record.erase(self._home, name)


class KeepsTheRecord(ProcessBackend):
    def _remove(self, name, within_s):
        server = record.read(self._home, name)
        super()._remove(name, within_s)
        if server is not None:
            record.write(self._home, server)

    async def apply(self, deployment):
        if record.read(self._home, deployment.name):
            raise ServingError(f"{deployment.name} is recorded")
        await super().apply(deployment)


class KnowsOnlyItsOwn(ProcessBackend):
    async def remove(self, name, *, within_s=60.0):
        if name in self._started:
            await super().remove(name, within_s=within_s)


class GivesUpWhenCancelled(ProcessBackend):
    async def remove(self, name, *, within_s=60.0):
        await asyncio.sleep(0.05)
        await super().remove(name, within_s=within_s)


class ReapsNothing(ProcessBackend):
    async def reap(self):
        return ()


class ReapsUsers(ProcessBackend):
    async def reap(self):
        reaped = await super().reap()
        for server in record.every(self._home):
            if server.lease is None:
                await self.remove(server.name)
        return reaped


class StopsWhatIsNotIts(EndpointBackend):
    """As if it could: the server is gone after `remove`."""

    async def remove(self, name, *, within_s=60.0):
        await super().remove(name, within_s=within_s)
        for process, _ in self.place.processes.values():
            process.kill()
            process.wait()


MUTANTS = [
    (NewPlanEachTime, "test_the_same_request_gives_the_same_plan"),
    (ForgetsTheLease, "test_a_plan_carries_the_request"),
    (HashesTheName, "test_another_command_has_another_hash"),
    (RecordsPlans, "test_a_plan_starts_nothing"),
    (ReadyAtOnce, "test_ready_means_a_real_request_is_answered_under_the_served_name"),
    (PassesAnotherArgument, "test_the_argv_of_a_ready_server_is_the_one_that_was_planned"),
    (StartsAgain, "test_applying_twice_equals_once"),
    (StartsAgain, "test_a_name_that_runs_something_else_is_refused_and_left_alone"),
    (KeepsWhateverRuns, "test_a_name_that_runs_something_else_is_refused_and_left_alone"),
    (RemovesAll, "test_two_servers_do_not_disturb_each_other"),
    (TrustsHealth, "test_ready_past_its_deadline_raises_and_leaves_the_object_for_remove"),
    (CleansUpWhenLate, "test_ready_past_its_deadline_raises_and_leaves_the_object_for_remove"),
    (TakesItsTime, "test_ready_past_its_deadline_raises_and_leaves_the_object_for_remove"),
    (TrustsHealth, "test_a_server_that_answers_under_another_name_is_not_ready"),
    (WaitsForTheUnknown, "test_ready_of_the_unknown_raises"),
    (AliveForEver, "test_alive_says_what_runs"),
    (LogUpsideDown, "test_the_log_is_the_servers_own_newest_last"),
    (MissesTheUnknown, "test_removing_the_unknown_is_silent"),
    (MissesTheUnknown, "test_what_was_removed_is_gone_and_removing_it_again_is_silent"),
    (ForgetsInsteadOfStopping, "test_what_was_removed_is_gone_and_removing_it_again_is_silent"),
    (KeepsTheRecord, "test_the_name_of_what_was_removed_is_free_again"),
    (KnowsOnlyItsOwn, "test_another_process_can_remove_it"),
    (GivesUpWhenCancelled, "test_a_cancelled_removal_is_carried_through"),
    (ReapsNothing, "test_reap_removes_exactly_what_belongs_to_leases_nobody_holds"),
    (ReapsUsers, "test_reap_removes_exactly_what_belongs_to_leases_nobody_holds"),
]


def clauses():
    return {name for name in vars(BackendContract) if name.startswith("test_")}


def test_every_clause_has_a_mutant():
    assert {clause for _, clause in MUTANTS} == clauses()


@pytest.mark.parametrize(("mutant", "clause"), MUTANTS, ids=lambda value: getattr(value, "__name__", value))
async def test_the_clause_fails_on_its_mutant(mutant, clause, tmp_path):
    place = ProcessPlace(tmp_path, mutant)
    try:
        await _fails(place, clause)
    finally:
        end_all(tmp_path)
        place.close()


async def test_stopping_what_ran_anyway_fails(tmp_path):
    place = EndpointPlace(tmp_path, StopsWhatIsNotIts)
    StopsWhatIsNotIts.place = place
    try:
        await _fails(place, "test_what_was_removed_is_gone_and_removing_it_again_is_silent")
    finally:
        place.close()


async def _fails(place, clause):
    test = getattr(BackendContract(), clause)
    wanted = {"place": place, "backend": place.backend()}
    arguments = {
        name: wanted[name] for name in test.__code__.co_varnames[: test.__code__.co_argcount] if name in wanted
    }
    with pytest.raises((AssertionError, pytest.fail.Exception, ServingError, AttributeError)):
        await test(**arguments)
