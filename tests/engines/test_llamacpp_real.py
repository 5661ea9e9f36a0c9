"""The catalogue of llama.cpp against llama.cpp: its own argument parser, its attributes, its log."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.testbed import require

from lading.engines import effective, llamacpp_parameters
from lading.engines.base import Launch
from lading.engines.llamacpp import ALWAYS, ENGINE
from lading.engines.llamacpp_parameters import ATTRIBUTES, Cores
from lading.errors import InvalidParameters
from lading.testing.engines import _two_values as two_values

pytestmark = pytest.mark.real("xllamacpp")
xllamacpp = (
    pytest.importorskip("xllamacpp") if os.environ.get("LADING_TEST_REQUIRE") != "all" else __import__("xllamacpp")
)

LAUNCHER = Path(__file__).parents[2] / "src/lading/backends/xllamacpp_server.py"
#: Values the parser looks up.
NAMES_REAL_THINGS = {"device": "none", "override_tensor": "exps=CPU"}


def launch(program, params, model="m.gguf", port=18765):
    return Launch(model=model, served_name="tiny", host="127.0.0.1", port=port, params=params, program=program)


def parsed(cases):
    """What the real parser, and the real attributes, come to for each of *cases*."""
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("llama_parser.py")],
        input=json.dumps(cases), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    answers = json.loads(done.stdout.splitlines()[-1])
    require("llama.cpp's parser", answers is not None, "this xllamacpp does not offer it")
    return answers, done.stderr


def paths_of(name):
    attribute = ATTRIBUTES[name]
    return (
        [f"{attribute.path}.cpumask", f"{attribute.path}.mask_valid"]
        if isinstance(attribute, Cores)
        else [attribute.path]
    )


def test_flags_and_attributes_come_to_the_same_for_every_parameter_and_value():
    """What llama-server's parser makes of our flags is what our document gives xllamacpp."""
    cases, names = [], []
    for name, parameter in ENGINE.parameters.items():
        if name not in ATTRIBUTES:
            continue
        for value in (*parameter.choices, *two_values(ENGINE, parameter)):
            try:
                commands = [ENGINE.command(launch(program, {name: value})) for program in ("llama-server", "xllamacpp")]
            except InvalidParameters:
                continue
            paths = [
                *paths_of(name),
                "model.path",
                "model_alias",
                "hostnames",
                "port",
                "fit_params",
                "endpoint_metrics",
            ]
            cases.append((commands[0].argv, json.loads(*commands[1].argv), paths))
            names.append((name, value))
    answers, _ = parsed(cases)
    differing = {
        key: (by_flags, by_document)
        for key, (by_flags, by_document) in zip(names, answers, strict=True)
        if by_flags is None or by_flags != by_document
    }
    assert differing == {}
    assert {name for name, _ in names} == ATTRIBUTES.keys()


def test_flags_that_have_no_attribute_are_flags_of_the_parser():
    """Every other flag, short ones too, is taken by the real parser."""
    cases = []
    for name, parameter in ENGINE.parameters.items():
        value = NAMES_REAL_THINGS.get(name, two_values(ENGINE, parameter)[0])
        argv = ENGINE.command(launch("llama-server", {**_companions(name), name: value})).argv
        for flag in parameter.flags:
            spelled = [flag if word == parameter.flags[0] else word for word in argv]
            if flag in spelled:
                cases.append((spelled, None, []))
    answers, said = parsed(cases)
    assert [case[0] for case, (by_flags, _) in zip(cases, answers, strict=True) if by_flags is None] == [], said


def _companions(name):
    return {"n_batch": 4096} if name == "n_ubatch" else {}


