"""Every code block in README and docs runs, or says why not.

Blocks of one document run in order, in one folder, as one reader would: `bash` with `set -euo pipefail`, `python` in one
namespace, `yaml` and `json` are parsed, and a Study is validated. `text` shows output. A block that cannot run here is
preceded by `<!-- not run: REASON -->`; one that must go to a file by `<!-- file: NAME -->`; one that an administrator of the
cluster runs by `<!-- admin -->`.

A page may need a place to run: `PLACES` names its fixture.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from lading.spec import documents, study

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md"), *ROOT.glob("requirements/*.md")]
)
_BLOCK = re.compile(
    r"(?:<!-- (?P<note>[^\n]*?) -->\n+)?^(?P<fence>```+)(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=fence)\s*$",
    re.MULTILINE | re.DOTALL,
)
#: What must be there before a page's blocks are run: a fixture of this folder.
PLACES = {
    "docs/claims.md": "on_claims", "docs/serving-on-a-cluster.md": "on_serving", "docs/serving-docker.md": "on_docker",
    "docs/sources.md": "at_sources", "docs/pushing.md": "at_sources",
}  # fmt: skip
_SHOWN = {"text", "mermaid", ""}


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    line: int
    note: str


def blocks(path: Path) -> list[Block]:
    content = path.read_text()
    return [
        Block(found["language"], found["text"], content[: found.start("fence")].count("\n") + 1, found["note"] or "")
        for found in _BLOCK.finditer(content)
    ]


def _pages():
    for path in DOCUMENTS:
        name = str(path.relative_to(ROOT))
        marks = (
            [pytest.mark.real("cluster"), pytest.mark.slow, pytest.mark.timeout(600)]
            if PLACES.get(name) in {"on_claims", "on_serving"}
            else []
        )
        yield pytest.param(path, PLACES.get(name), id=name, marks=marks)


@pytest.mark.parametrize(("path", "place"), [*_pages()])
def test_blocks(path, place, tmp_path, record_property, request):
    """All blocks of one document, as one reader meets them."""
    admin = request.getfixturevalue(place) if place else {}
    counts = {"run": 0, "not run": 0, "shown": 0}
    namespace: dict[str, object] = {"__name__": "__docs__"}
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        for block in blocks(path):
            counts[_run(block, path, tmp_path, namespace, admin if block.note == "admin" else {})] += 1
    finally:
        os.chdir(before)
        # Only what this test's own LADING_HOME knows: a developer's cluster is nobody's to clean here.
        stop = [sys.executable, "-m", "lading", "stop", "--all", "--yes", "--backend", "process"]
        subprocess.run(stop, capture_output=True, check=False, cwd=tmp_path)
    record_property("blocks", counts)


def test_every_block_has_a_language_that_says_what_it_is():
    known = {"bash", "python", "yaml", "json", *_SHOWN} - {""}
    wrong = [
        f"{path.relative_to(ROOT)}:{block.line}"
        for path in DOCUMENTS
        for block in blocks(path)
        if block.language not in known
    ]
    assert wrong == []


def _run(block: Block, path: Path, folder: Path, namespace: dict[str, object], more: dict[str, str]) -> str:
    where = f"{path.name}:{block.line}"
    if block.note.startswith("not run: "):
        return "not run"
    if block.language in _SHOWN:
        return "shown"
    if block.note.startswith("file: "):
        (folder / block.note.removeprefix("file: ")).write_text(block.text)
    match block.language:
        case "bash":
            _bash(block.text, where, folder, more)
        case "python":
            exec(compile("\n" * block.line + block.text, str(path), "exec"), namespace)
        case "yaml":
            _yaml(block.text, where)
        case "json":
            json.loads(block.text)
    return "run"


def _bash(script: str, where: str, folder: Path, more: dict[str, str]) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "NO_COLOR": "1", **more}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=folder, env=environment, capture_output=True, text=True,
        timeout=280, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, f"{where} ended with {done.returncode}\n{script}\n{done.stdout}\n{done.stderr}"


def _yaml(text: str, where: str) -> None:
    tree = YAML(typ="safe", pure=True).load(text)
    if isinstance(tree, dict) and tree.get("kind") == "Study":
        documents.parse(text, study.Study, name=where)
