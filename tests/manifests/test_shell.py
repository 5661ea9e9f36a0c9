"""`run.sh` runs by a real shell: what the program gets is what was measured, whatever is in it."""

import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.manifests.conftest import ORIGIN, llamacpp, vllm

from lading.manifests import artefacts
from lading.manifests.shell import run_sh

ECHO = (sys.executable, "-c", "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))")
WORDS = st.lists(
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00")).filter(
        lambda word: "{port}" not in word
    ),
    max_size=6,
)


def run(script, **env):
    import json

    done = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, env={"PATH": os.environ["PATH"], **env}, check=True
    )
    return json.loads(done.stdout)


@settings(max_examples=25, deadline=None)
@given(words=WORDS, value=st.text(st.characters(min_codepoint=1, blacklist_categories=["Cs"])))
def test_every_word_and_every_variable_arrives_as_it_was(words, value):
    words = ["x", *words]
    argv, env = run(run_sh(llamacpp(argv=(*ECHO, *words), env={"GIVEN": value})))
    assert argv == words
    assert env["GIVEN"] == value


def test_the_port_is_8080_unless_told_and_also_inside_a_document():
    target = llamacpp(argv=(*ECHO, "--port", "{port}", '{"a b": "$HOME", "port": {port}, "x": "\'"}'))
    assert run(run_sh(target))[0] == ["--port", "8080", '{"a b": "$HOME", "port": 8080, "x": "\'"}']
    assert run(run_sh(target), PORT="9001")[0][1] == "9001"


def test_the_measured_program_is_given_the_environment_it_was_measured_with():
    assert run(run_sh(llamacpp(argv=ECHO)))[1]["OMP_WAIT_POLICY"] == "PASSIVE"


def test_what_only_measuring_needs_is_not_given():
    """vLLM's development mode opens doors that a service keeps shut."""
    for program in (None, "vllm serve"):
        assert "VLLM_SERVER_DEV_MODE" not in "".join(artefacts.render_all(vllm(program=program, argv=ECHO)).values())


def test_a_comment_cannot_become_a_command():
    target = llamacpp(argv=ECHO, origin=(*ORIGIN, "evil\nexit 3", "evil\rexit 3", "evil\u2028exit 3"))
    assert run(run_sh(target))[0] == []


@pytest.mark.parametrize("target", [vllm(), llamacpp(argv=(), program="llama-server")])
def test_without_a_recorded_command_the_program_is_taken_from_the_path(target, tmp_path):
    script = run_sh(target)
    name = "vllm" if target.engine.name == "vllm" else "llama-server"
    program = tmp_path / name
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", script],
        capture_output=True,
        text=True,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "PORT": "9009"},
        check=True,
    )
    words = done.stdout.splitlines()
    assert words[words.index("--port") + 1] == "9009"
    assert target.served_name in words
    assert target.model.on_host in words
