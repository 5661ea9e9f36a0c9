"""Help texts are read, command lines are held against them: golden texts, llama.cpp's real one, and argparse itself."""

import argparse
import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading.engines import help as helps
from lading.engines.help import Dialect, Option
from lading.engines.llamacpp_parameters import PARAMETERS
from lading.engines.sglang import ENGINE as SGLANG
from lading.engines.vllm import ENGINE as VLLM

HERE = Path(__file__).parent


def golden(name):
    return helps.read((HERE / "helps" / f"{name}.txt").read_text())


def named(options):
    return {name: option for option in options for name in option.names}


# -------------------------------------------------------------------------------------------------------------- reading


def test_vllms_groups_are_one_list():
    """Group titles, their text, bullet points and flags inside descriptions are no options."""
    known = named(golden("vllm"))
    assert len(golden("vllm")) == 20
    assert known["-asc"] is known["--api-server-count"]
    assert known["--kv-cache-dtype"].choices == ("auto", "bfloat16", "fp8", "fp8_e4m3", "fp8_e5m2", "fp8_inc")
    assert known["--no-enforce-eager"] == Option(
        names=("--enforce-eager", "--no-enforce-eager"), takes="nothing", default="False"
    )
    assert known["--served-model-name"].takes == "many"
    assert known["--dtype"].default == "auto"
    assert known["--compilation-config"].default == "{'mode': None, 'level': (1)}"


def test_sglangs_usage_is_not_read_twice():
    known = named(golden("sglang"))
    assert "--required-one" not in known
    assert known["--model"].names == ("--model-path", "--model")
    assert known["--lora-paths"].takes == "many"
    assert known["--model-checksum"].takes == "maybe"
    assert known["--disable-radix-cache"].takes == "nothing"
    assert known["--kv-cache-dtype"].choices == ("auto", "fp8_e5m2", "fp8_e4m3")


def test_llama_servers_columns_are_read():
    known = named(golden("llama-server"))
    assert len(golden("llama-server")) == 16
    assert known["--usage"].names == ("-h", "--help", "--usage")
    assert known["-ctk"].choices == ("f32", "f16", "bf16", "q8_0")
    assert known["-ctk"].default == "f16"
    assert known["-fa"].choices == ("on", "off", "auto")
    assert known["--poll"].choices == ()
    assert known["--override-tensor"].takes == "one"
    assert known["--tensor-split"].names == ("-ts", "--tensor-split")


def test_the_real_llama_server_knows_every_flag_of_our_catalogue():
    """Its own parser prints its own help: each option in it is read, and the catalogue's flags are among them."""
    pytest.importorskip("xllamacpp")
    ask = "import llama_parser; run = llama_parser.parser(); run and run(['--help'])"
    done = subprocess.run(
        [sys.executable, "-c", ask], cwd=HERE, capture_output=True, text=True, check=False, timeout=60
    )
    if not done.stdout:
        pytest.skip("this build of xllamacpp does not offer its parser")
    options = helps.read(done.stdout)
    begun = [line for line in done.stdout.splitlines() if line.startswith("-") and not line.startswith("-----")]
    assert len(options) == len(begun) > 200
    known = named(options)
    assert [flag for one in PARAMETERS.values() for flag in (*one.flags, *one.off_flags) if flag not in known] == []
    for name in ("flash_attn", "cache_type_k", "cache_type_v", "split_mode"):
        assert known[PARAMETERS[name].flags[0]].choices == PARAMETERS[name].choices