def test_off_flags_switch_off():
    cases, names = [], []
    for name, parameter in ENGINE.parameters.items():
        for flag in parameter.off_flags:
            on = [word for word in ENGINE.command(launch("llama-server", {})).argv if word not in parameter.flags]
            cases.append(
                ([*on, flag], json.loads(*ENGINE.command(launch("xllamacpp", {name: False})).argv), paths_of(name))
            )
            names.append(flag)
    answers, _ = parsed(cases)
    assert {flag: pair for flag, pair in zip(names, answers, strict=True) if pair[0] != pair[1]} == {}


def test_removed_flags_are_told_by_the_parser_too():
    """What the catalogue calls gone is gone."""
    names = [name for name in llamacpp_parameters.GONE if name != "defrag_thold"]
    answers, _ = parsed([(["--model", "m", f"--{name.replace('_', '-')}", "1"], None, []) for name in names])
    assert [by_flags for by_flags, _ in answers] == [None] * len(names)


def test_every_default_is_the_real_one():
    """Attributes as they come, through the enum where there is one; where no value is fixed the catalogue says none."""
    wrong = {}
    for name, attribute in ATTRIBUTES.items():
        parameter = ENGINE.parameters[name]
        if parameter.default is None or isinstance(attribute, Cores):
            continue
        real = xllamacpp.CommonParams()
        for part in attribute.path.split("."):
            real = getattr(real, part)
        stated = attribute.write(parameter.default)
        if isinstance(stated, str) and attribute.enum:
            stated = getattr(xllamacpp, attribute.enum)[stated.partition(".")[2]]
        if stated != (pytest.approx(real) if isinstance(real, float) else real):
            wrong[name] = (stated, real)
    assert wrong == {}


def test_the_defaults_of_llama_server_differ_where_the_catalogue_says_so():
    """Its parser starts from another number of slots: -1, decided at start."""
    [[by_flags, _]], _ = parsed(
        [(["--model", "m.gguf"], None, ["n_parallel", "warmup", "fit_params", "endpoint_slots"])]
    )
    assert by_flags == {"n_parallel": "-1", "warmup": "True", "fit_params": "True", "endpoint_slots": "True"}
    assert ENGINE.parameters["n_parallel"].program_defaults == {"llama-server": None}
    assert all(ENGINE.parameters[name].default in (True, False) for name in ALWAYS)


class Started:
    """A real server by the launcher, until it is ready or ended."""

    def __init__(self, document):
        self.process = subprocess.Popen(
            [sys.executable, LAUNCHER, document], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
        )  # fmt: skip
        self.log, self.url = [], None
        for line in self.process.stdout:
            self.log.append(line.rstrip("\n"))
            if line.startswith("READY "):
                self.url = line.split()[1]
                break
        self.rest = threading.Thread(target=self._read_on, daemon=True)
        self.rest.start()

    def _read_on(self):
        """The engine writes its log by a thread of its own: its last words may come after it is ready."""
        for line in self.process.stdout:
            self.log.append(line.rstrip("\n"))

    def get(self, path):
        host, port = self.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        return json.loads(answer.partition(b"\r\n\r\n")[2])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=20)
        self.rest.join(20)
        self.process.stdout.close()


def answers_of(server):
    return {probe.name: server.get(probe.path) for probe in ENGINE.probes}


@pytest.mark.parametrize(
    ("params", "differences"),
    [
        ({"n_ctx": 4096, "n_parallel": 4}, ()),
        ({"n_ctx": 2048, "n_parallel": 2, "kv_unified": True, "n_threads": 1}, ()),
        ({"n_ctx": 2048, "n_parallel": 3}, ("n_ctx: asked for 2048, runs with 2304 (rounded to 768 per slot)",)),
        (
            {"n_ctx": 16384, "n_parallel": 2},
            (
                "n_ctx: asked for 16384, runs with 8192 (each slot is capped to the 4096 tokens the model was trained for)",
            ),
        ),
        ({"n_ctx": 0, "n_parallel": 1}, ()),
    ],
)
def test_what_a_real_server_runs_with_is_read_back_and_compared(params, differences, tiny_gguf):
    """Slots, context and threads as asked; rounding and capping are told, in words."""
    with Started(*ENGINE.command(launch("xllamacpp", params, model=str(tiny_gguf), port=0)).argv) as server:
        until = time.monotonic() + 20
        while True:  # its last words may come after its first answer
            told = ENGINE.effective(answers_of(server), server.log)
            if effective.differences(params, told) == differences or time.monotonic() > until:
                break
            time.sleep(0.1)
    assert told["served_name"] == "tiny"
    assert told["n_ctx_train"] == 4096
    assert told["n_parallel"] == params["n_parallel"]
    assert effective.differences(params, told) == differences
    without_log = ENGINE.effective({"props": {"total_slots": params["n_parallel"]}}, ())
    assert without_log == {"n_parallel": params["n_parallel"]}


