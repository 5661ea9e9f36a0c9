"""The transfer plan: a pure function of what the source has and what the volume has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.errors import HostileName, InvalidInput
from lading.spec.ref import LocalRef
from lading.weights import listing, plan
from lading.weights.listing import Entry
from lading.weights.manifest import FileEntry, Manifest, PublishedBy, SourceEntry

REF = LocalRef(path="/models/tiny")


def published(found, files, *, revision=None):
    return Manifest(
        model="tiny",
        version="v1",
        path="tiny/v1",
        source=SourceEntry(ref=str(REF), revision=revision or found.revision),
        format="files",
        files=tuple(files),
        published_at="2026-01-01T00:00:00Z",
        published_by=PublishedBy(version="0"),
    )


def file(entry, **changes):
    values = {
        "path": entry.path,
        "size_bytes": 7 if entry.size_bytes is None else entry.size_bytes,
        "sha256": entry.sha256 or "0" * 64,
        "etag": entry.etag,
    }
    return FileEntry(**{**values, **changes})


entries = st.lists(
    st.builds(
        Entry,
        path=st.sampled_from([f"d{a}/f{b}" for a in range(3) for b in range(4)]),
        size_bytes=st.one_of(st.none(), st.integers(0, 2**40)),
        etag=st.sampled_from([None, "e1", "e2"]),
        sha256=st.sampled_from([None, "a" * 64]),
    ),
    unique_by=lambda entry: entry.path,
)


@given(entries, st.data())
def test_every_file_is_either_kept_or_fetched_never_both(some, data):
    found = listing.listing(REF, "tiny", some)
    finished = {entry.path: file(entry) for entry in data.draw(st.lists(st.sampled_from(some)))} if some else {}
    todo = plan.plan(found, finished)
    fetched, kept = [entry.path for entry in todo.fetch], [kept.path for kept in todo.keep]
    assert sorted(fetched + kept) == [entry.path for entry in found.entries]
    assert set(kept) == set(finished)
    assert todo.fetch_bytes == sum(entry.size_bytes or 0 for entry in some if entry.path in fetched)
    assert todo.total_bytes == todo.fetch_bytes + todo.kept_bytes
    assert not todo.unchanged


@given(entries)
def test_the_biggest_come_first_and_the_order_is_always_the_same(some):
    first = plan.plan(listing.listing(REF, "tiny", some), {})
    again = plan.plan(listing.listing(REF, "tiny", some[::-1]), {})
    assert first == again
    sizes = [entry.size_bytes or 0 for entry in first.fetch]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    ("entry", "changes"),
    [
        (Entry(path="a", size_bytes=5, etag="e1"), {"size_bytes": 4}),
        (Entry(path="a", size_bytes=5, etag="e1"), {"etag": "e2"}),
        (Entry(path="a", size_bytes=5, sha256="a" * 64), {"sha256": "b" * 64}),
    ],
)
def test_a_finished_file_of_other_content_is_fetched_again(entry, changes):
    todo = plan.plan(listing.listing(REF, "tiny", [entry]), {"a": file(entry, **changes)})
    assert todo.fetch == (entry,)
    assert todo.keep == ()


@given(entries)
def test_a_published_version_of_this_revision_is_unchanged(some):
    found = listing.listing(REF, "tiny", some)
    todo = plan.plan(found, {}, published(found, map(file, found.entries)))
    assert todo.unchanged
    assert todo.fetch == ()
    assert {kept.path for kept in todo.keep} == {entry.path for entry in some}


def test_a_published_version_of_another_revision_is_refused():
    entry = Entry(path="a", size_bytes=5)
    found = listing.listing(REF, "tiny", [entry])
    with pytest.raises(InvalidInput, match="a version never changes"):
        plan.plan(found, {}, published(found, [file(entry)], revision="f" * 40))


def test_hostile_names_never_become_a_plan():
    with pytest.raises(HostileName):
        plan.plan(listing.listing(REF, "tiny", [Entry(path="../a", size_bytes=5)]), {})


@given(st.lists(st.text(max_size=5), min_size=3, max_size=3), st.lists(st.text(max_size=5), min_size=3, max_size=3))
def test_transfer_ids_are_equal_exactly_for_equal_transfers(one, other):
    assert (plan.transfer_id(*one) == plan.transfer_id(*other)) == (one == other)
    assert len(plan.transfer_id(*one)) == 32
