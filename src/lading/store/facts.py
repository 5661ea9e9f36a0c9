"""How a fact is kept: JSON with the version of its schema, and a digest of its content.

Keys that a newer version added are ignored on load; a fact of a newer schema is refused, because ignoring a whole fact
would change the history.
"""

import hashlib
import json
from typing import Any

from pydantic import TypeAdapter, ValidationError

from lading.errors import StudyError
from lading.tuning.trial import Fact

#: Raised when a kind of fact is added, or the meaning of one changes; a new key with a default does not raise it.
SCHEMA_VERSION = 1

_FACT: TypeAdapter[Fact] = TypeAdapter(Fact)


def to_row(fact: Fact) -> dict[str, Any]:
    """The columns of *fact*."""
    return {
        "digest": digest(fact),
        "kind": fact.fact,
        "number": fact.number,
        "schema_version": SCHEMA_VERSION,
        "document": fact.model_dump_json(),
    }


def of_row(schema_version: int, document: str) -> Fact:
    """The fact in *document*.

    Raises:
        StudyError: Its schema is newer than this version's, or it is no fact at all.
    """
    if schema_version > SCHEMA_VERSION:
        raise StudyError(
            f"a fact of this study has schema {schema_version}, this version reads up to {SCHEMA_VERSION}",
            hint='pip install --upgrade "lading[tune]"',
        )
    try:
        return _FACT.validate_json(document)
    except ValidationError as error:
        raise StudyError(
            f"a fact of this study cannot be read: {error.errors()[0]['msg']}", hint="restore the store from a backup"
        ) from error


def digest(fact: Fact) -> str:
    """SHA-256 of the content: equal facts have equal digests, in later versions too (keys at their default are left out)."""
    content = {"fact": fact.fact, **fact.model_dump(mode="json", exclude_defaults=True)}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
