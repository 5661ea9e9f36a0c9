"""The client's contract fails on a planted defect, clause by clause."""

import asyncio
import contextlib
import inspect
from dataclasses import replace

import pytest

from lading.cluster import client, logs, refusals, retry, session, watch
from lading.cluster.client import Cluster
from lading.errors import ClusterConflict, ClusterDenied, LadingError, ObjectMissing
from lading.manifests.ours import MANAGER
from lading.testing import cluster as contract
from lading.testing.fake_cluster import FakeCluster

# ------------------------------------------------------------------------------------------------------------- objects


class CreatesByApplying(Cluster):
    async def create(self, document, *, dry_run=False):
        return await self.apply(document, dry_run=dry_run, force=True)


class NamesNothing(Cluster):
    async def get(self, kind, name, *, namespace=None):
        try:
            return await super().get(kind, name, namespace=namespace)
        except ObjectMissing:
            raise ObjectMissing("not found") from None


class TakesAnyName(Cluster):
    def _request(self, method, verb, kind, name, **rest):
        return replace(super()._request(method, verb, kind, "one", **rest), path=kind.path("default", name))


class ReadsOnePage(Cluster):
    async def _pages(self, kind, namespace, query, waits):
        found = await self.session.send(
            self._request(
                "GET", "list", kind, None, namespace=namespace, query={**query, "limit": str(self.page_items)}
            )
        )
        return tuple(found["items"]), found["metadata"]["resourceVersion"]


class ForgetsKinds(Cluster):
    async def list(self, kind, **selection):
        return tuple(
            {key: item[key] for key in item if key != "kind"} | {"kind": None}
            for item in await super().list(kind, **selection)
        )


class SelectsNothing(Cluster):
    async def list(self, kind, *, namespace=None, labels=None, fields=None):
        return await super().list(kind, namespace=namespace)


class KnowsEveryKind(Cluster):
    async def list(self, kind, **selection):
        return (await self.snapshot(kind, **selection))[0]


class AppliesByPutting(Cluster):
    async def apply(self, document, *, dry_run=False, force=False):
        stamped = {
            **document,
            "metadata": {**document["metadata"], "annotations": {"at": str(asyncio.get_running_loop().time())}},
        }
        return await super().apply(stamped, dry_run=dry_run, force=force)


class AlwaysForces(Cluster):
    async def apply(self, document, *, dry_run=False, force=False):
        return await super().apply(document, dry_run=dry_run, force=True)


class ReplacesByPatching(Cluster):
    async def patch(self, kind, name, change, *, namespace=None, dry_run=False):
        found = await self.get(kind, name, namespace=namespace)
        return await self._replace(kind, name, {**found, **change}, found, namespace)


class WritesOverOthers(Cluster):
    async def _replace(self, kind, name, wanted, found, namespace):
        metadata = {key: value for key, value in wanted["metadata"].items() if key != "resourceVersion"}
        return await self.session.send(
            self._request("PUT", "update", kind, name, namespace=namespace, body={**wanted, "metadata": metadata})
        )


class GivesUpAtOnce(Cluster):
    async def update(self, kind, name, change, *, namespace=None):
        found = await self.get(kind, name, namespace=namespace)
        wanted = change(found)
        return found if wanted is None else await self._replace(kind, name, wanted, found, namespace)


class NeverGivesUp(Cluster):
    async def update(self, kind, name, change, *, namespace=None):
        while True:
            try:
                return await super().update(kind, name, change, namespace=namespace)
            except ClusterConflict:
                await asyncio.sleep(0)


class DeletesLoudly(Cluster):
    async def delete(self, kind, name, **options):
        await self.get(kind, name)
        await super().delete(kind, name, **options)


class DeletesAny(Cluster):
    async def delete(self, kind, name, *, uid=None, **options):
        await super().delete(kind, name, **options)


class RunsDry(Cluster):
    async def create(self, document, *, dry_run=False):
        return await super().create(document)


class NeverListsDenied(Cluster):
    async def list(self, kind, **selection):
        try:
            return await super().list(kind, **selection)
        except ClusterDenied:
            return ()


class MissesNothing(Cluster):
    async def missing(self, rights):
        return ()


