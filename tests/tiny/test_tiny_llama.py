"""The tiny model is what a real one is: other readers agree, and llama.cpp computes what the safetensors say."""

import hashlib
import importlib.util
import json

import numpy as np
import pytest
from tests.backends.places import UncheckedLlamaCpp
from tests.testbed import require

from lading.backends import asking
from lading.backends.process import ProcessBackend
from lading.errors import MissingExtra
from lading.events import ignore
from lading.flows import serve as flow
from lading.ports.backend import ServeRequest
from lading.spec.study import BackendChoice
from lading.testing import tiny_llama, tiny_tokenizer
from lading.testing.tiny_llama import PRESETS
from lading.weights import formats, gguf


def reader(folder):
    return lambda path, offset, count: (folder / path).read_bytes()[offset : offset + count]


def sizes(folder):
    return {path.name: path.stat().st_size for path in folder.iterdir()}


@pytest.mark.parametrize("shards", [1, 2, 3, 7])
@pytest.mark.parametrize("dtype", ["bf16", "f16", "f32"])
def test_the_huggingface_folder_is_whole_and_others_read_it(tmp_path, shards, dtype):
    from safetensors import safe_open

    folder = tiny_llama.write_huggingface(tmp_path / "m", shards=shards, dtype=dtype)
    found = formats.check(sizes(folder), reader(folder))
    assert (found.kind, len(found.weights), found.tensors) == ("huggingface", shards, 3 + 9 * PRESETS["2m"].layers)
    for path in found.weights:
        with safe_open(folder / path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118 - not a dict
                assert file.get_slice(name).get_dtype() == dtype.upper()


def test_the_gguf_file_is_whole_and_has_the_parameters_of_its_name(tmp_path):
    path = tiny_llama.write_gguf(tmp_path / "m.gguf")
    head = gguf.head("m.gguf", path.stat().st_size, reader(tmp_path))
    parameters = sum(int(np.prod(tensor.shape)) for tensor in head.tensors.values())
    assert parameters == 1_836_160
    assert head.metadata["tokenizer.ggml.tokens"].length == head.metadata["llama.vocab_size"] == 4096


@pytest.mark.parametrize("outtype", ["f32", "f16", "bf16", "q8_0", "q4_0"])
def test_the_same_arguments_give_the_same_bytes_and_another_seed_does_not(tmp_path, outtype):
    digests = [
        hashlib.sha256(tiny_llama.write_gguf(tmp_path / name, outtype=outtype, seed=seed).read_bytes()).digest()
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert digests[0] == digests[1] != digests[2]


def test_without_numpy_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "numpy", None)
    with pytest.raises(MissingExtra) as raised:
        tiny_llama.write_huggingface(tmp_path / "m")
    assert raised.value.hint == 'pip install "lading[demo]"'
    assert not (tmp_path / "m").exists()


def test_every_token_spells_something_once_and_merges_make_known_tokens():
    tokenizer = tiny_tokenizer.trained(4096)
    tokens = set(tokenizer.tokens)
    assert len(tokens) == len(tokenizer.tokens) == 4096
    assert all(left + right in tokens for left, right in tokenizer.merges)
    assert len(set(tokenizer.merges)) == len(tokenizer.merges)
    assert len(tokenizer.plain) > 3000


# ---------------------------------------------------------------------------------------------------------- against llama.cpp


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    """The same weights in float32, in both forms."""
    require("engine", importlib.util.find_spec("xllamacpp"), "xllamacpp is not installed")
    folder = tmp_path_factory.mktemp("exact")
    tiny_llama.write_huggingface(folder / "hf", dtype="f32")
    return folder / "hf", tiny_llama.write_gguf(folder / "m.gguf", outtype="f32")


async def ask(home, model, path, body, **params):
    request = ServeRequest(name="one", model=str(model), served_name="tiny", engine=UncheckedLlamaCpp(), params=params)
    backend = ProcessBackend(BackendChoice(), home=home)
    async with (
        flow.serving(backend, request, within_s=20, emit=ignore) as served,
        asking.Client(served.ready.endpoint.base_url) as client,
    ):
        return (await client.post(path, body, within_s=30)).document


@pytest.mark.real("engine")
async def test_llamacpp_computes_what_the_safetensors_say(exact, tmp_path):
    """Greedy tokens of a plain numpy forward pass equal the server's: q and k are permuted right, the norm is right."""
    folder, model = exact
    weights = load(folder)
    ids = [72, 101, 300, 500, 42, 1000, 77, 2000]
    expected = greedy(weights, ids, 12)
    body = {
        "prompt": ids,
        "max_tokens": 12,
        "temperature": 0,
        "n_probs": 1,
        "return_tokens": True,
        "cache_prompt": False,
    }
    answer = await ask(tmp_path, model, "/completion", body | {"n_predict": 12})
    assert answer["tokens"] == expected


@pytest.mark.real("engine")
async def test_no_answer_ends_early_or_emits_half_a_character(tiny_gguf, tmp_path):
    """Without `ignore_eos`, at temperature 2: every token is printable ASCII and every answer has its full length."""
    body = {"prompt": "The", "n_predict": 400, "temperature": 2.0, "seed": 1, "return_tokens": True}
    answer = await ask(tmp_path, tiny_gguf, "/completion", body)
    assert len(answer["tokens"]) == 400
    assert set(answer["tokens"]) <= set(tiny_tokenizer.trained(4096).plain)
    assert answer["content"].isascii()


@pytest.mark.real("engine")
async def test_the_two_tokenizers_cut_text_alike(exact, tmp_path):
    """llama.cpp's ids for a text are those of the merges in ``tokenizer.json``."""
    folder, model = exact
    text = "The quick brown fox, isn't it? 123 + 45\n\tdef main():"
    document = json.loads((folder / "tokenizer.json").read_text())["model"]
    answer = await ask(tmp_path, model, "/tokenize", {"content": text, "add_special": False})
    assert answer["tokens"] == encoded(text, document["vocab"], document["merges"])


@pytest.mark.real("engine")
async def test_a_chat_follows_the_template(tiny_gguf, tmp_path):
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}
    answer = await ask(tmp_path, tiny_gguf, "/v1/chat/completions", body)
    assert answer["usage"]["completion_tokens"] == 5
    assert answer["choices"][0]["finish_reason"] == "length"


