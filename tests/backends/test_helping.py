"""Programs are asked for their flags before a start: real processes, well-behaved, old, slow and hostile ones."""

import asyncio
import os
import sys
import textwrap
import time

import psutil
import pytest

from lading.backends import helping, programs
from lading.backends.process import ProcessBackend
from lading.engines import help as helps
from lading.engines.sglang import ENGINE as SGLANG
from lading.engines.vllm import ENGINE as VLLM
from lading.errors import InvalidParameters
from lading.flows import flags
from lading.ports.backend import ServeRequest, TellsHelp
from lading.spec.study import BackendChoice

#: A vLLM as an older version might be: argparse, with the help in groups that only ``--help=all`` shows.
OLD_VLLM = """
import argparse, os, sys
open(os.path.join(os.path.dirname(__file__), "asked"), "a").write(" ".join(sys.argv[1:]) + "\\n")
assert sys.argv.pop(1) == "serve"
if "--help" in sys.argv:
    sys.exit(print("usage: vllm serve [model_tag] [options]\\n\\nFor all: --help=all"))
parser = argparse.ArgumentParser(prog="vllm serve", add_help=False)
parser.add_argument("model_tag", nargs="?")
group = parser.add_argument_group("All")
for name in ("--host", "--port", "--served-model-name", "--max-num-seqs", "--max-model-len", "--gpu-memory-utilization"):
    group.add_argument(name)
group.add_argument("--max-cudagraph-capture-size-limit", help="A newer name of ours")
group.add_argument("--kv-cache-dtype", choices=["auto", "fp8"])
if sys.argv[1:] == ["--help=all"]:
    sys.exit(parser.print_help())
print(vars(parser.parse_args()))
"""


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """A folder of programs with a Python beside them, and what was asked of them; *install* puts one there."""
    folder = tmp_path / "env" / "bin"
    folder.mkdir(parents=True)
    (folder / "python").symlink_to(os.path.realpath(sys.executable))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")

    class Environment:
        python = str(folder / "python")

        def install(self, name, script):
            (folder / name).write_text(f"#!{os.path.realpath(sys.executable)}\n{textwrap.dedent(script)}")
            (folder / name).chmod(0o755)

        def package(self, name, version):
            where = tmp_path / "packages"
            (where / f"{name}-{version}.dist-info").mkdir(parents=True)
            (where / f"{name}-{version}.dist-info" / "METADATA").write_text(
                f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            )
            (where / name).mkdir()
            (where / name / "__init__.py").touch()
            monkeypatch.setenv("PYTHONPATH", str(where))
            programs._has_module.cache_clear()
            return where / name

        def asked(self):
            found = folder / "asked"
            return found.read_text().splitlines() if found.exists() else []

        def backend(self):
            return ProcessBackend(BackendChoice(python=self.python), home=tmp_path / "home")

    return Environment()


def request(engine=VLLM, **params):
    return ServeRequest(name="one", model="/m", served_name="m", engine=engine, params=engine.parse(params))


async def test_an_older_program_is_asked_once_and_what_it_lacks_is_told_at_once(environment):
    """Before anything is started: two flags and a value that it does not know, with the nearest that it does."""
    environment.install("vllm", OLD_VLLM)
    backend = environment.backend()
    assert isinstance(backend, TellsHelp)
    with pytest.raises(InvalidParameters) as refused:
        await flags.planned(
            backend, request(max_num_batched_tokens=2048, kv_cache_dtype="fp8_e4m3", max_num_active_seqs=8)
        )
    assert refused.value.message.splitlines() == [
        "this vllm serve does not take what vllm 0.33.0 does",
        "  --kv-cache-dtype takes one of auto, fp8, not fp8_e4m3",
        "  does not know --max-num-active-seqs; the nearest is --max-num-seqs",
        "  does not know --max-num-batched-tokens",
    ]
    assert "lading engines vllm" in refused.value.hint
    planned = await flags.planned(backend, request(max_num_seqs=8))
    assert planned == backend.plan(request(max_num_seqs=8))
    assert environment.asked() == ["serve --help=all"]


async def test_an_abbreviation_that_the_program_would_guess_is_written_out(environment):
    """What is planned, hashed and shown is what runs; the program itself takes it."""
    environment.install("vllm", OLD_VLLM)
    backend = environment.backend()
    planned = await flags.planned(backend, request(max_cudagraph_capture_size=8))
    plain = backend.plan(request(max_cudagraph_capture_size=8))
    assert "--max-cudagraph-capture-size-limit" in planned.argv
    assert planned.argv_sha256 != plain.argv_sha256
    took = await helping.run([word.replace("{port}", "1") for word in planned.argv], os.environ, within_s=30)
    assert "'max_cudagraph_capture_size_limit': '8'" in took


