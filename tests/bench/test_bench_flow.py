"""A result is on disk level by level, and its numbers are those of its raw records."""

import asyncio

import pytest

from lading.errors import InvalidDocument, InvalidInput, MeasurementError
from lading.events import LevelMeasured, Notice, Wrote
from lading.events import ignore as nobody
from lading.flows import bench as flow
from lading.load.openai import OpenAILoad
from lading.measure.records import Level
from lading.ports.load import LevelLost
from lading.testing.load import endpoint, workload


async def test_the_stored_summaries_are_a_refold_of_the_raw_records(truth, tmp_path):
    truth.set(fault="early_close", fault_every=5)
    offered = workload(levels={"concurrency": [1, 4]}, requests=20, slo={"ttft_s": 0.03})
    result = await flow.bench(endpoint(truth), offered, OpenAILoad(), tmp_path, emit=nobody)
    assert flow.load_result(tmp_path) == result
    assert flow.refold(tmp_path) == tuple(level.summary for level in result.levels)
    assert result.complete
    assert [level.summary.requests for level in result.levels] == [20, 20]
    assert [level.summary.completed for level in result.levels] == [16, 16]


async def test_a_changed_record_changes_the_refold(truth, tmp_path):
    result = await flow.bench(endpoint(truth), workload(), OpenAILoad(), tmp_path, emit=nobody)
    file = tmp_path / result.levels[0].record_file
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:-1]))
    assert flow.refold(tmp_path)[0].requests == result.levels[0].summary.requests - 1


async def test_a_warm_up_nobody_answers_leaves_nothing(truth, tmp_path):
    with pytest.raises(MeasurementError):
        await flow.bench(
            endpoint(truth, served_name="other"), workload(warmup=2), OpenAILoad(), tmp_path / "out", emit=nobody
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("scenario", ["D(0,1)", "nonsense"])
async def test_a_bad_scenario_sends_nothing(truth, tmp_path, scenario):
    with pytest.raises(InvalidInput):
        await flow.bench(endpoint(truth), workload(scenario=scenario), OpenAILoad(), tmp_path / "out", emit=nobody)
    assert truth.stats()["requests"] == 0
    assert not (tmp_path / "out").exists()


async def test_a_result_is_never_overwritten(truth, tmp_path):
    await flow.bench(endpoint(truth), workload(requests=2), OpenAILoad(), tmp_path, emit=nobody)
    with pytest.raises(InvalidInput, match="holds a result"):
        await flow.bench(endpoint(truth), workload(requests=2), OpenAILoad(), tmp_path, emit=nobody)


async def test_interrupted_it_keeps_the_levels_that_were_finished(truth, tmp_path):
    offered = workload(levels={"concurrency": [1, 2]}, requests=3)

    def slow_down(event):
        if isinstance(event, LevelMeasured):
            truth.set(ttft_ms=5000)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(flow.bench(endpoint(truth), offered, OpenAILoad(), tmp_path, emit=slow_down), 1.5)
    result = flow.load_result(tmp_path)
    assert not result.complete
    assert [str(level.summary.level) for level in result.levels] == ["c=1"]
    assert flow.refold(tmp_path) == (result.levels[0].summary,)


async def test_a_lost_level_is_in_the_result_with_its_reason(truth, tmp_path):
    class LosesOne(OpenAILoad):
        async def _level(self, endpoint, workload, level, directory, emit):
            if level.value == 1:
                return LevelLost(level=level, reason="the server left")
            return await super()._level(endpoint, workload, level, directory, emit)

    offered = workload(levels={"concurrency": [1, 2]}, requests=2)
    result = await flow.bench(endpoint(truth), offered, LosesOne(), tmp_path, emit=nobody)
    assert result.lost == (flow.LostLevel(level=Level(kind="concurrency", value=1), reason="the server left"),)
    assert [str(level.summary.level) for level in result.levels] == ["c=2"]


async def test_it_tells_what_it_does(truth, tmp_path):
    events = []
    await flow.bench(endpoint(truth), workload(requests=2), OpenAILoad(), tmp_path, emit=events.append)
    assert [type(event) for event in (events[0], events[-2], events[-1])] == [Notice, LevelMeasured, Wrote]


async def test_a_level_the_client_limited_is_never_the_best(truth, tmp_path):
    offered = workload(levels={"concurrency": [1, 4]}, requests=8)
    result = await flow.bench(endpoint(truth), offered, OpenAILoad(), tmp_path, emit=nobody)

    def judged(level, *limits):
        health = level.summary.health.model_copy(update={"limited_by": limits})
        return level.model_copy(update={"summary": level.summary.model_copy(update={"health": health})})

    low, high = (judged(level) for level in result.levels)
    assert flow.best([low, high]) == high.summary
    assert flow.best([low, judged(high, "slow")]) == low.summary
    assert flow.best([judged(high, "slow")]) is None


@pytest.mark.parametrize("content", [None, "{", '{"levels": 3}'])
def test_what_is_no_result_is_said_to_be_none(tmp_path, content):
    if content is not None:
        (tmp_path / flow.RESULT_FILE).write_text(content)
    with pytest.raises(InvalidDocument, match=r"summary\.json"):
        flow.refold(tmp_path)
