"""Statistics over records: exact definitions, against a naive reference, and the laws they obey."""

import math
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading.measure import records
from lading.measure.records import ClientHealth, Level, RecordHeader, RequestRecord
from lading.measure.summary import (
    MIN_BEYOND,
    PERCENTILES,
    Distribution,
    FailedPercentile,
    NotResolved,
    Resolved,
    Summary,
    meets,
    name,
    percentile,
    summarize,
)

times = st.floats(0.0001, 1000, allow_nan=False).map(lambda value: round(value, 4))


@st.composite
def request_records(draw, index=0):
    sent_s = draw(times)
    record = {"index": index, "scheduled_s": sent_s - draw(st.sampled_from([0.0, 0.01])), "sent_s": sent_s}
    gaps = draw(st.lists(times, min_size=1, max_size=6))
    stamps = [sent_s + sum(gaps[: n + 1]) for n in range(len(gaps))]
    if draw(st.integers(0, 3)) == 0:
        error = draw(st.sampled_from(["timeout", "http", "early_close"]))
        return RequestRecord(**record, token_times_s=tuple(stamps[:-1]), done_s=stamps[-1], error=error)
    tokens = draw(st.one_of(st.none(), st.integers(len(stamps), 3 * len(stamps))))
    return RequestRecord(
        **record, token_times_s=tuple(stamps), done_s=stamps[-1], prompt_tokens=5, completion_tokens=tokens,
        warmup=draw(st.integers(0, 9)) == 0,
    )  # fmt: skip


many = st.lists(request_records(), max_size=60)
CLOSED = Level(kind="concurrency", value=4)
healthy = ClientHealth(cpu_share=0.1, schedule_lag_p99_s=0.001, loop_lag_p99_s=0.001)
kinds = st.sampled_from([Level(kind="concurrency", value=4), Level(kind="rate", value=2.5)])


def header(duration_s=10.0, level=CLOSED, **given):
    return RecordHeader(level=level, started_at="2026-01-01T00:00:00Z", duration_s=duration_s, health=healthy, **given)


def naive_percentile(values, p):
    """By the definition alone: the smallest value that at least p percent of all values do not exceed."""
    values = sorted(values)
    for rank, value in enumerate(values, start=1):
        if rank * 1000 >= round(p * 10) * len(values):
            if len(values) - rank < MIN_BEYOND:
                return NotResolved(not_resolved=len(values))
            return FailedPercentile() if value == math.inf else Resolved(value=value)
    return NotResolved(not_resolved=0)


def worth(found):
    """A percentile as a number to compare; None where it says nothing."""
    match found:
        case Resolved(value=value):
            return value
        case FailedPercentile():
            return math.inf
        case NotResolved():
            return None


@given(st.lists(times, max_size=80), st.integers(0, 40), st.sampled_from([*PERCENTILES, 1.0, 99.9]))
def test_a_percentile_equals_the_naive_reference(values, failed, p):
    assert percentile(sorted(values), p, failed=failed) == naive_percentile([*values, *[math.inf] * failed], p)


@given(st.lists(times, max_size=80), st.integers(0, 40))
def test_percentiles_never_fall_as_p_grows(values, failed):
    found = [worth(percentile(sorted(values), p, failed=failed)) for p in PERCENTILES]
    known = [value for value in found if value is not None]
    assert known == sorted(known)
    assert None not in found[: len(known)]


@given(st.lists(times, min_size=20, max_size=80), st.integers(0, 40), st.sampled_from(PERCENTILES))
def test_a_further_failure_never_improves_an_issued_percentile(values, failed, p):
    before = worth(percentile(sorted(values), p, failed=failed))
    after = worth(percentile(sorted(values), p, failed=failed + 1))
    assert before is None or after is None or after >= before


@pytest.mark.parametrize(
    ("p", "needed"), [(50.0, 20), (75.0, 40), (90.0, 100), (95.0, 200), (99.0, 1000), (99.9, 10_000)]
)
def test_a_percentile_needs_ten_samples_beyond_it(p, needed):
    assert isinstance(percentile([1.0] * (needed - 1), p), NotResolved)
    assert percentile([1.0] * needed, p) == Resolved(value=1.0)


@given(many, kinds)
def test_a_summary_equals_the_naive_reference(found, level):
    slo = {"ttft_s": 1.0, "e2e_s": 100.0}
    folded = summarize(header(level=level, slo=slo), found)
    issued = [record for record in found if not record.warmup]
    done = [record for record in issued if record.error is None]
    ttfts = [record.token_times_s[0] - record.sent_s for record in done]
    failed = [math.inf] * (len(issued) - len(done))
    tokens = sum(len(r.token_times_s) if r.completion_tokens is None else r.completion_tokens for r in done)
    gaps = [b - a for r in done for a, b in zip(r.token_times_s, r.token_times_s[1:], strict=False)]
    assert (folded.requests, folded.completed) == (len(issued), len(done))
    assert folded.errors == Counter(record.error for record in issued if record.error)
    assert folded.ttft_s.issued == {name(p): naive_percentile([*ttfts, *failed], p) for p in PERCENTILES}
    assert folded.ttft_s.successes == {name(p): naive_percentile(ttfts, p) for p in PERCENTILES}
    assert folded.itl_s.issued == {name(p): naive_percentile([*gaps, *failed], p) for p in PERCENTILES}
    assert folded.itl_s.count == len(gaps)
    assert folded.output_tokens_per_s == pytest.approx(tokens / 10)
    assert folded.requests_per_s == pytest.approx(len(done) / 10)
    assert folded.total_tokens_per_s == pytest.approx((tokens + 5 * len(done)) / 10)
    assert folded.good == sum(t <= 1 and r.done_s - r.sent_s <= 100 for t, r in zip(ttfts, done, strict=True))
    assert (folded.e2e_scheduled_s is not None) == (level.kind == "rate")


