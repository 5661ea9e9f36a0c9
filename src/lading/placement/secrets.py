"""Secrets as the API gives them, stripped at once: names of keys, annotations, and the few values that are no secret."""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any

from lading.cluster.kinds import Object
from lading.manifests.credentials import CONNECTION_READ, READ, Seen

#: What `kubectl apply` was given: for a Secret, its values once more.
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_SETTING = re.compile(r"[A-Za-z0-9._/-]{1,253}")


def seen(secret: Object) -> Seen:
    """*secret* without its values."""
    data: Mapping[str, str] = secret.get("data") or {}
    annotations: Mapping[str, str] = secret["metadata"].get("annotations") or {}
    read = {key: _setting(_text(data[key])) for key in READ if key in data}
    connections = {key: found for key, value in data.items() if (found := _connection(value)) is not None}
    return Seen(
        name=secret["metadata"]["name"],
        keys=tuple(sorted(data)),
        annotations={key: text for key, text in annotations.items() if key != _APPLIED},
        read={key: value for key, value in read.items() if value is not None},
        connections=connections,
    )


def _connection(value: str) -> tuple[tuple[str, ...], Mapping[str, str]] | None:
    """The names of a JSON object's fields that say something, and the values of those that are no secret."""
    try:
        document = json.loads(_text(value) or "")
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
    fields = tuple(sorted(str(name) for name, said in document.items() if said not in (None, "")))
    read = {name: _setting(_plain(document[name])) for name in CONNECTION_READ if name in document}
    return fields, {name: said for name, said in read.items() if said is not None}


def _plain(value: Any) -> str | None:
    return str(value).lower() if isinstance(value, bool) else value if isinstance(value, str) else None


def _text(value: str) -> str | None:
    try:
        return base64.b64decode(value).decode()
    except (binascii.Error, ValueError):
        return None


def _setting(text: str | None) -> str | None:
    """*text*, when it may be a name or a path: what else is there is not shown."""
    return text if text is not None and _SETTING.fullmatch(text) else None
