"""`lading schema`."""

import json
from pathlib import Path

from lading import schemas
from lading.answers.schemas import SchemaListed, SchemasWritten
from lading.cli.output import Common, Output
from lading.errors import InvalidInput
from lading.spec.nearest import nearest


def schema(name: str | None = None, *, write: Path | None = None, common: Common | None = None) -> None:
    """Print the JSON Schema of a document.

    Without a name: the documents there are. An editor that knows the schema of ``study`` completes and checks study files.

    Args:
        name: The document; see the list.
        write: Write all schemas to this folder, one file each, and print nothing else.
    """
    output = Output(common)
    if write is not None:
        _write(write)
        output.result(
            SchemasWritten(written=tuple(schemas.DOCUMENTS)), f"{len(schemas.DOCUMENTS)} schemas are in {write}"
        )
    elif name is None:
        _list(output)
    else:
        _known(name)
        output.result(schemas.schema(name))


def text(name: str) -> str:
    """A schema as its committed copy has it."""
    return json.dumps(schemas.schema(name), indent=2, ensure_ascii=False) + "\n"


def _known(name: str) -> None:
    if name not in schemas.DOCUMENTS:
        near = nearest(name, list(schemas.DOCUMENTS))
        raise InvalidInput(
            f"{name!r} is not a document with a schema",
            hint=f"did you mean `lading schema {near}`?" if near else "`lading schema` lists them",
        )


def _list(output: Output) -> None:
    if output.json:
        for document in schemas.DOCUMENTS.values():
            output.result(SchemaListed(name=document.name, version=document.version, what=document.what))
        return
    rows = [(document.name, str(document.version), document.what) for document in schemas.DOCUMENTS.values()]
    output.table(("NAME", "VERSION", "WHAT"), rows, right=("VERSION",))


def _write(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in schemas.DOCUMENTS:
            (folder / f"{name}.json").write_text(text(name), encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{folder} cannot be written: {error.strerror}") from error
