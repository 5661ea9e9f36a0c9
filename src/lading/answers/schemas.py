"""Answers of `lading schema`, where it is not a schema."""

from lading.spec.base import Stored


class SchemaListed(Stored):
    """One document that has a schema, as `lading schema` lists it."""

    name: str
    version: int
    what: str
    """One sentence."""


class SchemasWritten(Stored):
    """What `lading schema --write` wrote."""

    written: tuple[str, ...]
    """The documents' names; a file each."""
