"""The JSON Schemas of every document that leaves the program, by name: what `lading schema` prints.

A document's version is part of its schema and changes only when an old reader could misread a new document; keys may be
added to what we store without a new version. Committed copies are in ``docs/schemas/``: a test compares them, so that no
schema changes unnoticed.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from lading.answers import claims, images, jobs, serving, studies, weights
from lading.answers import schemas as own
from lading.engines.base import Parameter
from lading.engines.documents import EngineDocument, RuleDocument
from lading.events import Event
from lading.flows.bench import BenchResult
from lading.measure.records import RecordHeader, RequestRecord
from lading.measure.summary import Summary
from lading.ports.study import StudyRun
from lading.report.document import Report
from lading.spec.study import Study
from lading.tuning.result import StudyResult
from lading.tuning.trial import Fact, Trial
from lading.weights import inventory
from lading.weights.layout import VolumeDocument
from lading.weights.manifest import Manifest

DIALECT = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A document with a schema.

    Attributes:
        kind: The type that reads and writes it.
        what: What it is, in one sentence.
    """

    name: str
    kind: Any
    what: str
    version: int = 1

    @property
    def adapter(self) -> TypeAdapter[Any]:
        """Reads a document of this kind: ``adapter.validate_json(text)``."""
        return TypeAdapter(self.kind)


#: Documents of their own: stored, written to files, or parts of those.
_STORED = (
    Published(
        name="bench-result", kind=BenchResult, what="What `lading bench` measured: every level, and those it lost."
    ),
    Published(name="engine", kind=EngineDocument, what="One engine, as `lading engines` lists it."),
    Published(name="engine-parameter", kind=Parameter, what="One parameter of an engine's catalogue."),
    Published(name="engine-rule", kind=RuleDocument, what="One check before an engine is started."),
    Published(name="event", kind=Event, what="One line of `--format json` while a command works."),
    Published(name="fact", kind=Fact, what="What happened in a study: one entry of its append-only history."),
    Published(name="job-report", kind=jobs.JobReport, what="`.lading/jobs/NAME.json`: what a Job did on a claim."),
    Published(name="manifest", kind=Manifest, what="The manifest of one published version of a model."),
    Published(name="record", kind=RequestRecord, what="One request: a line of a raw record file, after the first."),
    Published(name="record-header", kind=RecordHeader, what="The first line of a raw record file."),
    Published(name="report", kind=Report, what="`report.json`: a study's report."),
    Published(name="study", kind=Study, what="A study as a person writes it, in YAML."),
    Published(name="study-result", kind=StudyResult, what="What a study came to so far."),
    Published(name="study-run", kind=StudyRun, what="One run of a study, as the store keeps it."),
    Published(name="summary", kind=Summary, what="One level, folded from its records."),
    Published(name="trial", kind=Trial, what="One trial, folded from its facts."),
    Published(name="volume", kind=VolumeDocument, what="`.lading/volume.json`: what a volume is."),
)

