"""What the beginnings of files show without reading the rest: heads that do not parse, an index that names other tensors."""

from collections.abc import Mapping

from lading.errors import FormatRefused
from lading.weights import formats, gguf, safetensors
from lading.weights.formats import Files, Read


def problems(kind: str, files: Files, read: Read, *, whole: bool) -> Mapping[str, str]:
    """What is wrong, by path (``.``: with all together), of *files* that were published as a model of format *kind*.

    *whole*: all files of the model are here; else they are not held against each other. What was published as plain ``files``
    was never checked, and is not now.
    """
    if kind == "files":
        return {}
    found = {path: problem for path in sorted(files) if (problem := _problem(path, files, read)) is not None}
    if whole and not found:
        try:
            formats.check(files, read, expect=kind)
        except FormatRefused as error:
            found["."] = error.message
    return found


def _problem(path: str, files: Files, read: Read) -> str | None:
    try:
        if path.endswith(".safetensors"):
            safetensors.header(path, files[path], read)
        elif path.endswith(".gguf"):
            gguf.head(path, files[path], read)
        elif path.endswith(".json") and "/" not in path:
            formats.json_object(path, files, read)
    except FormatRefused as error:
        return error.message
    return None
