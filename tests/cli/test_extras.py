"""Without an extra a command says which one it needs, exit code 3, and leaves nothing behind."""

import subprocess
import sys

import pytest

STUDY = """\
name: small
model: {{ref: {model}}}
engine: {{name: llama.cpp}}
workload: {{scenario: "D(8,4)", requests: 4}}
space: {{n_parallel: {{int: [1, 4]}}}}
objective: {{maximize: output_tokens_per_s}}
search: {{method: {method}, trials: 2}}
"""


@pytest.mark.parametrize(
    ("missing", "method", "extra"),
    [("sqlalchemy", "grid", "tune"), ("alembic", "grid", "tune"), ("optuna", "tpe", "tune")],
)
def test_tune_names_the_extra_it_needs(missing, method, extra, tiny_gguf, tmp_path, lading_home):
    (tmp_path / "study.yaml").write_text(STUDY.format(model=tiny_gguf, method=method))
    done = _without(missing, "tune", "study.yaml", cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert done.stderr.endswith(f'hint: pip install "lading[{extra}]"\n')
    assert list(lading_home.iterdir()) == []


@pytest.mark.parametrize("missing", ["xllamacpp", "numpy", "gguf", "sqlalchemy"])
def test_the_demo_names_its_extra(missing, tmp_path):
    done = _without(missing, "demo", "here", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        3,
        'error: the demo needs the extra `demo`\nhint: pip install "lading[demo]"\n',
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [["ls", "."], ["engines"], ["studies"], ["schema"], ["--help"]])
def test_other_commands_need_no_extra(command, tmp_path):
    done = _without("sqlalchemy,alembic,optuna,numpy,gguf,xllamacpp", *command, cwd=tmp_path)
    """(`.` is no volume here: that is what `ls` says.)"""
    assert "extra" not in done.stderr
    assert done.returncode == (1 if command[0] == "ls" else 0), done.stderr


def _without(modules, *command, cwd):
    """The real command in an interpreter that cannot find *modules*."""
    code = (
        "import sys, importlib.abc\n"
        "gone = set(sys.argv.pop(1).split(','))\n"
        "class Gone(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in gone:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Gone())\n"
        "import importlib.util\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name in gone else found(name, *rest)\n"
        "from lading.cli.app import main\n"
        "main(sys.argv[1:])"
    )
    return subprocess.run(
        [sys.executable, "-c", code, modules, *command], cwd=cwd, capture_output=True, text=True, check=False
    )
