"""What a server takes is found out once, and what it refuses is told in its own words."""

import pytest

from lading.errors import InvalidInput, MeasurementError
from lading.load import probe
from lading.load.openai import OpenAILoad
from lading.measure.prompts import UNKNOWN_VOCABULARY, TokenIds, Words
from lading.ports.load import LevelLost
from lading.testing.load import endpoint, measured, one_level, workload


def unknown(truth, **given):
    return endpoint(truth, **{"takes_token_ids": None, "vocabulary": None, "request_body": {}, **given})


@pytest.mark.parametrize(
    ("takes_ids", "takes_keys", "form", "keys"),
    [
        (True, True, TokenIds(UNKNOWN_VOCABULARY), {"ignore_eos": True}),
        (True, False, TokenIds(UNKNOWN_VOCABULARY), {}),
        (False, True, Words(), {"ignore_eos": True}),
        (False, False, Words(), {}),
    ],
)
async def test_the_first_way_that_is_answered_is_taken(truth, takes_ids, takes_keys, form, keys):
    truth.set(takes_ids=takes_ids, takes_unknown_keys=takes_keys)
    found = await probe.taken(unknown(truth), workload())
    assert (found.form, found.endpoint.request_body) == (form, keys)


async def test_the_vocabulary_that_a_server_tells_is_used(truth):
    truth.set(vocabulary=512)
    assert (await probe.taken(unknown(truth), workload())).form == TokenIds(512)


async def test_ids_beyond_the_vocabulary_are_never_sent(truth, tmp_path):
    truth.set(vocabulary=300)
    await one_level(OpenAILoad(), unknown(truth), workload(requests=8), tmp_path)
    assert max(max(request["prompt"]) for request in truth.requests()) < 300


async def test_a_described_endpoint_is_not_asked(truth):
    await probe.taken(endpoint(truth), workload())
    assert truth.stats()["requests"] == 0


async def test_a_server_is_asked_once_for_all_levels(truth, tmp_path):
    offered = workload(levels={"concurrency": [1, 2, 3]}, requests=2)
    await measured(OpenAILoad(), unknown(truth), offered, tmp_path)
    assert truth.stats()["requests"] - truth.stats()["streamed"] == 1


async def test_ids_that_were_asked_for_are_never_replaced_by_words(truth, tmp_path):
    truth.set(takes_ids=False)
    [lost] = await measured(OpenAILoad(), unknown(truth), workload(prompt="tokens", requests=2), tmp_path)
    assert isinstance(lost, LevelLost)
    assert "invalid tokens" in lost.reason
    with pytest.raises(InvalidInput, match="takes no token ids"):
        await probe.taken(unknown(truth, takes_token_ids=False), workload(prompt="tokens"))


async def test_text_is_sent_where_text_is_asked_for(truth):
    assert (await probe.taken(unknown(truth), workload(prompt="text"))).form == Words()
    assert (await probe.taken(unknown(truth), workload(api="chat"))).form == Words()


async def test_a_key_that_is_not_wanted_is_not_asked_for(truth):
    found = await probe.taken(unknown(truth), workload(ignore_eos=False))
    assert found.endpoint.request_body == {}


async def test_the_models_of_a_server(truth):
    truth.set(vocabulary=99)
    assert await probe.models(unknown(truth)) == (probe.Served(name="truth", vocabulary=99),)
    truth.set(model="\x1b[31mred")
    assert await probe.models(unknown(truth)) == ()


async def test_nobody_there_is_said_with_the_address(truth):
    with pytest.raises(
        MeasurementError, match=r"nothing answers at http://127\.0\.0\.1:9/v1/models: connection refused"
    ):
        await probe.models(unknown(truth, base_url="http://127.0.0.1:9"))


async def test_a_server_that_never_answers_is_said_after_the_time_out(truth):
    truth.set(ttft_ms=5000)
    with pytest.raises(MeasurementError, match=r"did not answer within 0\.2 s"):
        await probe.taken(unknown(truth), workload(timeout=0.2))
