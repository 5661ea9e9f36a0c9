"""`lading ask` of servers that are broken or mean: each ends in a sentence, soon, and with little of it in memory."""

import asyncio
import json

import pytest

from lading.backends import asking_given
from lading.errors import InvalidInput, LadingError, ServerSilent, ServingError, WrongModelServed
from lading.ports.backend import Endpoint
from lading.testing import faults, faulty
from lading.wiring import asking

LISTED = {"v1/models": {"models": ["iris"]}, "v2": {"name": "x"}, "v2/models/iris": {"name": "iris", "inputs": []}}
PREDICT, INFER = "v1/models/iris:predict", "v2/models/iris/infer"
CHAT = {"v1/models": {"data": [{"id": "tiny"}]}}
GOOD_OUTPUT = {"name": "y", "shape": [1], "datatype": "INT64", "data": [1]}


def origin(answers):
    """A server of *answers* by path: a document, bytes as they are, or a status with a document."""

    def answer(request):
        found = answers.get(request.path)
        if found is None:
            return faults.short(404, body=b'{"error": "no such path"}')
        status, content = found if isinstance(found, tuple) else (200, found)
        return faults.short(status, body=content if isinstance(content, bytes) else json.dumps(content).encode())

    return answer


async def ask(url, text="[[1, 2]]", **options):
    given = None if text is None else asking_given.read(text)
    return await asking.ask(
        Endpoint(base_url=url, served_name=""), given, within_s=options.pop("within_s", 20.0), **options
    )


async def refusal(answers, text="[[1, 2]]", **options):
    with faulty.serving(origin(answers)) as server:
        with pytest.raises(LadingError) as raised:
            await ask(server.url, text, **options)
        assert all(char.isprintable() or char == "\n" for char in raised.value.message)
        assert len(raised.value.message) < 2000
        return raised.value


# ------------------------------------------------------------------------------------------------------ predictions


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>Bad gateway</html>", "has no list of predictions: <html>Bad gateway</html>"),
        (b"", "has no list of predictions"),
        (b"[" * 100_000, "has no list of predictions"),
        (b'{"predictions": ' + b"[" * 1000 + b"]" * 1000 + b"}", "has no list of predictions"),
        (b'{"predictions": [1', "has no list of predictions"),
        (b'{"predictions": "\\ud800"}', "has no list of predictions"),
        (b'{"predictions": 7}', "has no list of predictions"),
        (b"null", "has no list of predictions"),
        (b'{"predictions": [' + b"1," * 9_000_000 + b"1]}", "longer than 16,777,216 bytes"),
        (b"\x1b[2J\x1b]0;owned\x07", "has no list of predictions: [2J]0;owned"),
    ],
    ids=["html", "empty", "deep-open", "deep", "cut", "surrogate", "number", "null", "long", "terminal"],
)
async def test_an_answer_that_is_no_prediction_is_told(body, words):
    error = await refusal({**LISTED, PREDICT: body}, protocol="v1", model="iris")
    assert words in error.message


async def test_nan_in_an_answer_becomes_a_word_that_json_has():
    body = b'{"predictions": [NaN, Infinity, -Infinity, 1]}'
    with faulty.serving(origin({**LISTED, PREDICT: body})) as server:
        reply = await ask(server.url, protocol="v1", model="iris")
    assert reply.document == {"predictions": ["NaN", "Infinity", "-Infinity", 1]}
    assert json.loads(reply.answer) == ["NaN", "Infinity", "-Infinity", 1]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"outputs": [{**GOOD_OUTPUT, "shape": [5]}]}, "says that y has the shape [5], and gives 1 values"),
        ({"outputs": [{**GOOD_OUTPUT, "shape": [10**40]}]}, "and gives 1 values"),
        ({"outputs": [{**GOOD_OUTPUT, "data": {"0": 1}}]}, "has no data for y"),
        ({"outputs": {}}, "has no outputs"),
        ({}, "has no outputs"),
    ],
)
async def test_outputs_that_contradict_themselves_are_told(document, words):
    assert words in (await refusal({**LISTED, INFER: document}, protocol="v2", model="iris")).message


