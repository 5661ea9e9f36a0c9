"""The command table, and errors as a person meets them."""

import importlib
import inspect
import subprocess
import sys

import pytest

from lading.cli import app


@pytest.mark.parametrize("command", app.COMMANDS)
def test_the_sentence_in_the_table_is_the_first_line_of_the_command_s_own_help(command):
    path, _, sentence = app.COMMANDS[command]
    module, _, attribute = path.partition(":")
    target = getattr(importlib.import_module(module), attribute)
    text = target.help if isinstance(target, app.cyclopts.App) else inspect.getdoc(target)
    assert text.splitlines()[0] == sentence


@pytest.mark.parametrize("command", app.COMMANDS)
def test_every_command_has_help(command, lading):
    done = lading(command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"Usage: lading {command}")
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["studis"], "error: 'studis' is not a command\nhint: did you mean `lading studies`?\n"),
        (["xyzzy"], "error: 'xyzzy' is not a command\nhint: `lading --help` lists the commands\n"),
        (
            ["completion", "bash", "--foo"],
            "error: Unknown option: --foo\nhint: `lading completion --help` says what it takes\n",
        ),
        (["completion"], None),
    ],
)
def test_a_wrong_command_line_is_an_error_with_a_remedy_and_exit_code_2(arguments, message, lading):
    done = lading(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert "\nhint: " in done.stderr
    assert message is None or done.stderr == message


def test_help_imports_no_command_and_no_adapter():
    code = "import sys; from lading.cli import app; sys.argv = ['lading', '--help']\ntry: app.main()\nexcept SystemExit: pass\nprint([m for m in sys.modules if m.startswith('lading.') or m in ('pydantic', 'optuna', 'aiohttp')], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert eval(done.stderr) == ["lading.cli", "lading.errors", "lading.cli.failures", "lading.cli.app"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_names_every_command(shell, lading):
    done = lading("completion", shell)
    assert done.returncode == 0
    assert all(command in done.stdout for command in app.COMMANDS)


def test_a_reader_that_goes_away_is_no_traceback(lading_argv):
    process = subprocess.Popen([*lading_argv, "completion", "bash"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
    process.wait()
