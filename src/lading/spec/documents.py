"""YAML documents of a person, read so that every problem has its file, line and key.

YAML 1.2 (`on` and `yes` are words, `1e3` is a number); duplicate keys are refused. The nearest known key is named for
an unknown one.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedBase, CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from lading.errors import InvalidDocument
from lading.spec import secret
from lading.spec.nearest import nearest

Document = TypeVar("Document", bound=BaseModel)
Location = tuple[int | str, ...]


def load(path: Path, kind: type[Document]) -> Document:
    """The document of *kind* in the file at *path*.

    Raises:
        InvalidDocument: It cannot be read, is not YAML, or does not fit *kind*; all problems are listed at once.
    """
    return parse(read(path), kind, name=str(path))


def read(path: Path) -> str:
    """The text of the file at *path*.

    Raises:
        InvalidDocument: It cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InvalidDocument(f"{path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidDocument(f"{path} cannot be read: {error}") from error


def parse(text: str, kind: type[Document], *, name: str = "<text>") -> Document:
    """The document of *kind* in *text*; *name* stands for the file in messages.

    Raises:
        InvalidDocument: As `load`.
    """
    try:
        tree = YAML(typ="rt", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        raise InvalidDocument(
            f"{name} is not valid YAML", problems=[f"{where}: {_without_values(error.problem or error.context or '')}"]
        ) from error
    except YAMLError as error:
        raise InvalidDocument(f"{name} is not valid YAML", problems=[str(error)]) from error
    if not isinstance(tree, CommentedMap):
        raise InvalidDocument(f"{name} holds no mapping of keys to values")
    try:
        return kind.model_validate(plain(tree))
    except ValidationError as error:
        problems = [
            _problem(name, tree, kind, detail) for detail in error.errors(include_url=False, include_context=True)
        ]
        raise InvalidDocument(f"{name} is not a valid {kind.__name__}", problems=problems) from error


def refusal(
    text: str, kind: type[BaseModel], problems: Sequence[tuple[Location, str]], *, name: str = "<text>"
) -> InvalidDocument:
    """The error for problems found beyond the types of a document: each (location, sentence) gets its line in *text*."""
    tree = YAML(typ="rt", pure=True).load(text)
    told = [
        f"{name}:{line_of(tree, where) or 1}: {'.'.join(map(str, where))}: {sentence}" for where, sentence in problems
    ]
    return InvalidDocument(f"{name} is not a valid {kind.__name__}", problems=told)


def line_of(tree: Any, location: Location) -> int | None:
    """The line, from 1, of the key or item at *location*, or of the nearest thing above it that has one."""
    line: int | None = None
    for part in location:
        if isinstance(tree, CommentedMap) and part in tree:
            line = tree.lc.key(part)[0] + 1
        elif isinstance(tree, CommentedSeq) and isinstance(part, int) and part < len(tree):
            line = tree.lc.item(part)[0] + 1
        else:
            continue  # a union's tag, or a key that is missing
        tree = tree[part]
    return line


def plain(tree: Any) -> Any:
    """*tree* as plain dicts, lists and scalars."""
    if isinstance(tree, Mapping):
        return {plain(key): plain(value) for key, value in tree.items()}
    if isinstance(tree, CommentedSeq | list):
        return [plain(value) for value in tree]
    if isinstance(tree, bool) or tree is None:
        return tree
    for scalar in (int, float, str):
        if isinstance(tree, scalar):
            return scalar(tree)
    return tree


def _problem(name: str, tree: CommentedBase, kind: type[BaseModel], detail: ErrorDetails) -> str:
    location = tuple(detail["loc"])
    line = line_of(tree, location)
    key = ".".join(_keys(tree, location, ends_outside=detail["type"] in {"missing", "extra_forbidden"}))
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        near = nearest(str(location[-1]), _known_keys(kind, location[:-1]))
        message = "unknown key" + (f"; did you mean `{near}`?" if near else "")
    elif detail["type"] == "missing":
        message = "is required"
    elif detail["type"] == "literal_error":
        message = _not_among(detail)
    elif detail["type"] == "too_short":
        message = f"needs at least {detail['ctx']['min_length']}"
    elif detail["type"] != "value_error":
        message += "" if any(map(_is_private, location)) else f", not {detail['input']!r}"
    return f"{name}:{line or 1}: {key}: {message}"


def _is_private(part: int | str) -> bool:
    """Whether what stands below this key may be a secret, and is not repeated in a message."""
    return part == "env" or secret.is_secret(str(part))


def _without_values(problem: str) -> str:
    """*problem* of YAML without the values of keys: ``found duplicate key "a" with value …`` may show a secret."""
    return problem.partition(" with value ")[0]


def _not_among(detail: ErrorDetails) -> str:
    known = re.findall(r"'([^']*)'", detail["ctx"]["expected"])
    near = nearest(str(detail["input"]), known)
    return f"{detail['input']!r} is not one of {', '.join(known)}" + (f"; did you mean `{near}`?" if near else "")


def _keys(tree: Any, location: Location, *, ends_outside: bool) -> Iterator[str]:
    """The parts of pydantic's *location* that stand in the document; the tags of unions do not.

    With *ends_outside* the last part names a key that is missing, or should be.
    """
    for index, part in enumerate(location):
        following = location[index + 1 : index + 2]
        if ends_outside and not following:
            yield str(part)
        elif _has(tree, part) and not _is_tag(tree[part], following):
            yield str(part)
            tree = tree[part]


def _is_tag(below: Any, following: Location) -> bool:
    """Whether a part that is also a key is a union's tag here: what follows it cannot be below that key."""
    return bool(following) and not isinstance(below, Mapping) and not _has(below, following[0])


def _has(tree: Any, part: int | str) -> bool:
    if isinstance(tree, Mapping):
        return part in tree
    return isinstance(tree, list) and isinstance(part, int) and part < len(tree)


def _known_keys(kind: type[BaseModel], location: Location) -> list[str]:
    """The keys the model at *location* takes, through optional types and unions."""
    models = [kind]
    for part in location:
        models = [found for model in models for found in _models_below(model, part)] or models
    return [field.alias or key for model in models for key, field in model.model_fields.items()]


def _models_below(model: type[BaseModel], part: int | str) -> list[type[BaseModel]]:
    if part not in model.model_fields:
        return []
    return list(_models_in(model.model_fields[str(part)].annotation))


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models_in(argument)
