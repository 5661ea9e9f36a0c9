"""Command lines as flags: split, and a runtime's merged with ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.engines import flags
from lading.engines.base import Launch
from lading.engines.llamacpp import ENGINE as LLAMACPP
from lading.engines.sglang import ENGINE as SGLANG
from lading.engines.vllm import ENGINE as VLLM
from lading.errors import InvalidParameters


def ours(engine, program=0, **params):
    return engine.command(
        Launch(model="/mnt/models", served_name="m", host="0.0.0.0", port=8080, params=params, program=engine.programs[program])
    ).argv  # fmt: skip


def test_a_runtimes_flags_give_way_to_ours_by_any_spelling():
    """SGLang's runtime of a catalogue of stock runtimes, with aliases, both ways to write a value, and what only it says."""
    theirs = (
        "--model=$(MODEL_PATH)",
        "--port=30000",
        "--tensor-parallel-size",
        "8",
        "--mem-frac=0.9",
        "--enable-hicache",
        "--log-requests",
    )
    mine = ours(SGLANG, tp_size=2, enable_hierarchical_cache=True)
    merged = flags.merged(theirs, mine, SGLANG)
    assert merged.argv == ("--mem-frac=0.9", "--log-requests", *mine)
    assert merged.replaced == ("--model=$(MODEL_PATH)", "--port=30000", "--tensor-parallel-size 8", "--enable-hicache")
    assert merged.repeated == ()


def test_an_off_switch_is_the_same_flag():
    merged = flags.merged(
        ("--enable-prefix-caching", "-tp=4"), ours(VLLM, enable_prefix_caching=False, tensor_parallel_size=2), VLLM
    )
    assert merged.replaced == ("--enable-prefix-caching", "-tp=4")
    assert "--enable-prefix-caching" not in merged.argv


def test_the_model_is_one_whether_it_has_a_flag_or_not():
    """vLLM's is a word without a flag in ours, a flag in many runtimes; a part of a document goes with the whole."""
    theirs = ("--model", "/mnt/models", "--max_num_seqs=8", "--compilation-config.mode=3")
    merged = flags.merged(theirs, ours(VLLM, max_num_seqs=4, compilation_config={"mode": 2}), VLLM)
    assert merged.replaced == ("--model /mnt/models", "--max_num_seqs=8", "--compilation-config.mode=3")
    assert merged.argv[0] == "/mnt/models"


def test_llama_servers_short_flags_are_known():
    merged = flags.merged(
        ("-m", "/x.gguf", "-c", "4096", "-np", "2", "-a", "x", "--jinja"), ours(LLAMACPP, 1, n_ctx=8192), LLAMACPP
    )
    assert merged.replaced == ("-m /x.gguf", "-c 4096", "-a x")
    assert merged.argv[:3] == ("-np", "2", "--jinja")


def test_what_a_runtime_repeats_is_kept_and_told():
    merged = flags.merged(("--lora", "a", "--lora", "b", "--x", "-1"), ("--port", "1"))
    assert merged.argv == ("--lora", "a", "--lora", "b", "--x", "-1", "--port", "1")
    assert merged.repeated == ("--lora",)


@pytest.mark.parametrize(
    "word",
    [
        "exec vllm serve /mnt/models --port 8080",
        "--port=8080\n--model=/m",
        "python3 -m sglang.launch_server \\\n --tp 2",
    ],
)
def test_a_shell_line_is_refused_not_guessed(word):
    with pytest.raises(InvalidParameters, match="an argument of the runtime holds several"):
        flags.merged(("-c", word), ("--port", "1"))


def test_a_document_may_hold_what_looks_like_flags():
    theirs = ("--override", '{"note": "use --port 1"}', "--trailing\n")
    assert flags.merged(theirs, ("--port", "1")).argv == (*theirs, "--port", "1")


WORDS = st.lists(
    st.sampled_from(
        ["--a", "--b=1", "--b", "-c", "--", "-1", "x", "--tp-size=2", "--tensor-parallel-size", "--enable-metrics"]
    )
)


@given(theirs=WORDS, mine=WORDS)
def test_merging_twice_changes_nothing_and_loses_nothing_of_ours(theirs, mine):
    once = flags.merged(theirs, mine, SGLANG)
    assert once.argv[len(once.argv) - len(mine) :] == tuple(mine)
    again = flags.merged(once.argv[: len(once.argv) - len(mine)], mine, SGLANG)
    assert again.argv == once.argv
    assert again.replaced == ()


@given(WORDS)
def test_split_loses_no_word(words):
    assert tuple(word for flag in flags.split(words) for word in flag.words) == tuple(words)
