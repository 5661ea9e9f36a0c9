"""What may go, and why the rest stays: properties of a decision on values."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from lading.testing.volume import manifest
from lading.weights import pruning
from lading.weights.layout import Leftover

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def version(name, *, days=0, model="tiny", path=None):
    made = manifest(model, name, {}, (NOW - timedelta(days=days)).isoformat())
    return made.model_copy(update={"path": path}) if path else made


def decided(published, *, keep=1, days=None, currents=None, users=None):
    rule = pruning.Rule(keep=keep, older_than_s=None if days is None else days * 86400)
    gone, stays = pruning.versions(published, rule, currents=currents or {}, users=users or {}, now=NOW)
    assert {*gone, *(one.what for one in stays)} == set(published), "each is told, once"
    return [one.version for one in gone], {one.what.version: one.why for one in stays}


def test_the_newest_stay_and_the_rest_may_go():
    gone, stays = decided([version(f"v{number}", days=9 - number) for number in range(5)], keep=2)
    assert gone == ["v0", "v1", "v2"]
    assert stays == {"v3": "it is among the newest 2", "v4": "it is among the newest 2"}


def test_each_reason_to_stay_is_told():
    old = [version(name, days=90) for name in ("current", "served", "mine", "new", "old", "last")]
    old[2] = version("mine", days=90, path="Loose 7B")
    old[3] = version("new", days=3)
    gone, stays = decided(
        old, days=30, currents={"tiny": "current"}, users={old[1]: "InferenceService granite, Pod lab"}
    )
    assert gone == ["old"]
    assert stays == {
        "current": "it is the current version",
        "served": "InferenceService granite, Pod lab may be loading it",
        "mine": "it was adopted where it lies: removing it would free nothing",
        "new": "it was published less than 30 d 0 h ago",
        "last": "it is the newest",
    }


def test_a_time_that_cannot_be_read_is_taken_for_now():
    published = [version("odd"), version("new")]
    published[0] = published[0].model_copy(update={"published_at": "yesterday"})
    assert decided(published, days=1)[0] == []
    assert decided(published)[0] == ["odd"]


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 99)), max_size=12),
    st.integers(1, 4), st.none() | st.integers(1, 60), st.data(),
)  # fmt: skip
def test_what_must_stay_never_goes(drawn, keep, days, data):
    """Whatever is asked: the current one, what somebody loads, the newest, what is too young."""
    drawn.sort(key=lambda one: (one[0], -one[1]))
    published = [version(f"v{number}", model=model, days=age) for number, (model, age) in enumerate(drawn)]
    users = {one: "somebody" for one in published if data.draw(st.booleans())}
    currents = {one.model: one.version for one in published if data.draw(st.booleans())}
    gone, _ = decided(published, keep=keep, days=days, currents=currents, users=users)
    for one in published:
        newer = [other for other in published if other.model == one.model and other.published_at > one.published_at]
        if one.version in gone:
            assert one not in users
            assert currents.get(one.model) != one.version
            assert len([other for other in published if other.model == one.model]) > keep
            assert days is None or one.published_at <= (NOW - timedelta(days=days)).isoformat()
            assert len(newer) >= 1 or one.published_at in {o.published_at for o in published if o is not one}


def test_a_pull_that_was_interrupted_a_moment_ago_stays():
    """A Job's next attempt goes on with it; an unfinished removal is nobody's."""
    young, old = (
        Leftover(kind="staging", path=Path(name), size_bytes=1, model="m", version="v", idle_s=idle_s)
        for name, idle_s in (("young", 240.0), ("old", 9000.0))
    )
    removal = Leftover(kind="removal", path=Path("gone"), size_bytes=0, idle_s=0.0)
    gone, [stays] = pruning.leftovers([young, old, removal], pruning.Rule(keep=3))
    assert gone == (old, removal)
    assert (stays.what, stays.why) == (young, "it was worked on less than 15 min 0 s ago: run again, it goes on")
    assert pruning.leftovers([young, old], pruning.Rule(keep=3, older_than_s=1.0)) == ((young, old), ())