WORD = st.from_regex(r"[a-z][a-z0-9]{0,7}(-[a-z0-9]{1,6}){0,2}", fullmatch=True)
CHOICE = st.from_regex(r"[a-z0-9][a-z0-9_.]{0,8}", fullmatch=True)
KIND = st.one_of(
    st.just({"action": "store_true"}),
    st.just({"action": argparse.BooleanOptionalAction}),
    st.just({"type": int}),
    st.sampled_from([{"nargs": "+"}, {"nargs": "*"}, {"nargs": "?"}, {"nargs": 2}]),
    st.lists(CHOICE, min_size=2, max_size=5, unique=True).map(lambda some: {"choices": some}),
)
SAID = st.text(st.characters(codec="ascii", exclude_characters="%\r\n", categories=["L", "N", "P", "Z"]), max_size=120)


@st.composite
def parsers(draw):
    """An argparse parser of some options, and what each takes."""
    parser = argparse.ArgumentParser(prog=draw(WORD), exit_on_error=False)
    groups = [parser, parser.add_argument_group("Group:", "of - more\n--than one")]
    kinds = {}
    for name in draw(st.lists(WORD, min_size=1, max_size=8, unique=True)):
        if any(other in (f"no-{name}", name) or name == f"no-{other}" for other in kinds) or name in ("h", "help"):
            continue
        kind = draw(KIND)
        names = [f"--{name}", *([f"-{name[0].upper()}{name}"] if draw(st.booleans()) else [])]
        with contextlib.suppress(argparse.ArgumentError):
            draw(st.sampled_from(groups)).add_argument(*names, help=draw(SAID), **kind)
            kinds[name] = kind
    return parser, kinds


@settings(deadline=None)
@given(parsers())
def test_whatever_argparse_prints_is_read(made):
    """Every spelling, every choice, and whether it takes a value, of any parser."""
    parser, kinds = made
    known = named(helps.read(parser.format_help()))
    assert set(known) == {name for action in parser._actions for name in action.option_strings}
    for name, kind in kinds.items():
        assert known[f"--{name}"].choices == tuple(kind.get("choices", ()))
        assert (known[f"--{name}"].takes == "nothing") == ("action" in kind)


@settings(deadline=None)
@given(made=parsers(), data=st.data())
def test_what_argparse_would_make_of_a_flag_is_what_is_said(made, data):
    """Unknown, ambiguous and abbreviated flags are those that argparse refuses or expands, and the expansion is its own."""
    parser, kinds = made
    known = helps.read(parser.format_help())
    name = data.draw(st.sampled_from(sorted(kinds) or ["x"]))
    written = data.draw(
        st.just(f"--{name}")
        | WORD.map(lambda word: f"--{word}")
        | st.integers(1, 8).map(lambda n: f"--{name}"[: n + 2])
    )
    if "--help".startswith(written):
        return
    words = {None: ["1"], "+": ["1"], "*": [], "?": [], 2: ["1", "1"]}
    meant = kinds.get(name, {})
    values = meant["choices"][:1] if "choices" in meant else [] if "action" in meant else words[meant.get("nargs")]
    checked = helps.check(known, [written, *values])
    taken = accepted(parser, [written, *values])
    if checked.problems:
        assert taken is None
    elif taken is not None:
        assert accepted(parser, list(checked.argv)) == taken
        assert checked.argv[0] in named(known)


