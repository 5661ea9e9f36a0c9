"""Names and messages come from clusters and file systems: none of them drives, or breaks, a terminal."""

import io
import sys

import pytest

from lading.cli import failures
from lading.cli.output import Output
from lading.errors import PodFailed, ServingError

EVIL = "\x1b]0;title\x07\x9b2J\rok\u202e\udcff"


def printed(capsys):
    captured = capsys.readouterr()
    return captured.out + captured.err


@pytest.mark.parametrize(
    "tell",
    [
        lambda: Output().say(EVIL),
        lambda: Output().result({}, EVIL),
        lambda: Output().table(["name"], [[EVIL]]),
        lambda: failures.show(PodFailed(EVIL, hint=EVIL, log=[EVIL])),
    ],
    ids=["sentence", "result", "table", "error"],
)
def test_what_is_printed_drives_no_terminal(capsys, tell):
    tell()
    said = printed(capsys)
    assert "ok" in said
    assert all(char.isprintable() or char in "\n\t" for char in said)


def test_brackets_in_a_cell_are_no_markup(monkeypatch):
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr(sys, "stdout", screen)
    Output().table(["reason"], [["exec [/bin/sh]: [red]not[/red] found :smile:"]])
    assert "exec [/bin/sh]: [red]not[/red] found :smile:" in screen.getvalue()


@pytest.mark.parametrize("kind", [ServingError, PodFailed])
def test_the_end_of_a_log_is_told_before_the_fact(kind, capsys):
    """A server's and a pod's alike: twelve lines, nothing in them drives the terminal."""
    failures.show(kind("it ended", log=[*map(str, range(20)), "last \x1b[31mred"]))
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "  | 9"
    assert said[-2].startswith("  | last ")
    assert "\x1b" not in said[-2]
    assert said[-1] == "error: it ended"
