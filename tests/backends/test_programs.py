"""Which program runs an engine here, and what its command line is."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from lading import wiring
from lading.backends import processes, programs, record, xllamacpp_server
from lading.backends.process import ProcessBackend
from lading.errors import MissingProgram
from lading.ports.backend import ServeRequest
from lading.spec.study import BackendChoice


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """An environment of its own, with a Python that has nothing; the PATH leads nowhere."""
    bin_folder = tmp_path / "env/bin"
    bin_folder.mkdir(parents=True)
    (bin_folder / "python").write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    (bin_folder / "python").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    return bin_folder


def program(folder, name):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("#!/bin/sh\n")
    (folder / name).chmod(0o755)
    return str(folder / name)


def plan(engine, python=None, **changes):
    home = changes.pop("home")
    backend = ProcessBackend(BackendChoice(python=python), home=home)
    request = ServeRequest(
        name="one", model="/models/m", served_name="tiny", engine=wiring.engine(engine), params=changes, port=8123
    )
    return backend.plan(request)


def test_vllm_is_found_beside_the_python_of_its_environment(environment, tmp_path):
    vllm = program(environment, "vllm")
    found = plan("vllm", str(environment / "python"), max_num_seqs=8, home=tmp_path)
    assert found.argv[:3] == (vllm, "serve", "/models/m")
    for words in (("--served-model-name", "tiny"), ("--port", "8123"), ("--max-num-seqs", "8")):
        at = found.argv.index(words[0])
        assert found.argv[at : at + 2] == words


def test_vllm_is_run_as_a_module_where_there_is_no_executable(environment, tmp_path, monkeypatch):
    packages = tmp_path / "packages"
    (packages / "vllm").mkdir(parents=True)
    (packages / "vllm/__init__.py").touch()
    python = environment / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={packages} exec {sys.executable} -S "$@"\n')
    found = plan("vllm", str(python), home=tmp_path)
    assert found.argv[:4] == (str(python), "-m", "vllm.entrypoints.cli.main", "serve")


def test_llama_server_on_the_path_runs_what_the_python_cannot(environment, tmp_path, monkeypatch):
    server = program(tmp_path / "path", "llama-server")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    found = plan("llama.cpp", str(environment / "python"), n_parallel=2, home=tmp_path)
    assert found.program == "llama-server"
    assert found.argv[0] == server
    assert found.argv[found.argv.index("--parallel") + 1] == "2"
    assert found.argv[found.argv.index("--port") + 1] == "8123"


def test_an_environment_without_any_program_is_told_with_what_installs_it(environment, tmp_path):
    with pytest.raises(MissingProgram, match=r"'xllamacpp' and 'llama-server' with .*/env/bin/python") as raised:
        plan("llama.cpp", str(environment / "python"), home=tmp_path)
    assert raised.value.hint == 'pip install "lading[demo]"'


def test_an_open_port_stands_open_in_the_plan_of_every_program(environment, tmp_path):
    program(environment, "vllm")
    backend = ProcessBackend(BackendChoice(python=str(environment / "python")), home=tmp_path)
    request = ServeRequest(name="one", model="/m", served_name="t", engine=wiring.engine("vllm"), params={})
    argv = backend.plan(request).argv
    assert argv[argv.index("--port") + 1] == "{port}"


def test_a_relative_python_is_made_absolute_and_not_resolved(tmp_path, monkeypatch):
    link = tmp_path / "python"
    link.symlink_to(sys.executable)
    monkeypatch.chdir(tmp_path)
    assert programs._interpreter("./python") == str(link)


# ---------------------------------------------------------------------------------------------------------- records


async def test_a_process_whose_id_was_never_written_down_is_found_by_its_mark(tmp_path):
    """A run killed between the start and the second writing of the record."""
    server = record.ServerRecord(
        name="one", mark="one/abc", boot=record.boot_id(), engine="scripted", model="/m", served_name="t",
        host="127.0.0.1", port=processes.free_port("127.0.0.1"), argv=(), argv_sha256="", lease="gone",
    )  # fmt: skip
    record.write(tmp_path, server)
    orphan = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", "import time; print(1, flush=True); time.sleep(60)"], stdout=subprocess.PIPE,
        env={**os.environ, record.MARKER: "one/abc"}, start_new_session=True,
    )  # fmt: skip
    orphan.stdout.readline()
    assert await ProcessBackend(BackendChoice(), home=tmp_path).reap() == ("one",)
    assert orphan.wait(timeout=5) == -15
    orphan.stdout.close()


def test_a_record_survives_as_json_and_half_a_writing_is_not_seen(tmp_path):
    server = record.ServerRecord(
        name="one", mark="m", boot="b", engine="e", model="/m", served_name="t", host="::1", port=5, argv=("a",),
        argv_sha256="x",
    )  # fmt: skip
    record.write(tmp_path, server)
    (record.folder(tmp_path, "one") / "state.json.new").write_text('{"half')
    assert record.read(tmp_path, "one") == server
    assert server.url == "http://[::1]:5"
    assert json.loads((record.folder(tmp_path, "one") / "state.json").read_text())["state_format"] == 1


# ---------------------------------------------------------------------------------------------------------- the launcher


def test_the_launcher_needs_nothing_but_the_standard_library(tmp_path):
    """It is run by Pythons that have neither Lading nor its dependencies."""
    alone = tmp_path / "launcher.py"
    shutil.copy(xllamacpp_server.__file__, alone)
    done = subprocess.run([sys.executable, "-I", "-S", alone, "{}"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "ModuleNotFoundError: No module named 'xllamacpp'\n"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"n_paralel": 2}, "Did you mean: 'n_parallel'?"),
        ({"n_ctx": "2048"}, "expected int, got str"),
        ({"cache_type_k": "ggml_type.NOPE"}, "KeyError: 'NOPE'"),
        ({"nothing.here": 1}, "AttributeError"),
    ],
)
def test_the_launcher_says_in_one_line_what_is_wrong_with_its_document(document, said):
    pytest.importorskip("xllamacpp")
    command = [sys.executable, xllamacpp_server.__file__, json.dumps(document)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