async def test_an_answer_as_another_model_is_told():
    error = await refusal(
        {**LISTED, INFER: {"model_name": "other", "outputs": [GOOD_OUTPUT]}}, protocol="v2", model="iris"
    )
    assert isinstance(error, WrongModelServed)
    assert "answered as other, not iris" in error.message


async def test_a_wrong_shape_gives_the_servers_words_and_what_its_metadata_wants():
    wants = {"name": "iris", "inputs": [{"name": "x", "shape": [-1, 4], "datatype": "FP32"}]}
    refused = (400, {"error": "unexpected shape for input 'x'"})
    error = await refusal({**LISTED, "v2/models/iris": wants, INFER: refused}, protocol="v2")
    assert "answered 400: unexpected shape for input 'x'" in error.message
    assert error.hint == "its metadata says that it takes x FP32 [-1, 4]"


async def test_a_sample_has_the_shape_of_the_metadata_and_is_told():
    wants = {"name": "iris", "inputs": [{"name": "x", "shape": [-1, 2], "datatype": "FP32"}]}
    told = []
    with faulty.serving(origin({**LISTED, "v2/models/iris": wants, INFER: {"outputs": [GOOD_OUTPUT]}})) as server:
        reply = await ask(server.url, None, sending=told.append)
    assert (reply.protocol, reply.sample) == ("v2", "the server's metadata")
    assert reply.sent == {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [0.0, 0.0]}]}
    assert told == ["sent to /v2/models/iris/infer: x FP32 [1, 2] = [0.0, 0.0] (the server's metadata)"]


async def test_metadata_that_wants_the_whole_memory_is_refused():
    wants = {"name": "iris", "inputs": [{"name": "x", "shape": [10**9, 10**9], "datatype": "FP64"}]}
    assert "is not made up" in (await refusal({**LISTED, "v2/models/iris": wants}, None)).message


async def test_a_model_that_does_not_say_what_it_takes_is_told_in_its_own_words():
    error = await refusal({**LISTED, PREDICT: (500, {"error": "bad\x1b input"})}, None, protocol="v1")
    assert isinstance(error, InvalidInput)
    assert error.message.endswith("does not say what iris takes; of one number it says: bad input")


# ------------------------------------------------------------------------------------------------ what it speaks


@pytest.mark.parametrize(
    "listed", [b"[" * 100_000, b"\x00\xff", {"models": {"a": 1}}, {"data": "x"}, {"models": [1, None, "\x1b[2J"]}]
)
async def test_a_list_of_models_that_is_none_is_told_with_what_was_tried(listed):
    error = await refusal({"v1/models": listed})
    assert "speaks no protocol that is known here: /v1/models 200, /openai/v1/models 404, /v2 404" in error.message


async def test_of_several_models_one_must_be_named():
    error = await refusal({"v1/models": {"models": ["a", "b"]}})
    assert "serves a, b" in error.message
    assert error.hint == "name the model: --model a"
    assert "serves a, b, not c" in (await refusal({"v1/models": {"models": ["a", "b"]}}, model="c")).message


async def test_a_model_with_a_slash_stays_one_part_of_the_path():
    with faulty.serving(origin({"v1/models/../../admin:predict": {"predictions": [1]}})) as server:
        await ask(server.url, protocol="v1", model="../../admin")
        assert server.asked[-1].target == "/v1/models/..%2F..%2Fadmin:predict"


async def test_a_redirect_is_told_and_not_followed_with_the_key():
    with faulty.serving(origin(CHAT)) as thief, faulty.serving(origin(CHAT)) as server:
        server.plan(faults.redirect(f"{thief.url}/v1/models"), times=None)
        endpoint = Endpoint(base_url=server.url, served_name="", headers={"Authorization": "Bearer s3cret"})
        with pytest.raises(ServingError) as raised:
            await asking.ask(endpoint, asking_given.read("Hi"))
        assert thief.asked == []
    assert f"it redirects to {thief.url}/v1/models" in raised.value.message
    assert "s3cret" not in raised.value.message


