"""YAML text of our objects, with comments that a person reads first."""

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from lading.spec.lines import one_line

#: Comments by the path of the key they stand above.
Notes = Mapping[tuple[str | int, ...], str]


def render(documents: Sequence[Mapping[str, Any]], *, head: Iterable[str], notes: Sequence[Notes] = ()) -> str:
    """The *documents* as YAML, *head* above the first, *notes* (one mapping per document) above their keys."""
    writer = YAML(typ="rt", pure=True)
    writer.width = 4096  # a folded argument cannot be copied
    writer.indent(mapping=2, sequence=4, offset=2)
    parts = []
    for number, document in enumerate(documents):
        tree = _tree(document)
        for path, note in (notes[number] if number < len(notes) else {}).items():
            _comment(tree, path, note)
        text = io.StringIO()
        writer.dump(tree, text)
        parts.append(text.getvalue())
    return comment(head) + "---\n".join(parts)


def comment(lines: Iterable[str]) -> str:
    """*lines* as comment lines; what came from outside cannot end its line."""
    return "".join(f"# {line}".rstrip() + "\n" for line in map(one_line, lines))


def _tree(value: Any) -> Any:
    if isinstance(value, Mapping):
        return CommentedMap((key, _tree(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return CommentedSeq(_tree(item) for item in value)
    if isinstance(value, str) and _needs_quotes(value):
        return DoubleQuotedScalarString(value)
    return value


def _needs_quotes(text: str) -> bool:
    """Whether a YAML 1.1 reader (kubectl, compose) would read something else than this string."""
    return not re.fullmatch(r"[A-Za-z/][A-Za-z0-9_./:-]*[A-Za-z0-9_./-]|[A-Za-z]", text) or text.lower() in {
        "y", "n", "yes", "no", "on", "off", "true", "false", "null",
    }  # fmt: skip


def _comment(tree: Any, path: tuple[str | int, ...], note: str) -> None:
    for step in path[:-1]:
        tree = tree[step]
    tree.yaml_set_comment_before_after_key(path[-1], before=one_line(note), indent=2 * (len(path) - 1))