class Doubles(Cluster):
    """One object more for each lost creation."""

    async def create(self, document, *, dry_run=False):
        request = self._request(
            "POST", "create", client.of(document), None, query={"fieldManager": MANAGER}, body=document
        )
        return await self.session.send(request)


class TakesAnothers(Cluster):
    async def _made_by(self, kind, metadata, manager):
        return await self.get(kind, metadata["name"])


# ------------------------------------------------------------------------------------------------------------- patches


def patched(place, name, value):
    """A defect in *place* (a module or class) rather than in a method of the client."""
    return lambda monkeypatch: monkeypatch.setattr(place, name, value)


def _hides_rules(right, said):
    return ClusterDenied(f"not allowed: {right}", status=403)


def _repeats(self, item):
    known = watch._key(item) in self.objects
    self.objects[watch._key(item)] = item
    return (watch.Change("modified" if known else "added", item),)


def _sees_no_deletion(self, kind, item):
    return () if kind == "DELETED" else _take(self, kind, item)


_take = watch.Known.take
_relist = watch.Known.relist


def _forgets_the_gone(self, items, version):
    items = tuple(items)
    return tuple(change for change in _relist(self, items, version) if change.type != "deleted")


def _tells_anew(self, items, version):
    self.objects.clear()
    return _relist(self, items, version)


async def _no_first_state(cluster, kind, name, until, *, within_s, what, namespace):
    def later(state):
        return None if state is None else until(state)

    return await _wait(cluster, kind, name, later, within_s=within_s, what=what, namespace=namespace)


_wait = watch.wait


async def _says_nothing(*arguments, **options):
    try:
        return await _wait(*arguments, **options)
    except LadingError:
        raise contract.StillRunning("timed out") from None


async def _impatient(cluster, kind, name, until, **options):
    async for change in cluster.watch(kind, fields=f"metadata.name={name}"):
        reached = until(change.object)
        if reached is not None:
            return reached
    return None


def _skips_none(self, error):
    raise error


async def _short_lines(chunks, *, longest_bytes=0):
    async for line in _split(chunks):
        yield line[: 64 * 1024]


_split = logs.streams.split


def _any_container(pod, asked):
    return asked or "main"


async def _never_final(self, *, previous):
    return
    yield


def _always_current(self, follow, previous):
    return _request(self, follow, False)


_request = logs._Reading._request


def _line_of_anything(raw):
    return logs.LogLine("2026-01-01T00:00:00Z", raw.decode())


def _always_again(request, error):
    return True


def _another_name(right, status, text, *, asked_s=0):
    return refusals.ServerFault("x", status=status) if status == 422 else _error(right, status, text, asked_s=asked_s)


_error = refusals.error


async def _old_headers(self, request, *, renew):
    return dict(await self.connection.identity.headers())


