"""The command table and the one place where errors become exit codes.

A command's module is imported when it is used, never for ``lading --help``; the sentence in the table is the first
line of the command's docstring (a test compares them).
"""

import atexit
import gc
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

import cyclopts

import lading
from lading.cli import failures
from lading.errors import Cancelled, InvalidInput

#: name → where it is implemented, and its first line of help, in the order they are shown.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "pull": ("lading.cli.pull:pull", "Weights", "Bring weights from a source onto a volume."),
    "push": ("lading.cli.push:push", "Weights", "Bring weights from a volume or a source to an object store."),
    "verify": ("lading.cli.verify:verify", "Weights", "Hash a model's files again and compare them with its manifest."),
    "ls": ("lading.cli.volume:ls", "Weights", "List the models and versions on a volume, or the models at a source."),
    "show": ("lading.cli.volume:show", "Weights", "Show the manifest of a model."),
    "diff": ("lading.cli.diff:diff", "Weights", "Show how two versions differ: files, keys of config.json, tensors."),
    "cat": ("lading.cli.contents:cat", "Weights", "Print a file of a model on stdout."),
    "du": ("lading.cli.contents:du", "Weights", "Show what everything on a volume takes."),
    "adopt": ("lading.cli.contents:adopt", "Weights", "List a folder that lies on a volume as a model, where it is."),
    "use": ("lading.cli.volume:use", "Weights", "Make a version the current one of its model."),
    "rm": ("lading.cli.removal:rm", "Weights", "Remove a version, or a whole model, from a volume."),
    "prune": ("lading.cli.removal:prune", "Weights", "Remove old versions and what interrupted pulls left."),
    "claim": ("lading.cli.claim:app", "Weights", "Make, look at, keep and recover claims; list storage classes."),
    "jobs": ("lading.cli.jobs:app", "Weights", "List, follow and cancel what runs in Jobs."),
    "serve": ("lading.cli.serve:serve", "Serving", "Start a model server and wait until it answers a real request."),
    "stop": ("lading.cli.stop:stop", "Serving", "Stop a server that `lading serve` started."),
    "ask": ("lading.cli.ask:ask", "Serving", "Send one request to a server and print its answer."),
    "bench": ("lading.cli.bench:bench", "Tuning", "Measure a running server under load."),
    "tune": ("lading.cli.tune:tune", "Tuning", "Search for the best configuration of a server for a load."),
    "studies": ("lading.cli.studies:app", "Tuning", "List, show, follow, cancel and copy studies."),
    "report": ("lading.cli.report:report", "Tuning", "Write a study's report and the manifests to run its winner."),
    "engines": ("lading.cli.engines:engines", "Tuning", "Show the engines, their parameters, ranges and rules."),
    "images": ("lading.cli.images:images", "Help", "List the container images that commands use, for a mirror."),
    "schema": ("lading.cli.schema:schema", "Help", "Print the JSON Schema of a document."),
    "demo": ("lading.cli.demo:demo", "Help", "Do the whole job on this machine with a small model, in minutes."),
    "agent": ("lading.cli.agent:agent", "In pods", "Serve a volume on stdin and stdout, for a Lading elsewhere."),
    "run": ("lading.cli.run:run", "In pods", "Do what a command document says, as pods of ours are told to."),
    "completion": ("lading.cli.completion:completion", "Help", "Print a completion script for a shell."),
}


def build(command: str | None = None) -> cyclopts.App:
    """The application; *command* is the one about to run, which is shown with its whole docstring."""
    app = cyclopts.App(
        name="lading",
        help="Model weights onto a volume, served from it, measured and tuned.",
        version=lading.__version__,
        default_parameter=cyclopts.Parameter(negative_iterable=()),
    )
    for name, (path, group, sentence) in COMMANDS.items():
        app.command(path, name=name, group=group, help=None if name == command else sentence)
    return app


def main(tokens: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its documented code."""
    atexit.register(gc.freeze)  # else the interpreter looks through all it loaded once more before it ends: 0.2 s
    arguments = list(sys.argv[1:] if tokens is None else tokens)
    command = next((token for token in arguments if not token.startswith("-")), None)
    if command == "run":  # a container's first process ignores what it has no handler for, also while it starts
        signal.signal(signal.SIGTERM, _terminated)
    debug = "--debug" in arguments or bool(os.environ.get("LADING_DEBUG"))
    sys.exit(failures.guarded(lambda: _run(build(command), arguments), debug=debug))


def _terminated(number: int, frame: object) -> NoReturn:
    del number, frame
    sys.exit(Cancelled.exit_code)


def _run(app: cyclopts.App, arguments: list[str]) -> int:
    first = next(iter(arguments), "--help")
    if not first.startswith("-") and first not in COMMANDS:
        from lading.spec.nearest import nearest

        near = nearest(first, list(COMMANDS))
        raise InvalidInput(
            f"{first!r} is not a command",
            hint=f"did you mean `lading {near}`?" if near else "`lading --help` lists the commands",
        )
    try:
        result = app(arguments, exit_on_error=False, print_error=False, verbose=False, result_action="return_value")
    except cyclopts.CycloptsError as error:
        raise _usage(error, first) from error
    return result if isinstance(result, int) and not isinstance(result, bool) else 0


def _usage(error: cyclopts.CycloptsError, command: str) -> InvalidInput:
    """The error of a command line that cannot be parsed: its fact, and what was meant or where to read."""
    message, _, suggestion = str(error).partition(" Did you mean ")
    help_command = f"lading {command} --help" if command in COMMANDS else "lading --help"
    hint = f"did you mean {suggestion}" if suggestion else f"`{help_command}` says what it takes"
    return InvalidInput(message.strip().removesuffix("."), hint=hint)