async def test_where_the_catalogue_is_of_the_programs_version_nothing_is_asked(environment):
    environment.install("vllm", OLD_VLLM)
    environment.package("vllm", "0.33.0+cu129")
    backend = environment.backend()
    assert await backend.version(backend.plan(request())) == "0.33.0+cu129"
    planned = await flags.planned(backend, request(max_num_batched_tokens=2048))
    assert "--max-num-batched-tokens" in planned.argv
    assert environment.asked() == []


async def test_another_version_is_named_in_what_is_said(environment):
    environment.install("vllm", OLD_VLLM)
    environment.package("vllm", "0.9.2")
    with pytest.raises(InvalidParameters, match=r"vllm serve 0\.9\.2 does not take what vllm 0\.33\.0 does"):
        await flags.planned(environment.backend(), request(max_num_batched_tokens=2048))


async def test_a_module_is_run_by_the_python_that_has_it(environment):
    """SGLang is no program on the path; the flag of Python itself is not taken for one of its own."""
    package = environment.package("sglang", "0.5.2")
    (package / "launch_server.py").write_text(
        "import argparse\np = argparse.ArgumentParser()\n"
        "[p.add_argument(n) for n in ('--model-path', '--host', '--port', '--served-model-name', '--tp-size')]\n"
        "p.add_argument('--enable-metrics', action='store_true')\np.parse_args()\n"
    )
    backend = environment.backend()
    planned = await flags.planned(backend, request(SGLANG, tp_size=2))
    assert planned.argv[:3] == (environment.python, "-m", "sglang.launch_server")
    with pytest.raises(InvalidParameters, match="does not know --attn-dp-size"):
        await flags.planned(backend, request(SGLANG, tp_size=2, attn_dp_size=2))


@pytest.mark.parametrize(
    "script",
    ["import sys; sys.exit(3)", "print('hello')", "import os; os.kill(os.getpid(), 9)", "import sys; sys.stdout.buffer.write(bytes(range(256)) * 1000)", "print('options:\\n  --model M\\n  --other O\\n  --more M')"],
    ids=["refuses", "says nothing of flags", "dies", "writes bytes", "tells a part"],
)  # fmt: skip
async def test_a_program_that_tells_nothing_is_started_as_planned(environment, script):
    """The check is help, not a gate: the start itself will say what is wrong."""
    environment.install("vllm", script)
    backend = environment.backend()
    assert await flags.planned(backend, request(max_num_seqs=8)) == backend.plan(request(max_num_seqs=8))


async def test_an_endless_answer_is_cut_and_its_writer_ended(environment):
    environment.install("vllm", "import sys\nwhile True: sys.stdout.write('--x' * 1000 + '\\n')")
    said = await helping.run((environment.python.replace("python", "vllm"),), os.environ, within_s=60)
    assert len(said) == helps.LONGEST_CHARACTERS
    assert ended(environment)


async def test_a_program_that_serves_instead_of_telling_is_ended_with_its_children(environment):
    """Past its time: nothing of its session is left, not even a child that holds the output open."""
    environment.install(
        "vllm",
        "import subprocess, time\nsubprocess.Popen(['sleep', '987654'])\nprint('up', flush=True)\ntime.sleep(987654)",
    )
    assert await helping.run((environment.python.replace("python", "vllm"),), os.environ, within_s=1.0) is None
    assert ended(environment)


async def test_a_child_that_outlives_its_program_does_not_hold_the_answer_back(environment):
    """The output stays open in the child's hands: the deadline is what ends it."""
    environment.install("vllm", "import subprocess\nsubprocess.Popen(['sleep', '987653'])\nprint('--a  b')")
    assert await helping.run((environment.python.replace("python", "vllm"),), os.environ, within_s=1.0) is None
    assert ended(environment, "987653")


async def test_a_cancelled_question_leaves_nothing_behind(environment):
    environment.install("vllm", "import time\nprint('up', flush=True)\ntime.sleep(987652)")
    asking = asyncio.create_task(helping.run((environment.python.replace("python", "vllm"),), os.environ, within_s=60))
    await until(lambda: running(environment))
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert ended(environment)


async def test_a_missing_program_tells_nothing():
    assert await helping.run(("/no/such/program",), os.environ, within_s=5) is None


def running(environment, word=None):
    """Processes of the environment's programs, or those with *word* on their command line."""
    wanted = word or environment.python.replace("python", "vllm")
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE and wanted in (process.info["cmdline"] or ())
    ]


def ended(environment, *words):
    """Whether all of them go; a killed process needs a moment to be gone."""
    deadline = time.monotonic() + 30
    while any(running(environment, word) for word in (None, "987654", *words)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - another process is watched
            await asyncio.sleep(0.01)