#: What only a command says, with ``--format json``.
ANSWERS = (
    Published(name="claim-created", kind=claims.ClaimCreated, what="What `lading claim create` did."),
    Published(name="claim-inspected", kind=claims.ClaimInspected, what="A claim, as `lading claim inspect` shows it."),
    Published(name="claim-kept", kind=claims.ClaimKept, what="What `lading claim retain` or `recover` did."),
    Published(name="class-listed", kind=claims.ClassListed, what="One storage class, of `lading claim classes`."),
    Published(name="bench-plan", kind=serving.BenchPlan, what="What `lading bench --dry-run` would measure."),
    Published(name="current-version", kind=weights.CurrentVersion, what="What `lading use` did."),
    Published(name="image-listed", kind=images.ImageListed, what="One image, as `lading images` lists it."),
    Published(name="job-cancelled", kind=jobs.JobCancelled, what="What `lading jobs cancel` did."),
    Published(name="job-listed", kind=jobs.JobListed, what="One Job of ours, as `lading jobs` lists it."),
    Published(name="job-started", kind=jobs.JobStarted, what="A Job that `lading pull --detach` left running."),
    Published(name="file-difference", kind=weights.FileDifference, what="One line of `lading diff`."),
    Published(
        name="version-difference",
        kind=weights.VersionDifference,
        what="How two versions differ: the last line of `lading diff`.",
    ),
    Published(name="kept", kind=weights.Kept, what="One thing that `lading prune` left, and why."),
    Published(name="listed-file", kind=weights.ListedFile, what="One file, as `lading ls --files` lists it."),
    Published(name="listed-version", kind=weights.ListedVersion, what="One version, as `lading ls` lists it."),
    Published(name="removed", kind=weights.Removed, what="One thing `lading rm` or `prune` removed, or would."),
    Published(name="reply", kind=serving.Reply, what="What a server answered to `lading ask`."),
    Published(name="report-written", kind=studies.ReportWritten, what="What `lading report` wrote."),
    Published(name="schema-listed", kind=own.SchemaListed, what="One document, as `lading schema` lists it."),
    Published(name="schemas-written", kind=own.SchemasWritten, what="What `lading schema --write` wrote."),
    Published(name="serve-plan", kind=serving.ServePlan, what="What `lading serve --dry-run` would start."),
    Published(name="server-listed", kind=serving.ServerListed, what="A server, of `lading serve --list`."),
    Published(name="served", kind=serving.Served, what="A server that `lading serve` started."),
    Published(name="shown-version", kind=weights.ShownVersion, what="One version, as `lading show` shows it."),
    Published(name="source-model", kind=weights.SourceModel, what="A model at a source, as `lading ls` lists it."),
    Published(name="study-cancelled", kind=studies.StudyCancelled, what="What `lading studies cancel` came to."),
    Published(name="study-copied", kind=studies.StudyCopied, what="The file `lading studies copy` wrote."),
    Published(name="study-listed", kind=studies.StudyListed, what="One run, as `lading studies` lists it."),
    Published(name="study-log-line", kind=studies.StudyLogLine, what="A line of `lading studies logs`."),
    Published(name="study-shown", kind=studies.StudyShown, what="One run, as `lading studies show` shows it."),
    Published(
        name="unmanaged-folder",
        kind=weights.UnmanagedFolder,
        what="A folder without a manifest, as `lading ls` lists it.",
    ),
    Published(name="volume-usage", kind=inventory.Usage, what="What lies on a volume, as `lading du` shows it."),
    Published(name="tune-plan", kind=studies.TunePlan, what="What `lading tune --dry-run` would do."),
)

#: Every published document by name, sorted.
DOCUMENTS: dict[str, Published] = {
    document.name: document for document in sorted((*_STORED, *ANSWERS), key=lambda document: document.name)
}


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the document *name*; a KeyError where there is none.

    What a person writes is described as it may be written (``"30m"`` for seconds); what we store as a reader meets it:
    keys left at their default may be absent.
    """
    document = DOCUMENTS[name]
    head = {"$schema": DIALECT, "$id": f"urn:lading:{name}:{document.version}"}
    described = document.adapter.json_schema(by_alias=True, mode="validation", schema_generator=_Described)
    return {**head, **described, "title": name, "description": document.what}


class _Described(GenerateJsonSchema):
    """Schemas in which the words below a class's fields describe them."""

    def model_schema(self, schema: core_schema.ModelSchema) -> dict[str, Any]:
        """See `GenerateJsonSchema.model_schema`."""
        made = super().model_schema(schema)
        kind: type[BaseModel] = schema["cls"]
        words = {name: text for base in reversed(kind.__mro__) for name, text in _words(base)}
        for name, field in kind.model_fields.items():
            described = made.get("properties", {}).get(field.alias or name)
            if name in words and described is not None:
                described.setdefault("description", words[name])
        return made


def _words(kind: type) -> Iterator[tuple[str, str]]:
    """The fields that *kind* itself declares, each with the string below it."""
    if not issubclass(kind, BaseModel) or kind is BaseModel:
        return
    (declared,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(declared, ast.ClassDef)
    for field, below in pairwise(declared.body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str() as text)):
                yield name, inspect.cleandoc(text)