async def test_silence_ends_at_the_deadline():
    with faulty.serving(origin(CHAT)) as server:
        server.plan(faults.stall(0, server.stopping), times=None)
        with pytest.raises(ServerSilent, match="did not finish its answer within"):
            await ask(server.url, within_s=0.3)


async def test_what_is_no_http_is_told():
    with faulty.serving(origin(CHAT)) as server:
        server.plan(faults.raw(b"SSH-2.0-OpenSSH_9.6\r\n"), times=None)
        with pytest.raises(ServingError, match="cannot be asked"):
            await ask(server.url)


# ------------------------------------------------------------------------------------------------------ streams


def events(*documents, end=b"data: [DONE]\n\n"):
    return b"".join(b"data: " + (one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n\n" for one in documents) + end  # fmt: skip


def token(text):
    return {"choices": [{"delta": {"content": text}}]}


async def test_pieces_come_as_they_are_sent_without_what_a_terminal_obeys():
    pieces = []
    with faulty.serving(origin({**CHAT, "v1/chat/completions": events(token("He\x1b[2J"), token("llo"))})) as server:
        reply = await ask(server.url, "Hi", piece=pieces.append)
    assert (reply.protocol, reply.answer, pieces) == ("chat", "He[2Jllo", ["He[2J", "llo"])
    assert reply.sent["messages"] == [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (events(b"{not json"), "sent an event that is no JSON object: {not json"),
        (events(b"[1]"), "sent an event that is no JSON object"),
        (events(b"[" * 50_000), "sent an event that is no JSON object"),
        (events(token("a"), end=b""), "closed the connection in the middle of its answer"),
        (events({"error": {"message": "the engine died"}}), "the engine died"),
        (events(b'"' + b"x" * (17 * 2**20)), "sent more than 16,777,216 bytes"),
        (b"<html></html>", "closed the connection in the middle of its answer"),
    ],
    ids=["garbage", "list", "deep", "early", "error", "endless", "html"],
)
async def test_a_stream_that_is_broken_is_told(body, words):
    assert words in (await refusal({**CHAT, "v1/chat/completions": body}, "Hi")).message


@pytest.mark.parametrize("event", [{}, {"choices": None}, {"choices": [7]}, {"choices": [{"delta": 5}]}, {"choices": [{"delta": {"content": [1]}}]},
    {"choices": {}}, {"error": None, "choices": [{"text": None}]}])  # fmt: skip
async def test_events_without_text_add_none(event):
    with faulty.serving(origin({**CHAT, "v1/chat/completions": events(event, token("x"))})) as server:
        assert (await ask(server.url, "Hi")).answer == "x"


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"data": []},
        {"data": [{}]},
        {"data": [{"embedding": []}]},
        {"data": [{"embedding": "AAAA"}]},
        {"data": 5},
        {"data": [None]},
    ],
)
async def test_embeddings_that_are_none_are_told(document):
    error = await refusal({**CHAT, "v1/embeddings": document}, "Hi", protocol="embeddings")
    assert "answered 200 without embeddings" in error.message


async def test_embeddings_below_kserves_prefix_are_found():
    answers = {"openai/v1/models": {"data": [{"id": "e"}]}, "openai/v1/embeddings": {"data": [{"embedding": [0.5, 1]}]}}
    with faulty.serving(origin(answers)) as server:
        reply = await ask(server.url, "Hi", protocol="embeddings")
    assert (reply.answer, reply.sent) == ("[[0.5, 1]]", {"model": "e", "input": "Hi"})


def test_the_peak_of_a_huge_answer_is_bounded():
    """Of an endless answer no more is read than is kept."""

    async def work():
        with faulty.serving(origin({**LISTED, PREDICT: b"9" * (64 * 2**20)})) as server:
            with pytest.raises(ServingError):
                await ask(server.url, protocol="v1", model="iris")
            return server.sent(PREDICT)

    assert asyncio.run(work()) < 32 * 2**20
