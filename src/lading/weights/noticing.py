"""Which server would notice that a file is not what it should be: most say nothing, and answer differently.

The rules are those by which servers find and load files: KServe's sklearnserver and xgbserver count them, vLLM and its kin
follow the index, headers are checked, tensors never are.
"""

from collections.abc import Collection

from lading.weights.formats import SAFETENSORS_INDEX

_PICKLES = (".joblib", ".pkl", ".pickle")
_BOOSTERS = (".bst", ".ubj", ".json")
_TENSORS = (".safetensors", ".gguf", ".bin", ".pt", ".pth")
_TALK = (".md", ".txt", ".gitattributes", ".png", ".jpg", ".pdf")
#: What servers of Hugging Face models read at the top where they find it.
_READ_WHEN_THERE = (
    "generation_config.json", "tokenizer", "special_tokens_map.json", "added_tokens.json", "chat_template", "vocab",
    "merges.txt", "preprocessor_config.json", "processor_config.json", "adapter_config.json",
)  # fmt: skip
NOBODY = "no server notices"


def noticed(problem: str, path: str, *, kind: str, known: Collection[str]) -> str:
    """Who would notice *problem* (as an event says it) of the file at *path*, of a model of format *kind* with the *known* files."""
    if problem == "extra":
        return _extra(path, kind, known)
    if problem == "sha256":
        return _changed(path)
    if _is_talk(path):
        return "no server reads it"
    if problem == "size":
        return _cut(path)
    return "servers that need it fail at their next start; one that runs may go on for a while"


def _changed(path: str) -> str:
    """Its length is right, bytes in it are not."""
    if path.endswith(_TENSORS):
        return f"{NOBODY}, unless it is the header that changed: tensors are loaded as they are, and answers differ"
    if path.endswith(_PICKLES):
        return "loading it may fail; where it does not, no server notices, and answers differ"
    if _is_talk(path):
        return "no server reads it"
    return "a server may fail at its next start, or go on and answer differently"


def _cut(path: str) -> str:
    """It is not as long as it was."""
    if path.endswith((".safetensors", ".gguf")):
        return "servers fail at their next start: its header says how long it is"
    if path.endswith(_PICKLES) or path.endswith(_TENSORS):
        return "servers fail at their next start: it ends too soon, or too late"
    return "a server may fail at its next start, or go on and answer differently"


def _extra(path: str, kind: str, known: Collection[str]) -> str:
    if "/" in path:
        return "no server reads it"
    if kind == "sklearn":
        return _beside_a_pickle(path)
    if kind == "huggingface":
        return _beside_a_transformer(path, known)
    if path.endswith(_BOOSTERS) and any(other.endswith(_BOOSTERS) for other in known):
        return "KServe's xgbserver and lgbserver refuse to start: they want exactly one such file"
    return "no server reads it"


def _beside_a_pickle(path: str) -> str:
    if path.endswith(_PICKLES):
        return "KServe's sklearnserver refuses to start: it wants exactly one model file, and counts hidden ones"
    if path == "model-settings.json":
        return "MLServer obeys it rather than what it was told"
    return "no server reads it"


def _beside_a_transformer(path: str, known: Collection[str]) -> str:
    if path.endswith(".safetensors"):
        if SAFETENSORS_INDEX in known:
            return "no server reads it: the index names the others"
        return "vLLM loads every *.safetensors where no index names them: it may take tensors from it"
    if path.startswith(_READ_WHEN_THERE):
        return "vLLM, SGLang and others read it when it is there: answers may differ"
    if path.endswith(".py"):
        return "it runs where a server is started with --trust-remote-code and config.json names it"
    return "no server reads it"


def _is_talk(path: str) -> bool:
    name = path.rpartition("/")[2]
    return (name.lower().endswith(_TALK) and not name.startswith(_READ_WHEN_THERE)) or name.upper().startswith(
        "LICENSE"
    )
