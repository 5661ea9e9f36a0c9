"""Documents: strict on the way in from a person, lenient on the way in from storage.

`Spec` is for what people write: frozen, unknown keys refused. `Stored` is for what we wrote ourselves, maybe with
a newer version: unknown keys are ignored. `Answer` is what a command tells a program. All render to plain JSON types with
`dump`. `spec.documents` reads files and gives every problem its line.

Their classes are built when they are first used, and the words below their fields are read when somebody asks for a schema
(`lading.schemas`): a command meets few of them, and building all took longer than most commands.
"""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class Spec(BaseModel):
    """A part of a document that a person writes; a typo is an error."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", strict=False, validate_default=True, defer_build=True
    )


class Stored(BaseModel):
    """A document Lading wrote; keys of newer versions are ignored."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class Answer(Stored):
    """A command's result, for programs: its own keys are always there, null where there is nothing to say."""

    @model_serializer(mode="wrap")
    def _with_every_key(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {**dict.fromkeys(type(self).model_fields), **handler(self)}


def dump(document: BaseModel) -> dict[str, Any]:
    """The document as plain JSON types, without keys that were left at ``None`` (but for those of an `Answer`)."""
    return document.model_dump(mode="json", by_alias=True, exclude_none=True)