@given(many, st.randoms(use_true_random=False))
def test_a_summary_does_not_depend_on_the_order_of_records(found, random):
    shuffled = random.sample(found, len(found))
    assert summarize(header(), shuffled) == summarize(header(), found)


@given(many, st.sampled_from([0.5, 2.0, 1024.0]))
def test_times_and_rates_scale_with_the_clock(found, factor):
    def scaled(record):
        return record.model_copy(update={
            "scheduled_s": record.scheduled_s * factor, "sent_s": record.sent_s * factor,
            "done_s": record.done_s * factor, "token_times_s": tuple(at * factor for at in record.token_times_s),
        })  # fmt: skip

    before = summarize(header(8.0), found)
    after = summarize(header(8.0 * factor), [scaled(record) for record in found])
    for metric in ("ttft_s", "tpot_s", "itl_s", "e2e_s"):
        one, other = getattr(before, metric), getattr(after, metric)
        assert [worth(p) and worth(p) * factor for p in one.issued.values()] == [
            worth(p) for p in other.issued.values()
        ]
        assert other.mean == (one.mean if one.mean is None else pytest.approx(one.mean * factor))
    assert after.output_tokens_per_s * factor == before.output_tokens_per_s


@given(many)
def test_warm_up_is_in_no_statistic(found):
    warm = [record.model_copy(update={"warmup": True}) for record in found]
    assert summarize(header(), [*found, *warm]) == summarize(header(), found)


@settings(max_examples=30)
@given(many, kinds)
def test_records_written_and_read_give_the_same_summary_to_the_last_bit(found, level):
    lines = list(records.render(header(level=level, slo={"ttft_s": 0.5}), found))
    read_header, read = records.parse(lines)
    assert summarize(read_header, read) == summarize(header(level=level, slo={"ttft_s": 0.5}), found)
    folded = summarize(read_header, read)
    assert Summary.model_validate_json(folded.model_dump_json()) == folded


def test_the_definitions_on_one_request():
    """TTFT from send, TPOT by the server's count, ITL between chunks, E2E to the end, and from when it was due."""
    record = RequestRecord(
        index=0, scheduled_s=1.0, sent_s=1.5, token_times_s=(2.0, 2.2, 3.0), done_s=3.5, completion_tokens=11
    )
    folded = summarize(header(duration_s=2.0, level=Level(kind="rate", value=1.0)), [record])
    assert folded.ttft_s.mean == pytest.approx(0.5)
    assert folded.tpot_s.mean == pytest.approx(0.1)
    assert (folded.itl_s.minimum, folded.itl_s.maximum) == (pytest.approx(0.2), pytest.approx(0.8))
    assert folded.e2e_s.mean == pytest.approx(2.0)
    assert folded.e2e_scheduled_s is not None
    assert folded.e2e_scheduled_s.mean == pytest.approx(2.5)
    assert folded.output_tokens_per_s == pytest.approx(5.5)


def test_a_level_without_any_success_has_no_number_that_looks_like_one():
    failed = [RequestRecord(index=n, scheduled_s=0, sent_s=0, done_s=1, error="timeout") for n in range(40)]
    folded = summarize(header(), failed)
    assert folded.ttft_s == Distribution(
        count=0,
        issued={"p50": FailedPercentile(), "p75": FailedPercentile()}
        | {key: NotResolved(not_resolved=40) for key in ("p90", "p95", "p99")},
        successes={name(p): NotResolved(not_resolved=0) for p in PERCENTILES},
    )
    assert folded.output_tokens_per_s == 0
    assert folded.error_share == 1


def test_an_empty_level_divides_by_nothing():
    folded = summarize(header(duration_s=0.0), [])
    assert (folded.requests, folded.requests_per_s, folded.error_share) == (0, 0.0, 1.0)
    assert folded.prompt_tokens_mean is None


@dataclass(frozen=True)
class Case:
    slo: dict[str, float]
    good: bool


@pytest.mark.parametrize(
    "case",
    [
        Case({"ttft_s": 0.5}, True), Case({"ttft_s": 0.49}, False), Case({"tpot_s": 0.6}, True), Case({"tpot_s": 0.4}, False),
        Case({"itl_s": 0.8}, True), Case({"itl_s": 0.79}, False), Case({"e2e_s": 2.0}, True), Case({"e2e_s": 1.9}, False),
        Case({"ttft_s": 0.5, "e2e_s": 1.9}, False), Case({}, True),
    ],
)  # fmt: skip
def test_a_good_request_meets_every_limit(case):
    record = RequestRecord(index=0, scheduled_s=0, sent_s=1.0, token_times_s=(1.5, 1.7, 2.5), done_s=3.0)
    assert meets(record, {key: value + 1e-9 for key, value in case.slo.items()}) == case.good
    assert not meets(record.model_copy(update={"error": "http"}), case.slo)
