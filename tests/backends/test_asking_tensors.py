"""Tensors made of what a person gives and of what a server says of itself: right ones, or a sentence on why not."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.backends import asking_given, asking_tensors
from lading.backends.asking_protocol import Spoken
from lading.backends.asking_tensors import Tensor
from lading.errors import InvalidInput

IMAGE = Tensor(name="image", datatype="FP32", shape=(-1, 3, 2, 2))
TEXT = Tensor(name="text", datatype="BYTES", shape=(-1,))


@pytest.mark.parametrize(
    ("value", "shape", "datatype", "data"),
    [
        ([[1, 2], [3, 4], [5, 6]], [3, 2], "INT64", [1, 2, 3, 4, 5, 6]),
        ([1, 2.5], [1, 2], "FP64", [1, 2.5]),
        (7, [1, 1], "INT64", [7]),
        ([True, False], [1, 2], "BOOL", [True, False]),
        ("words", [1], "BYTES", ["words"]),
        (["a", "b"], [2], "BYTES", ["a", "b"]),
    ],
)
def test_without_metadata_shape_and_type_follow_the_values(value, shape, datatype, data):
    (one,) = asking_tensors.infer_body(value, ())["inputs"]
    assert one == {"name": "input-0", "shape": shape, "datatype": datatype, "data": data}


def test_with_metadata_name_type_and_rank_are_the_servers():
    (one,) = asking_tensors.infer_body([[[1, 2], [3, 4]]] * 3, (IMAGE,))["inputs"]
    assert (one["name"], one["datatype"], one["shape"]) == ("image", "FP32", [1, 3, 2, 2])


def test_several_inputs_are_given_by_name():
    body = asking_tensors.infer_body({"text": ["a"], "image": [[1]]}, (IMAGE, TEXT))
    assert [(one["name"], one["datatype"]) for one in body["inputs"]] == [("text", "BYTES"), ("image", "FP32")]
    with pytest.raises(InvalidInput, match=r"takes 2 inputs: image FP32 \[-1, 3, 2, 2\], text BYTES \[-1\]"):
        asking_tensors.infer_body([1], (IMAGE, TEXT))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([[1, 2], [3]], "do not have the same length"),
        ([[1], 2], "do not have the same length"),
        ([], "no values"),
        ([1, "a"], "different kinds"),
        ([{"a": 1}], "more than numbers, texts and lists"),
        ([None], "more than numbers, texts and lists"),
    ],
)
def test_what_is_no_tensor_is_refused_before_it_is_sent(value, words):
    with pytest.raises(InvalidInput, match=words):
        asking_tensors.infer_body(value, ())


def test_a_sample_has_the_shape_of_the_metadata_with_one_for_any_size():
    image, text = asking_tensors.sample((IMAGE, TEXT))
    assert image == {"name": "image", "shape": [1, 3, 2, 2], "datatype": "FP32", "data": [0.0] * 12}
    assert text == {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["Hello"]}


def test_a_sample_as_large_as_a_hostile_server_likes_is_not_made():
    with pytest.raises(InvalidInput, match="is not made up"):
        asking_tensors.sample([Tensor(name="x", datatype="FP32", shape=(10**9, 10**9))])


@given(st.recursive(st.none() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
    st.sampled_from(["inputs", "outputs", "name", "datatype", "shape", "data", "predictions"]), inner, max_size=4), max_leaves=12))  # fmt: skip
def test_whatever_a_server_says_is_read_without_a_crash(document):
    for tensor in asking_tensors.described(document):
        assert all(size >= -1 for size in tensor.shape)
    asking_tensors.predictions_problem(document)
    asking_tensors.outputs_problem(document)
    asking_tensors.finite(document)


@pytest.mark.parametrize("entry", [None, 5, {}, {"name": "x", "datatype": ["FP32"], "shape": [1]}, {"name": "x", "datatype": "FP32", "shape": [-2]},
    {"name": "x", "datatype": "FP32", "shape": [True]}, {"name": "\x1b[2J", "datatype": "FP32", "shape": [1]}, {"name": "x", "datatype": "FP99", "shape": [1]},
    {"name": "x" * 300, "datatype": "FP32", "shape": [1]}, {"name": "x", "datatype": "FP32", "shape": [1] * 17}])  # fmt: skip
def test_entries_of_metadata_that_make_no_sense_are_left_out(entry):
    good = {"name": "y", "datatype": "FP32", "shape": [2]}
    assert [tensor.name for tensor in asking_tensors.described({"inputs": [entry, good]})] == ["y"]


@pytest.mark.parametrize(
    ("value", "instances"),
    [
        ([[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        ([1, 2], [[1, 2]]),
        ({"a": 1}, [{"a": 1}]),
        ([{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 2}]),
        ("words", ["words"]),
        ([], [[]]),
    ],
)
def test_rows_are_instances_and_anything_else_is_one(value, instances):
    assert asking_tensors.instances_body(value) == {"instances": instances}


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"outputs": [{"name": "y", "shape": [2], "datatype": "FP32", "data": [1, 2]}]}, None),
        ({"outputs": [{"name": "y", "shape": [1, 2], "datatype": "FP32", "data": [[1, 2]]}]}, None),
        ({"outputs": [{"name": "y", "shape": [3], "data": [1, 2]}]}, "shape"),
        ({"outputs": [{"name": "y", "shape": [10**30], "data": []}]}, "shape"),
        ({"outputs": [{"name": "y", "shape": "2", "data": [1, 2]}]}, "no shape"),
        ({"outputs": [{"name": "y", "shape": [2]}]}, "no data"),
        ({"outputs": ["y"]}, "no object"),
        ({"outputs": []}, "no outputs"),
        ([], "no outputs"),
    ],
)
def test_an_answer_that_contradicts_itself_is_none(document, problem):
    found = asking_tensors.outputs_problem(document)
    assert (found is None) if problem is None else (problem in found)


def test_numbers_that_json_has_not_become_words():
    assert asking_tensors.finite({"a": [math.nan, math.inf, -math.inf, 1.5]}) == {
        "a": ["NaN", "Infinity", "-Infinity", 1.5]
    }


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("X has 3 features, but LogisticRegression is expecting 4 features as input.", 4),
        ("Feature shape mismatch, expected: 13, got 1", 13),
        ("The number of features in data (1) is not the same as it was in training data (7).", 7),
        ("expecting 99999999 features", None),
        ("out of memory", None),
    ],
)
def test_a_refusal_may_say_how_many_features_are_wanted(words, count):
    assert asking_tensors.expected_features(words) == count


# ------------------------------------------------------------------------------------------------- what was given


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ('{"messages": []}', "chat"),
        ('{"prompt": "x"}', "completions"),
        ('{"input": "x"}', "embeddings"),
        ('{"instances": [[1]]}', "v1"),
        ('{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}', "v2"),
        ('{"inputs": [1]}', None),
        ("[[1, 2]]", None),
        ("Say {hello", None),
    ],
)
def test_a_whole_request_says_whose_it_is(text, whole):
    assert asking_given.read(text).whole == whole


def test_null_is_a_word_and_not_nothing():
    assert asking_given.read("null").value == "null"


BOTH = Spoken(v1=True, v2=True, models=("m",))


@pytest.mark.parametrize(
    ("spoken", "wanted", "text", "described", "chosen"),
    [
        (Spoken(openai="/v1"), None, "Hi", False, "chat"),
        (Spoken(openai="/v1"), "embeddings", "Hi", False, "embeddings"),
        (BOTH, None, "[1]", False, "v1"),
        (BOTH, None, "[1]", True, "v2"),
        (Spoken(v2=True), None, None, False, "v2"),
        (BOTH, None, '{"instances": [1]}', True, "v1"),
        (Spoken(v1=True), "v2", "[1]", False, "v2"),
    ],
)
def test_the_protocol_follows_what_was_wanted_then_the_request_then_the_server(spoken, wanted, text, described, chosen):
    given_ = None if text is None else asking_given.read(text)
    assert asking_given.choose(spoken, wanted, given_, described=described) == chosen


def test_a_request_of_another_protocol_is_refused():
    with pytest.raises(InvalidInput, match="a whole request of v1, not of v2"):
        asking_given.choose(BOTH, "v2", asking_given.read('{"instances": [1]}'))
    with pytest.raises(InvalidInput, match="a request of chat, which the server does not speak"):
        asking_given.choose(BOTH, None, asking_given.read('{"messages": []}'))


@pytest.mark.parametrize(
    ("data", "words"), [(b"", "is empty"), (b"\xff\xfe", "is no text"), (b"x" * (asking_given.LARGEST_BYTES + 1), "too much")]
)  # fmt: skip
def test_a_file_that_cannot_be_sent_is_refused(data, words):
    with pytest.raises(InvalidInput, match=words):
        asking_given.decode(data, "sample.json")
