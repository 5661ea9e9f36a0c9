"""One set of weights of every repository, never half a set, and nothing else left out: by the file lists of real kinds of repositories."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.errors import InvalidInput
from lading.spec.pull import Choices
from lading.spec.ref import LocalRef, SourceRef
from lading.weights import forms, selection
from lading.weights.listing import Entry, listing

REF = SourceRef(scheme="s3", location="models/one")
SMALL = (
    "README.md", "LICENSE", ".gitattributes", "config.json", "generation_config.json", "tokenizer.json",
    "tokenizer_config.json", "special_tokens_map.json",
)  # fmt: skip


def shards(stem, count, suffix, *, variant=""):
    return [f"{stem}{variant}-{number:05}-of-{count:05}{suffix}" for number in range(1, count + 1)]


SAFE = [*shards("model", 4, ".safetensors"), "model.safetensors.index.json"]
BIN = [*shards("pytorch_model", 2, ".bin"), "pytorch_model.bin.index.json"]

# Name → files that are taken, files that are left out.
REPOSITORIES = {
    "llama 3": (
        [*SMALL, "USE_POLICY.md", *SAFE],
        ["original/consolidated.00.pth", "original/params.json", "original/tokenizer.model"],
    ),
    "llama 2": ([*SMALL, "LICENSE.txt", *SAFE], BIN),
    "mistral with consolidated": ([*SMALL, "params.json", "tokenizer.model.v3", *SAFE], ["consolidated.safetensors"]),
    "mistral large": (
        [*SMALL, "params.json", *SAFE],
        [*shards("consolidated", 3, ".safetensors"), "consolidated.safetensors.index.json"],
    ),
    "mistral alone": (["params.json", "tekken.json", "consolidated.safetensors", "README.md"], []),
    "mixtral": ([*SMALL, *SAFE], [f"consolidated.{number:02}.pt" for number in range(8)]),
    "bert": (
        [*SMALL, "model.safetensors", "vocab.txt"],
        ["pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "rust_model.ot", "model.onnx", "coreml/x.mlpackage/w.bin"],
    ),
    "bert without safetensors": ([*SMALL, "pytorch_model.bin"], ["tf_model.h5", "flax_model.msgpack"]),
    "tensorflow and flax": ([*SMALL, "tf_model.h5", "flax_model.msgpack"], []),
    "sharded and single": ([*SMALL, *SAFE], ["model.safetensors"]),
    "precisions": (
        [*SMALL, "model.safetensors"],
        ["model.fp16.safetensors", *shards("model", 2, ".safetensors", variant=".bf16"), "model.safetensors.index.bf16.json"],
    ),
    "one precision in two forms": ([*SMALL, "model.fp16.safetensors"], ["pytorch_model.fp16.bin"]),
    "gpt-oss": ([*SMALL, "chat_template.jinja", *SAFE], ["metal/model.bin", "original/model.safetensors", "original/dtypes.json"]),
    "gemma with gguf": ([*SMALL, *SAFE], ["gemma-7b.gguf"]),
    "gguf": (
        ["README.md", "config.json", "Llama-3.2-1B-Instruct-Q4_K_M.gguf", "imatrix.dat"],
        [f"Llama-3.2-1B-Instruct-{name}.gguf" for name in ("IQ2_M", "Q2_K", "Q3_K_XL", "Q4_0", "Q5_K_S", "Q6_K_L", "Q8_0", "f16")],
    ),
    "gguf in folders": (
        ["README.md", *shards("Q4_K_M/Big-Q4_K_M", 3, ".gguf")],
        [*shards("Q8_0/Big-Q8_0", 5, ".gguf"), *shards("BF16/Big-BF16", 9, ".gguf"), "UD-Q4_K_XL/Big-UD-Q4_K_XL.gguf"],
    ),
    "gguf with dots and a projector": (
        ["gemma-3-4b-it.Q4_K_M.gguf", "mmproj-F16.gguf"],
        ["gemma-3-4b-it.Q8_0.gguf", "gemma-3-4b-it.BF16.gguf", "mmproj-F32.gguf", "mmproj-BF16.gguf"],
    ),
    "two gguf models": (["small-q8_0.gguf", "large-q8_0.gguf"], []),
    "one gguf": (["model.gguf", "README.md"], []),
    "adapter": (["adapter_config.json", "adapter_model.safetensors", "README.md"], ["adapter_model.bin"]),
    "sentence-transformers": (
        [*SMALL, "modules.json", "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors",
         "sentence_bert_config.json", "model.safetensors", "train_script.py"],
        ["pytorch_model.bin", "2_Dense/pytorch_model.bin", "tf_model.h5", "rust_model.ot", "onnx/model.onnx",
         "onnx/model_O1.onnx", "openvino/openvino_model.bin", "openvino/openvino_model.xml"],
    ),
    "diffusers": (
        ["README.md", "model_index.json", "scheduler/scheduler_config.json", "tokenizer/vocab.json", "unet/config.json",
         "unet/diffusion_pytorch_model.safetensors", "vae/config.json", "vae/diffusion_pytorch_model.safetensors",
         "text_encoder/config.json", "text_encoder/model.safetensors", "lora_style.safetensors",
         "vae_decoder/config.json", "vae_decoder/model.onnx"],
        ["unet/diffusion_pytorch_model.fp16.safetensors", "unet/diffusion_pytorch_model.bin",
         "unet/diffusion_pytorch_model.non_ema.bin", "unet/diffusion_pytorch_model.non_ema.safetensors",
         "vae/diffusion_pytorch_model.fp16.bin", "text_encoder/pytorch_model.bin", "text_encoder/flax_model.msgpack",
         "text_encoder/openvino_model.bin", "text_encoder/model.onnx", "v1-5-pruned.safetensors", "v1-5-pruned.ckpt"],
    ),
    "sklearn": (["model.joblib", "README.md", "requirements.txt"], []),
    "training leftovers": ([*SMALL, "model.safetensors", "optimizer.pt", "training_args.bin", "checkpoint-500/optimizer.pt"], []),
    "names of nobody": (["weights.safetensors", "weights.bin", "weights.fp16.safetensors", "config.json"], []),
    "no configuration": (["model.safetensors", "pytorch_model.bin"], []),
    "half a set": ([*SMALL, *SAFE[:2], *SAFE[-1:], *BIN], []),
    "shards without an index": ([*SMALL, *SAFE[:-1], *BIN], []),
    "two kinds of shards": ([*SMALL, *SAFE, *shards("model", 2, ".safetensors")], []),
    "ctranslate": (["config.json", "model.bin", "vocabulary.json"], []),
}  # fmt: skip
SIZES = {"v1-5-pruned.safetensors": 7000, "v1-5-pruned.ckpt": 7000, "lora_style.safetensors": 50, "README.md": 1}


def listed(paths):
    return listing(REF, "one", [Entry(path=path, size_bytes=SIZES.get(path, 1000), etag=path) for path in paths])


def taken(chosen):
    return {entry.path for entry in chosen.listing.entries}


@pytest.mark.parametrize("name", REPOSITORIES)
def test_one_set_is_taken_and_the_rest_comes(name):
    keep, leave = REPOSITORIES[name]
    found = listed([*keep, *leave])
    chosen = selection.choose(found, Choices())
    assert taken(chosen) == set(keep)
    assert {entry.path for entry in chosen.left_out} == set(leave)
    assert chosen.bytes_saved == sum(SIZES.get(path, 1000) for path in leave)
    assert bool(leave) == any("one set of weights is taken" in note for note in chosen.notes)


@pytest.mark.parametrize("name", REPOSITORIES)
def test_all_takes_all_and_leaves_the_revision_alone(name):
    found = listed([path for paths in REPOSITORIES[name] for path in paths])
    chosen = selection.choose(found, Choices(prefer="all"))
    assert (chosen.listing.entries, chosen.listing.revision) == (found.entries, found.revision)


@pytest.mark.parametrize("name", REPOSITORIES)
def test_what_is_left_out_makes_another_revision_and_choosing_again_nothing(name):
    found = listed([path for paths in REPOSITORIES[name] for path in paths])
    chosen = selection.choose(found, Choices())
    assert (chosen.listing.revision == found.revision) == (not chosen.left_out)
    again = selection.choose(chosen.listing, Choices())
    assert not again.left_out


@pytest.mark.parametrize(
    ("name", "prefer", "paths"),
    [
        ("llama 2", "bin", [*SMALL, "LICENSE.txt", *BIN]),
        ("llama 2", "safetensors", [*SMALL, "LICENSE.txt", *SAFE]),
        ("mistral with consolidated", "consolidated", [*SMALL, "params.json", "tokenizer.model.v3", "consolidated.safetensors"]),
        ("precisions", "safetensors:fp16", [*SMALL, "model.fp16.safetensors"]),
        ("gguf", "gguf:Q8_0", ["README.md", "config.json", "imatrix.dat", "Llama-3.2-1B-Instruct-Q8_0.gguf"]),
        ("gguf", "gguf:f16", ["README.md", "config.json", "imatrix.dat", "Llama-3.2-1B-Instruct-f16.gguf"]),
        ("gguf in folders", "gguf:ud-q4_k_xl", ["README.md", "UD-Q4_K_XL/Big-UD-Q4_K_XL.gguf"]),
        ("half a set", "bin", [*SMALL, *BIN]),
        ("tensorflow and flax", "flax", [*SMALL, "flax_model.msgpack"]),
    ],
)  # fmt: skip
def test_another_set_may_be_preferred(name, prefer, paths):
    found = listed([path for paths in REPOSITORIES[name] for path in paths])
    assert taken(selection.choose(found, Choices(prefer=prefer))) == set(paths)


def test_a_preferred_quantisation_replaces_the_weights_beside_it():
    found = listed([*SMALL, *SAFE, "gemma-Q4_K_M.gguf", "gemma-Q8_0.gguf"])
    assert taken(selection.choose(found, Choices(prefer="gguf:Q8_0"))) == {*SMALL, "gemma-Q8_0.gguf"}
    assert taken(selection.choose(found, Choices())) == {*SMALL, *SAFE}


def test_a_pipeline_is_taken_in_one_precision_where_it_has_it():
    found = listed([path for paths in REPOSITORIES["diffusers"] for path in paths])
    got = taken(selection.choose(found, Choices(prefer="safetensors:fp16")))
    assert "unet/diffusion_pytorch_model.fp16.safetensors" in got
    assert "unet/diffusion_pytorch_model.safetensors" not in got
    assert "vae/diffusion_pytorch_model.safetensors" in got


@pytest.mark.parametrize(
    ("name", "prefer", "said"),
    [
        ("llama 2", "gguf", "has whole sets of weights: bin, safetensors"),
        ("half a set", "safetensors", "has whole sets of weights: bin; only parts of safetensors"),
        ("sklearn", "bin", "has no sets of weights that are known by their names"),
        ("gguf", "gguf:Q9_9", "gguf:IQ2_M"),
        ("llama 2", "safetensor", "'safetensor' is no form of weights"),
        ("llama 3", "consolidated", "has whole sets of weights: safetensors"),
    ],
)
def test_what_is_preferred_and_not_there_is_refused_with_what_is(name, prefer, said):
    found = listed([path for paths in REPOSITORIES[name] for path in paths])
    with pytest.raises(InvalidInput) as caught:
        selection.choose(found, Choices(prefer=prefer))
    assert said in caught.value.message
    assert caught.value.hint


# ------------------------------------------------------------------------------------------------------------ patterns


def test_what_is_included_comes_with_the_licence_and_in_every_form():
    found = listed([*SMALL, *SAFE, *BIN])
    assert taken(selection.choose(found, Choices(include=("*.json", "*.bin")))) == {
        path for path in (*SMALL, *SAFE, *BIN) if path.endswith((".json", ".bin"))
    } | {"LICENSE", "README.md"}
    assert taken(selection.choose(found, Choices(include=("*.bin",), exclude=("LICENSE", "README*")))) == set(BIN[:-1])


def test_a_preference_holds_for_what_is_included():
    found = listed(["a-Q4_K_M.gguf", "a-Q8_0.gguf", "a-F16.gguf"])
    assert len(taken(selection.choose(found, Choices(include=("*Q*",))))) == 2
    assert taken(selection.choose(found, Choices(include=("*Q*",), prefer="gguf"))) == {"a-Q4_K_M.gguf"}


def test_a_pattern_that_ends_in_a_slash_is_a_folder():
    found = listed([*SMALL, "onnx/model.onnx", "onnx/deep/x.onnx"])
    assert taken(selection.choose(found, Choices(exclude=("onnx/",)))) == set(SMALL)


@pytest.mark.parametrize(
    "options", [{"include": ("*.gguf",)}, {"exclude": ("*",)}, {"include": ("*",), "exclude": ("*",)}]
)
def test_patterns_that_leave_nothing_are_refused(options):
    with pytest.raises(InvalidInput, match="leaves nothing of s3://models/one"):
        selection.choose(listed([*SMALL, *SAFE]), Choices(**options))


# ------------------------------------------------------------------------------------------------------------ warnings


def test_pickles_are_named():
    (said,) = selection.choose(listed(["config.json", *BIN, "a/optimizer.pt"]), Choices()).notes
    assert said.startswith(
        "a/optimizer.pt, pytorch_model-00001-of-00002.bin, pytorch_model-00002-of-00002.bin: pickles"
    )
    assert not selection.choose(listed([*SMALL, *SAFE]), Choices()).notes
    assert not selection.choose(listed(["config.json", "model.bin"]), Choices()).notes


def test_an_estimator_is_said_to_be_a_pickle_where_others_made_it():
    for ref, said in ((REF, 0), (LocalRef(path="x"), 0), (SourceRef(scheme="hf", location="acme/iris"), 1)):
        found = listing(ref, "iris", [Entry(path="model.joblib", size_bytes=1)])
        assert len(selection.choose(found, Choices()).notes) == said


def test_code_in_a_model_is_named_and_other_scripts_are_not():
    (said,) = selection.choose(listed([*SMALL, *SAFE, "modeling_x.py", "examples/run.py"]), Choices()).notes
    assert said.startswith("modeling_x.py: code of the model's author")
    assert not selection.choose(listed(["train.py", "model.onnx"]), Choices()).notes


def test_code_of_another_repository_is_named():
    config = {
        "auto_map": {"AutoConfig": "acme/code--configuration.C", "AutoModel": "modeling.M", "x": ["acme/code--t.T"]}
    }
    (said,) = selection.remote_code(config)
    assert "code in acme/code" in said
    assert not selection.remote_code({"auto_map": {"AutoModel": "modeling.M"}})
    assert not selection.remote_code({"auto_map": 3})


def test_what_only_the_bytes_tell_is_named_too():
    """Code elsewhere by the configuration, pickles that are not called so; nothing of it is believed to be well-formed."""
    files = {
        "config.json": b'{"auto_map": {"x": "acme/code--m.M"}}',
        "weights.bin": b"\x80\x04\x95",
        "model.bin": b"\0" * 9,
    }

    def told(**more):
        now = {**files, **more}
        sizes = {path: len(data) for path, data in now.items()}
        return selection.inside(sizes, lambda path, offset, count: now[path][offset : offset + count])

    code, pickled = told()
    assert "acme/code" in code
    assert pickled.startswith("weights.bin: pickles")
    assert told(**{"config.json": b"[" * 100_000}) == [pickled]
    assert told(**{"config.json": b"", "weights.bin": b""}) == []


@pytest.mark.parametrize(
    ("head", "answer"),
    [
        (b"\x80\x02}q", True),
        (b"\x80\x05\x95", True),
        (b"PK\x03\x04....", True),
        (b"GGUF", False),
        (b"", False),
        (b"\x80\xff", False),
    ],
)
def test_a_pickle_is_known_by_its_first_bytes(head, answer):
    assert forms.is_pickle(head) is answer


# ---------------------------------------------------------------------------------------------------------- properties

NAMES = st.sampled_from(
    [*SMALL, *SAFE, *BIN, "model.safetensors", "consolidated.safetensors", "consolidated.00.pth", "params.json",
     "model.fp16.safetensors", "tf_model.h5", "onnx/model.onnx", "original/consolidated.00.pth", "a-Q4_K_M.gguf", "a-Q8_0.gguf",
     *shards("a-F16", 2, ".gguf"), "mmproj-F16.gguf", "unet/config.json", "unet/diffusion_pytorch_model.safetensors",
     "unet/diffusion_pytorch_model.bin", "model_index.json", "pipeline.ckpt", "weights.bin", "x.py", "NOTICE", "odd\nname"]
)  # fmt: skip
PREFERENCES = st.sampled_from(["auto", "all", *forms.FORMS, "gguf:Q8_0", "safetensors:fp16"])


def _try(found, prefer):
    try:
        return selection.choose(found, Choices(prefer=prefer))
    except InvalidInput:
        return None


@given(st.sets(NAMES, min_size=1), PREFERENCES)
def test_only_weights_are_left_out_and_a_whole_set_stays(names, prefer):
    """Whatever lies there: what is left out is another form, nothing else; if anything is, one set is there in full."""
    found = listed(names)
    chosen = _try(found, prefer)
    if chosen is None:
        return
    kept, left = taken(chosen), {entry.path for entry in chosen.left_out}
    assert kept | left == names
    assert not kept & left
    weights = {path for place in forms.places(names) for one in place.sets for path in one.paths}
    beside = {path for place in forms.places(names) for path in place.beside}
    assert left <= weights | beside | {"pipeline.ckpt"}
    assert not {path for path in left if forms.is_kept(path) or path in SMALL}
    if left:
        assert any(one.whole and set(one.paths) <= kept for place in forms.places(names) for one in place.sets)


@given(st.sets(NAMES, min_size=1), PREFERENCES)
def test_a_set_is_taken_or_left_as_one(names, prefer):
    chosen = _try(listed(names), prefer)
    if chosen is None:
        return
    left = {entry.path for entry in chosen.left_out}
    for place in forms.places(names):
        whole = [one for one in place.sets if one.whole]
        cut = [one for one in whole if set(one.paths) & left and set(one.paths) - left]
        shared = {path for one in whole for path in one.paths if sum(path in other.paths for other in whole) > 1}
        assert all(set(one.paths) - left <= shared for one in cut)


@given(st.lists(st.text(max_size=12), min_size=1, unique=True), PREFERENCES)
def test_names_of_any_kind_are_no_reason_to_crash(names, prefer):
    _try(listed(names), prefer)


def test_many_models_and_claims_of_endless_shards_take_no_longer_than_their_names():
    """20,000 names: one look at each, whatever numbers stand in them."""
    models = [
        f"m{number}/{name}"
        for number in range(4_000)
        for name in ("config.json", "model.safetensors", "pytorch_model.bin")
    ]
    endless = [f"model.v{number}-00001-of-99999.safetensors" for number in range(4_000)]
    quantised = [f"x{number}-Q4_K_M-00001-of-99999.gguf" for number in range(4_000)]
    chosen = selection.choose(listed([*models, "config.json", *endless, *quantised]), Choices())
    assert len(chosen.left_out) == 4_000
