"""`lading demo`: the main job with the real commands, each echoed before it runs, on a model made here.

Nothing is downloaded, and nothing is written outside the demo's folder: Lading's own state goes there too.
"""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from lading.cli.output import Common, Output
from lading.errors import InvalidInput, LadingError, MissingExtra

#: Large enough that a server spends its time on the model, small enough to be made in seconds.
PRESET = "24m"
_MARK = ".lading-demo"
_STUDY = """\
# What `lading demo` tunes: a real llama.cpp server, under {concurrency} requests at a time.
apiVersion: lading.dev/v1
kind: Study
name: demo
model: {{ref: volume/tiny-llama-gguf, served_name: tiny-llama}}
engine:
  name: llama.cpp
  parameters: {{n_ctx: 4096}}
backend: {{kind: process}}
workload:
  scenario: "D(64,24)"
  levels: {{concurrency: [{concurrency}]}}
  requests: {requests}
space:
  n_parallel: {{choice: [2, 4, 8]}}
  n_batch: {{choice: [128, 2048]}}
objective: {{maximize: output_tokens_per_s, at: best}}
constraints: [{{metric: error_share, at_most: 0}}]
search: {{method: auto, seed: 0, trials: {trials}, confirm: {confirm}}}
deadlines: {{start: 1m, measure: 2m, teardown: 30s}}
"""


def demo(
    folder: Path = Path("lading-demo"),
    *,
    concurrency: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=64))] = 8,
    quick: Annotated[bool, Parameter(negative=())] = False,
    common: Common | None = None,
) -> int:
    """Do the whole job on this machine with a small model, in minutes.

    Makes a small Llama, pulls it onto a volume folder, verifies it, and tunes a real llama.cpp server for it. Ends with
    the winner, its gain over the defaults with an interval, the report and the manifests that run it elsewhere.

    Args:
        folder: Where everything goes; made when needed, and made anew when an earlier demo made it.
        concurrency: Requests kept in flight. With 1 there is nothing to gain from more slots, and the demo says so.
        quick: Fewer trials and requests: under a minute, with wide intervals.
    """
    output = Output(common)
    _check_extra()
    _prepare(folder)
    output.say("Making a small Llama (24 million random weights, with a tokenizer), as safetensors and as GGUF …")
    _make_models(folder / "source")
    trials, requests, confirm = (3, 16, 3) if quick else (7, 40, 4)
    (folder / "study.yaml").write_text(
        _STUDY.format(concurrency=concurrency, trials=trials, requests=requests, confirm=confirm), encoding="utf-8"
    )
    for command in (
        ["pull", "source/tiny-llama", "volume"],
        ["pull", "source/tiny-llama-gguf", "volume"],
        ["verify", "volume"],
        ["tune", "study.yaml"],
        ["report", "demo", "--out", "report"],
    ):
        code = _run(command, folder, output)
        if code != 0:
            return code
    output.say(f"\nAll of it is in {folder}; delete the folder and the demo is gone.")
    output.next(f"open {folder / 'report' / 'report.html'}")
    return 0


def _prepare(folder: Path) -> None:
    """An empty folder of ours: an earlier demo's is emptied, anyone else's is refused."""
    if folder.exists() and not (folder / _MARK).exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidInput(
            f"{folder} is not an earlier demo, and not empty", hint="name another folder: lading demo FOLDER"
        )
    import shutil

    try:
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        (folder / _MARK).touch()
    except OSError as error:
        raise LadingError(
            f"{folder} cannot be written: {error.strerror}", hint="name another folder: lading demo FOLDER"
        ) from error


def _check_extra() -> None:
    import importlib.util

    if not all(map(importlib.util.find_spec, ("xllamacpp", "numpy", "gguf", "sqlalchemy", "optuna"))):
        raise MissingExtra("the demo", extra="demo")


def _make_models(folder: Path) -> None:
    from lading.testing import tiny_llama

    tiny_llama.write_huggingface(folder / "tiny-llama", preset=PRESET, shards=2)
    tiny_llama.write_gguf(folder / "tiny-llama-gguf" / "tiny-llama.gguf", preset=PRESET)


def _run(command: list[str], folder: Path, output: Output) -> int:
    """Run one real command in *folder*, its output where ours goes; its exit code."""
    output.say(f"\n$ lading {shlex.join(command)}")
    flags = (["--format", "json"] if output.json else []) + (["--quiet"] if output.common.quiet else [])
    environment = {**os.environ, "LADING_HOME": str((folder / "home").absolute())}
    process = subprocess.Popen([sys.executable, "-m", "lading", *command, *flags], cwd=folder, env=environment)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # the command got it too, and is cleaning up
            continue
