"""The command line that really runs, held against the planned one."""

import pytest

from lading.engines.effective import command_differences

PLANNED = ("/opt/bin/vllm", "serve", "/models/granite", "--port", "{port}", "--max-num-seqs", "64", '{"port": {port}}')
RUNNING = ("/opt/bin/vllm", "serve", "/models/granite", "--port", "8017", "--max-num-seqs", "64", '{"port": 8017}')


def test_what_was_planned_is_no_difference_whichever_port_was_free():
    assert command_differences(PLANNED, RUNNING) == ()


def test_a_script_runs_under_its_interpreter():
    assert command_differences(PLANNED, ("/usr/bin/python3", *RUNNING)) == ()


def test_what_cannot_be_known_is_no_difference():
    assert command_differences(PLANNED, None) == ()


@pytest.mark.parametrize(
    "running",
    [
        (),
        RUNNING[:-1],
        (*RUNNING, "--enforce-eager"),
        tuple("65" if word == "64" else word for word in RUNNING),
        tuple("{port}" if word == "8017" else word for word in RUNNING),
        tuple("80x7" if word == "8017" else word for word in RUNNING),
    ],
    ids=["nothing", "one less", "one more", "another value", "an open port", "no number"],
)
def test_another_command_is_told_as_it_runs(running):
    (told,) = command_differences(PLANNED, running)
    assert told.startswith("another command runs than was planned: ")
    assert all(word in told for word in running if word.isalnum())