def load(folder):
    from safetensors.numpy import load_file

    return load_file(folder / "model.safetensors")


def greedy(weights, ids, count):
    ids = list(ids)
    for _ in range(count):
        ids.append(int(np.argmax(forward(weights, ids)[-1])))
    return ids[-count:]


def forward(weights, ids):
    """Logits of a Llama in plain numpy, rotary halves as Hugging Face has them."""
    shape = PRESETS["2m"]
    x = weights["model.embed_tokens.weight"][ids]
    positions = np.arange(len(ids))
    half = shape.head_dim // 2
    angles = positions[:, None] / tiny_llama.ROPE_THETA ** (np.arange(half) / half)
    cos, sin = np.tile(np.cos(angles), 2)[:, None], np.tile(np.sin(angles), 2)[:, None]
    mask = np.triu(np.full((len(ids), len(ids)), -np.inf), 1)

    def norm(x, name):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + tiny_llama.NORM_EPSILON) * weights[name]

    def rotated(x):
        turned = np.concatenate([-x[..., half:], x[..., :half]], axis=-1)
        return x * cos + turned * sin

    for layer in range(shape.layers):
        block = f"model.layers.{layer}"
        h = norm(x, f"{block}.input_layernorm.weight")
        q, k, v = (
            (h @ weights[f"{block}.self_attn.{part}_proj.weight"].T).reshape(len(ids), heads, shape.head_dim)
            for part, heads in (("q", shape.heads), ("k", shape.kv_heads), ("v", shape.kv_heads))
        )
        q, k = rotated(q), rotated(k)
        k, v = (np.repeat(part, shape.heads // shape.kv_heads, axis=1) for part in (k, v))
        scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(shape.head_dim) + mask
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        mixed = np.einsum("hqk,khd->qhd", shares, v).reshape(len(ids), -1)
        x = x + mixed @ weights[f"{block}.self_attn.o_proj.weight"].T
        h = norm(x, f"{block}.post_attention_layernorm.weight")
        gate = h @ weights[f"{block}.mlp.gate_proj.weight"].T
        up = h @ weights[f"{block}.mlp.up_proj.weight"].T
        x = x + (gate / (1 + np.exp(-gate)) * up) @ weights[f"{block}.mlp.down_proj.weight"].T
    return norm(x, "model.norm.weight") @ weights["lm_head.weight"].T


def encoded(text, vocab, merges):
    """BPE by the book: the best-ranked pair of a word, until none is left."""
    ranks = {tuple(merge.split(" ")): rank for rank, merge in enumerate(merges)}
    ids = []
    for word in tiny_tokenizer._WORD.findall(text):
        parts = [tiny_tokenizer._BYTE_SYMBOLS[byte] for byte in word.encode()]
        while len(parts) > 1:
            at = min(range(len(parts) - 1), key=lambda i: ranks.get((parts[i], parts[i + 1]), 10**9))
            if (parts[at], parts[at + 1]) not in ranks:
                break
            parts[at : at + 2] = ["".join(parts[at : at + 2])]
        ids += [vocab[part] for part in parts]
    return ids
