"""A person's YAML: every problem has its file, line and key, all at once; nothing a person writes is a traceback."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.errors import InvalidDocument
from lading.spec import documents
from lading.spec.base import dump
from lading.spec.study import Study

GOOD = """\
name: chat
model: {ref: ./vol/chat}
engine: {name: llama.cpp}
space:
  flash_attn: {choice: [on, off]}
  n_batch: {int: [32, 2048], log: true}
objective: {maximize: output_tokens_per_s}
"""


def problems(text):
    with pytest.raises(InvalidDocument) as caught:
        documents.parse(text, Study, name="study.yaml")
    return caught.value.problems


def test_words_that_other_yamls_take_for_booleans_stay_words():
    assert documents.parse(GOOD, Study).space["flash_attn"].choice == ("on", "off")


def test_a_study_survives_being_dumped_and_read():
    study = documents.parse(GOOD, Study)
    assert Study.model_validate(dump(study)) == study


def test_all_problems_are_told_at_once_each_with_line_and_key():
    text = (
        GOOD.replace("maximize", "maximise")
        + "serach: {trials: many}\nsearch: {trials: many}\ndeadlines: {start: soon}\n"
    )
    told = sorted(problems(text), key=lambda problem: int(problem.split(":")[1]))
    assert [problem.split(":")[1] for problem in told] == ["7", "8", "9", "10"]
    assert "did you mean `maximize`?" in told[0]
    assert "did you mean `search`?" in told[1]
    assert "search.trials" in told[2]
    assert "deadlines.start" in told[3]


@pytest.mark.parametrize(
    ("text", "line"),
    [("name: [", "1"), ("a: 1\na: 2\n", "2"), ("a: b: c\n", "1"), ("a: 1\n b: 2\n", "2"), ("\tname: x", "1")],
)
def test_what_is_no_yaml_names_its_line(text, line):
    (problem, *_) = problems(text)
    assert problem.startswith(f"study.yaml:{line}: ")


@pytest.mark.parametrize("text", ["", "just a word", "- a\n- list\n", "42"])
def test_what_is_no_mapping_is_refused(text):
    with pytest.raises(InvalidDocument, match="no mapping"):
        documents.parse(text, Study)


def test_a_name_of_a_variable_that_a_shell_would_run_is_refused():
    (problem,) = problems(GOOD + 'backend: {env: {"A; rm -rf": x}}\n')
    assert problem.startswith("study.yaml:8: backend.env")


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_any_text_is_a_document_or_refused(text):
    with suppress(InvalidDocument):
        documents.parse(text, Study)


@given(
    st.dictionaries(
        st.sampled_from(list(Study.model_fields)),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            max_leaves=6,
        ),
    )
)
def test_any_values_under_known_keys_are_a_study_or_refused(document):
    with suppress(InvalidDocument):
        documents.parse(json.dumps(document), Study)


@pytest.mark.parametrize("kind", ["missing", "folder", "bytes"])
def test_a_file_that_cannot_be_read_is_said_to_be(kind, tmp_path):
    path: Path = tmp_path / "study.yaml"
    if kind == "folder":
        path.mkdir()
    if kind == "bytes":
        path.write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(InvalidDocument, match=r"study\.yaml (does not exist|cannot be read)"):
        documents.load(path, Study)