def broken(folder, tiny, damage):
    path = folder / f"{damage}.gguf"
    match damage:
        case "missing":
            return path
        case "junk":
            path.write_bytes(b"x" * 5000)
        case "cut-in-the-head":
            path.write_bytes(tiny.read_bytes()[:3000])
        case "half":
            path.write_bytes(tiny.read_bytes()[: tiny.stat().st_size // 2])
    return path


@pytest.mark.parametrize(
    ("damage", "name", "words"),
    [
        ("missing", "model-not-found", "failed to open GGUF file"),
        ("junk", "model-corrupt", "invalid magic characters"),
        ("cut-in-the-head", "model-corrupt", "failed to read key-value pairs"),
        ("half", "model-corrupt", "is not within the file bounds"),
    ],
)
def test_a_model_that_cannot_be_loaded_has_its_class(damage, name, words, tiny_gguf, tmp_path):
    """The real server's own line is the reason; searching on would not help."""
    with Started(json.dumps({"model.path": str(broken(tmp_path, tiny_gguf, damage)), "port": 0})) as server:
        code = server.process.wait(timeout=20)
    failure = ENGINE.classify(server.log, code)
    assert (failure.name, failure.kind) == (name, "configuration")
    assert words in failure.reason
    assert not failure.reason[0].isdigit()
    assert failure.hint


@pytest.mark.parametrize(
    ("document", "name", "words"),
    [
        ({"n_parallel": 300}, "bad-argument", "n_seq_max must be <= 256"),
        ({"n_ctx": -5}, "bad-argument", "n_ctx_seq == 0"),
        (
            {
                "cache_type_v": "ggml_type.GGML_TYPE_Q8_0",
                "flash_attn_type": "llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED",
            },
            "bad-argument",
            "quantized V cache requires flash_attn",
        ),
        ({"n_paralel": 3}, "bad-argument", "n_paralel"),
        ({"n_ctx": "2048"}, "bad-argument", "expected int, got str"),
        ({"n_batch": 0}, "aborted", "GGML_ASSERT"),
    ],
)
def test_parameters_that_the_rules_forbid_fail_as_they_say(document, name, words, tiny_gguf):
    """Past the rules (the documents are made by hand), each has its class: taught to the search, not retried."""
    with Started(json.dumps({"model.path": str(tiny_gguf), "port": 0, **document})) as server:
        log = [*server.log, *(server.process.stdout if server.url is None else ())]
        code = server.process.wait(timeout=60)
    failure = ENGINE.classify(log, code)
    assert (failure.name, failure.kind) == (name, "configuration")
    assert words in failure.reason


def test_a_port_in_use_is_no_fault_of_the_parameters(tiny_gguf):
    """It is infrastructure: tried again, not taught."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = ENGINE.command(launch("xllamacpp", {}, model=str(tiny_gguf), port=taken.getsockname()[1]))
        with Started(*command.argv) as server:
            code = server.process.wait(timeout=20)
    failure = ENGINE.classify(server.log, code)
    assert (failure.name, failure.kind) == ("port-in-use", "infrastructure")