MUTANTS = {
    "test_what_is_created_is_read_back_and_created_once": [CreatesByApplying],
    "test_what_is_missing_is_named": [NamesNothing],
    "test_what_is_no_name_goes_nowhere": [TakesAnyName],
    "test_lists_are_whole_over_pages": [ReadsOnePage, ForgetsKinds],
    "test_lists_are_what_the_selectors_choose": [SelectsNothing],
    "test_an_unknown_kind_has_no_objects": [KnowsEveryKind],
    "test_applying_twice_equals_once": [AppliesByPutting],
    "test_a_field_of_another_owner_is_a_conflict": [AlwaysForces, patched(refusals, "_owners", lambda document: None)],
    "test_a_patch_merges": [ReplacesByPatching],
    "test_updates_do_not_lose_each_other": [WritesOverOthers, GivesUpAtOnce],
    "test_deleting_is_silent_about_what_is_missing": [DeletesLoudly, DeletesAny],
    "test_a_dry_run_leaves_nothing": [RunsDry],
    "test_a_watch_tells_what_is_there_then_each_change": [patched(watch.Known, "take", _sees_no_deletion)],
    "test_a_wait_ends_with_what_it_waited_for": [patched(watch, "wait", _no_first_state)],
    "test_a_wait_sees_the_object_go": [patched(watch, "wait", _no_first_state)],
    "test_a_wait_past_its_deadline_says_what_it_waited_for": [patched(watch, "wait", _says_nothing)],
    "test_a_log_is_every_line_once": [
        patched(logs.streams, "split", _short_lines), patched(logs.Told, "is_new", lambda self, line: True),
    ],
    "test_a_log_of_what_is_missing_is_named": [patched(logs, "container_of", _any_container)],
    "test_a_missing_right_is_found_before_and_said_after": [MissesNothing, patched(refusals, "_forbidden", _hides_rules)],
    "test_a_fault_is_borne": [patched(retry.Waits, "bear", _skips_none)],
    "test_other_refusals_are_not_repeated": [patched(refusals, "error", _another_name)],
    "test_a_lost_creation_is_made_once": [Doubles],
    "test_what_another_made_meanwhile_is_a_conflict": [TakesAnothers],
    "test_what_cannot_be_found_again_is_not_repeated": [patched(session, "_again", _always_again)],
    "test_an_update_that_was_done_and_lost_is_looked_at_again": [GivesUpAtOnce],
    "test_an_update_that_always_conflicts_ends": [NeverGivesUp],
    "test_a_list_whose_pages_expire_is_begun_anew": [patched(client, "Gone", ZeroDivisionError), ReadsOnePage],
    "test_a_denied_list_is_no_empty_list": [NeverListsDenied],
    "test_a_refused_identity_is_renewed_once": [patched(session.Session, "_headers", _old_headers)],
    "test_a_watch_goes_on_after": [
        patched(watch.Known, "_set", _repeats), patched(watch.Known, "relist", _forgets_the_gone),
        patched(watch.Known, "relist", _tells_anew), patched(watch, "_failure", lambda status: refusals.ServerFault("x")),
    ],
    "test_an_object_made_anew_was_deleted_before": [patched(watch, "_uid", lambda item: None)],
    "test_a_wait_bears_an_outage_to_its_deadline": [patched(watch, "wait", _impatient)],
    "test_a_log_goes_on_where_it_broke": [
        patched(logs.Told, "is_new", lambda self, line: True), patched(logs.Told, "resume", lambda self: None),
    ],
    "test_a_log_follows_to_the_last_line": [patched(logs._Reading, "whole", _never_final)],
    "test_a_log_ends_where_nothing_is_left": [patched(logs, "suppress", lambda kind: contextlib.nullcontext()), patched(logs, "ClusterError", ZeroDivisionError)],
    "test_a_restarted_container_has_another_log": [patched(logs._Reading, "_request", _always_current)],
    "test_words_in_place_of_a_log_are_no_lines": [patched(logs, "_line", _line_of_anything)],
}  # fmt: skip


def clauses():
    return [
        (kind, name)
        for kind in (contract.ClusterContract, contract.FaultContract)
        for name in vars(kind)
        if name.startswith("test_")
    ]


def test_every_clause_has_a_mutant():
    assert set(MUTANTS) == {name for _, name in clauses()}


@pytest.mark.parametrize(
    ("clause", "number"), [(clause, number) for clause, kinds in MUTANTS.items() for number in range(len(kinds))]
)
async def test_the_clause_catches_the_defect(monkeypatch, clause, number):
    mutant = MUTANTS[clause][number]
    monkeypatch.setattr(contract, "WITHIN_S", 1.5)
    kind = Cluster
    if inspect.isclass(mutant):
        kind = mutant
    else:
        mutant(monkeypatch)
    with pytest.raises((AssertionError, LadingError, TimeoutError, pytest.fail.Exception)):
        await run_all(clause, kind)


def variants(clause):
    """The parameters of a clause, one set after another; a defect may show in one alone."""
    found = next(getattr(kind, name) for kind, name in clauses() if name == clause)
    marks = [mark for mark in getattr(found, "pytestmark", []) if mark.name == "parametrize"]
    return [{marks[0].args[0]: value} for value in marks[0].args[1]] if marks else [{}]


async def run_all(clause, client_type):
    for options in variants(clause):
        await run(clause, client_type, options)


async def run(clause, client_type, options):
    suite = next(kind for kind, name in clauses() if name == clause)
    async with FakeCluster() as fake:
        fake.unknown.add("nothings")
        async with asyncio.timeout(2.5):
            await getattr(suite(), clause)(contract.FakePlace(fake, client_type), **options)