def accepted(parser, argv):
    """What the parser makes of *argv*; None where it refuses it."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            return vars(parser.parse_args(argv))
    except (argparse.ArgumentError, SystemExit):
        return None


@settings(deadline=None)
@given(
    st.text()
    | st.lists(
        st.sampled_from(["--a", "-", " ", "  ", "{", "}", "[", "]", ",", "=", "\n", "\t", "usage:", "...", "\x1b[1m"])
    ).map("".join)
)
def test_any_text_is_read_without_complaint(text):
    for option in helps.read(text):
        assert all(name.startswith("-") for name in option.names)


@pytest.mark.parametrize(
    "text",
    [
        "  --a {" + "x," * 3_000_000, "\n".join("--a" for _ in range(500_000)), "--x" * 1_000_000, "  --a  " + "(default: " * 400_000,
        "  --a" + ", --b" * 400_000, "--a" + " " * 3_000_000, "--a [" * 500_000, ("--a\n" + " " * 20 + "(default: (\n") * 50_000,
        "\n".join(f"--option-{number} N  (default: {number})" for number in range(50_000)),
    ],
    ids=range(9),
)  # fmt: skip
def test_a_hostile_text_is_cut_and_costs_little(text):
    """No text makes it slow; the timeout of the suite is the judge."""
    assert len(helps.read(text)) <= 5_000


# ------------------------------------------------------------------------------------------------------------- checking


def said(checked):
    return [one.message for one in (*checked.problems, *checked.notes)]


def test_our_command_for_another_version_is_told_what_that_version_lacks():
    """0.5.23's own command line, held against an older SGLang."""
    argv = SGLANG.command(launch(SGLANG, {"cuda_graph_max_bs_decode": 64, "tp_size": 2, "attn_dp_size": 2})).argv
    checked = helps.check(golden("sglang"), argv, helps.DIALECTS["python3 -m sglang.launch_server"])
    assert said(checked) == [
        "the program does not know --attn-dp-size; the nearest is --tp-size",
        "the program does not know --cuda-graph-max-bs-decode; the nearest is --cuda-graph-max-bs",
    ]
    assert checked.argv == argv


def test_abbreviations_are_written_out_and_ambiguous_ones_refused():
    argv = ("--model", "/m", "--mem-frac=0.8", "--cuda-graph-m", "8", "--tensor", "2", "--c", "1", "--enable")
    checked = helps.check(golden("sglang"), argv)
    assert checked.argv == (
        "--model", "/m", "--mem-fraction-static=0.8", "--cuda-graph-max-bs", "8", "--tensor-parallel-size", "2", "--c", "1", "--enable-metrics",
    )  # fmt: skip
    assert [one.problem for one in checked.problems] == ["ambiguous"]
    assert [one.meant for one in checked.notes] == ["--mem-fraction-static", "--cuda-graph-max-bs", "--tensor-parallel-size", "--enable-metrics"]  # fmt: skip
    assert checked.problems[0].message == (
        "--c is the beginning of --chunked-prefill-size, --crash-dump-folder, --cuda-graph-bs, --cuda-graph-max-bs: the program refuses it as ambiguous"
    )


def test_vllm_takes_underscores_documents_by_dots_and_short_flags_with_values():
    argv = (
        "/m",
        "--max_num_seqs",
        "8",
        "--compilation-config.mode=3",
        "-O.level",
        "1",
        "-O3",
        "-tp=2",
        "--hf-over.a",
        "1",
    )
    checked = helps.check(golden("vllm"), argv, helps.DIALECTS["vllm serve"])
    assert checked.problems == ()
    assert checked.argv[-2:] == ("--hf-overrides.a", "1")
    refused = helps.check(golden("vllm"), ("--max_num_seqs", "8"), Dialect())
    assert said(refused) == ["the program does not know --max_num_seqs; the nearest is --max-num-seqs"]


def test_llama_server_guesses_nothing():
    dialect = helps.DIALECTS["llama-server"]
    assert helps.check(golden("llama-server"), ("-c", "8", "--ctx_size", "8"), dialect).problems == ()
    assert said(helps.check(golden("llama-server"), ("--thread", "2", "--threads=2"), dialect)) == [
        "the program does not know --thread; the nearest is --threads",
        "the program does not know --threads=2; the nearest is --threads",
    ]


def test_values_that_the_program_lacks_are_told_with_the_nearest():
    checked = helps.check(
        golden("vllm"), ("/m", "--kv-cache-dtype", "fp8_e4m4", "--dtype=half", "--max-num-seqs", "-1")
    )
    assert said(checked) == [
        "--kv-cache-dtype takes one of auto, bfloat16, fp8, fp8_e4m3, fp8_e5m2, fp8_inc, not fp8_e4m4; the nearest is fp8_e4m3"
    ]
    assert said(helps.check(golden("llama-server"), ("-ctk", "zz"))) == [
        "-ctk takes one of f32, f16, bf16, q8_0, not zz"
    ]


