"""Kubeconfig files: read, merged and checked as kubectl does, with errors that name file and key, never a secret."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lading.errors import InvalidDocument

_GROUPS = {"contexts": "context", "clusters": "cluster", "users": "user"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A named cluster, user or context, and the file that has it: its relative paths start there."""

    group: str
    name: str
    body: Mapping[str, Any]
    file: Path

    def text(self, key: str) -> str | None:
        """The string at *key*; None where it is missing or empty.

        Raises:
            InvalidDocument: It is no string.
        """
        value = self.body.get(key)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise self.wrong(f"{key} must be a string")
        if "\0" in value:
            raise self.wrong(f"{key} holds a zero byte")
        return value

    def needed(self, key: str) -> str:
        """The string at *key*.

        Raises:
            InvalidDocument: It is missing, or no string.
        """
        value = self.text(key)
        if value is None:
            raise self.wrong(f"{key} is missing")
        return value

    def path(self, key: str) -> Path | None:
        """The file named at *key*, which may be relative to the kubeconfig."""
        value = self.text(key)
        return None if value is None else self.file.parent / value

    def content(self, key: str) -> bytes | None:
        """What ``KEY-data`` holds, else the file at *key*.

        Raises:
            InvalidDocument: It is no base64, or the file cannot be read.
        """
        data, path = self.text(f"{key}-data"), self.path(key)
        if data is not None:
            try:
                return base64.b64decode(data, validate=True)
            except binascii.Error as error:
                raise self.wrong(f"{key}-data is no base64") from error
        if path is None:
            return None
        try:
            return path.read_bytes()
        except OSError as error:
            raise self.wrong(f"{key}: {path} cannot be read: {error.strerror}") from error

    def wrong(self, problem: str, *, hint: str | None = None) -> InvalidDocument:
        """The error that *problem* is, with file and place."""
        return InvalidDocument(f"kubeconfig {self.file}: {_GROUPS[self.group]} {self.name}: {problem}", hint=hint)


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """Several files as one; what an earlier one names wins."""

    files: tuple[Path, ...]
    current: str | None
    entries: Mapping[tuple[str, str], Entry]

    def context(self, name: str | None) -> Entry:
        """The context *name*, or the current one.

        Raises:
            InvalidDocument: There is none.
        """
        if name is None and self.current is None:
            names = self._names("contexts")
            raise InvalidDocument(
                f"kubeconfig {self._where()}: no current-context",
                hint=f"--context NAME, one of {names}" if names else "log in to a cluster first",
            )
        return self.entry("contexts", name or self.current or "")

    def entry(self, group: str, name: str) -> Entry:
        """What *group* has under *name*.

        Raises:
            InvalidDocument: Nothing.
        """
        found = self.entries.get((group, name))
        if found is None:
            raise InvalidDocument(
                f"kubeconfig {self._where()}: there is no {_GROUPS[group]} {name}",
                hint=f"its {group}: {self._names(group) or 'none'}",
            )
        return found

    def _names(self, group: str) -> str:
        return ", ".join(sorted(name for of, name in self.entries if of == group))

    def _where(self) -> str:
        return ":".join(map(str, self.files))


def read(files: Iterable[Path]) -> Kubeconfig:
    """The *files* as one, in their order.

    Raises:
        InvalidDocument: One cannot be read or is no kubeconfig.
    """
    files = tuple(files)
    current: str | None = None
    entries: dict[tuple[str, str], Entry] = {}
    for file in files:
        document = _document(file)
        current = current or _current(document, file)
        for group in _GROUPS:
            for entry in _entries(document, group, file):
                entries.setdefault((group, entry.name), entry)
    return Kubeconfig(files, current, entries)


def _document(file: Path) -> Mapping[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        document = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidDocument(f"kubeconfig {file} cannot be read: {error.strerror}") from error
    except MarkedYAMLError as error:  # its own text quotes the file, which holds secrets
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InvalidDocument(f"kubeconfig {file} is no YAML{line}") from None
    except (YAMLError, UnicodeDecodeError):
        raise InvalidDocument(f"kubeconfig {file} is no YAML") from None
    if document is None:
        return {}
    if not isinstance(document, dict) or document.get("kind", "Config") != "Config":
        raise InvalidDocument(f"{file} is no kubeconfig: it has no `kind: Config`")
    return document


def _current(document: Mapping[str, Any], file: Path) -> str | None:
    current = document.get("current-context") or None
    if current is not None and not isinstance(current, str):
        raise InvalidDocument(f"kubeconfig {file}: current-context must be a string")
    return current


def _entries(document: Mapping[str, Any], group: str, file: Path) -> Iterable[Entry]:
    listed = document.get(group) or []
    if not isinstance(listed, list):
        raise InvalidDocument(f"kubeconfig {file}: {group} must be a list")
    for number, item in enumerate(listed):
        name = item.get("name") if isinstance(item, dict) else None
        body = (item.get(_GROUPS[group]) or {}) if isinstance(item, dict) else None
        if not isinstance(name, str) or not isinstance(body, dict):
            raise InvalidDocument(f"kubeconfig {file}: {group}[{number}] needs a name and a {_GROUPS[group]}")
        yield Entry(group, name, body, file)
