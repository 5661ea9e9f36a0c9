"""Names and messages come from clusters and file systems: none of them drives, or breaks, a terminal."""

import io
import sys

import pytest

from lading.cli import failures
from lading.cli.output import Output
from lading.errors import PodFailed

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