def test_repeated_flags_are_noted_by_any_spelling():
    checked = helps.check(golden("sglang"), ("--tp-size", "1", "--port", "1", "--tensor-parallel-size", "2"))
    assert checked.problems == ()
    assert said(checked) == ["--tensor-parallel-size is given 2 times: most programs take the last"]


@pytest.mark.parametrize("engine", [SGLANG, VLLM], ids=lambda engine: engine.name)
def test_our_own_commands_pass_the_parser_they_were_made_for(engine):
    """The catalogue written as a real argparse parser takes every flag that `command` writes, and so does the check of its help."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("model_tag", nargs="?")
    for words in (["--model-path"], ["--served-model-name"], ["--host"], ["--port"]):
        parser.add_argument(*words, help="of the launch")
    for one in engine.parameters.values():
        kind = {"action": "store_true"} if one.kind == "bool" else {"nargs": "+"} if one.many else {}
        if one.kind == "choice":
            kind["choices"] = [str(choice) for choice in one.choices]
        parser.add_argument(*one.flags, *one.off_flags, **kind)
    known = helps.read(parser.format_help())
    assert set(named(known)) == {name for action in parser._actions for name in action.option_strings}
    for name, one in engine.parameters.items():
        value = {"bool": True, "int": max(1, int(one.minimum or 1)), "float": 0.5, "json": {"a": 1}, "str": "a"}.get(
            one.kind
        )
        value = one.choices[0] if one.kind == "choice" else value
        with contextlib.suppress(ValueError):
            argv = _launched(engine, {name: [value] if one.many else value})
            checked = helps.check(known, argv)
            assert (checked.problems, checked.notes, checked.argv) == ((), (), argv)
            assert accepted(parser, list(argv)) is not None


def _launched(engine, params):
    from lading.errors import InvalidParameters

    try:
        return engine.command(launch(engine, params)).argv
    except InvalidParameters as error:
        raise ValueError(str(error)) from error


def launch(engine, params):
    from lading.engines.base import Launch

    return Launch(model="/m", served_name="m", host="0.0.0.0", port=8000, params=params, program=engine.programs[0])


# ------------------------------------------------------------------------------------------------------------- versions


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("docker.io/vllm/vllm-openai:v0.33.0", "0.33.0"), ("lmsysorg/sglang:v0.5.23-cu129-amd64", "0.5.23"), ("a.example:5000/x/vllm:0.10.2", "0.10.2"),
        ("vllm/vllm-openai:latest", None), ("vllm/vllm-openai", None), ("a.example:5000/vllm", None), ("vllm@sha256:" + "0" * 64, None),
        ("vllm:v0.33.0@sha256:" + "0" * 64, "0.33.0"), ("quay.io/x/vllm:rhoai-2.25", None), ("x:v0.33.0rc1", None),
    ],
)  # fmt: skip
def test_a_tag_tells_a_version_or_nothing(image, version):
    assert helps.version_of_image(image) == version


@pytest.mark.parametrize(
    ("told", "same"),
    [("0.33.0", True), ("v0.33.0", True), ("0.33.0+cu129", True), ("0.33.0.post1", True), ("0.33.1", False), ("0.33", False), ("0.33.0rc1", False), (None, False), ("", False)],
)  # fmt: skip
def test_a_catalogue_is_of_one_version(told, same):
    assert helps.is_of_version(VLLM, told) is same


def test_a_finding_is_plain():
    """What is found can be told as JSON."""
    [finding] = helps.check(golden("vllm"), ("--max-num-seq",), Dialect(abbreviates=False)).problems
    assert json.loads(json.dumps([finding.problem, finding.flag, finding.meant])) == [
        "unknown",
        "--max-num-seq",
        "--max-num-seqs",
    ]
