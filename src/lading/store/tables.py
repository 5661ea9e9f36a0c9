"""The tables of a store as they are now. How an older database gets there is in `migrations/`.

Everything is appended: what a run *is* stands in `runs`, what happened to it in `notes`, what its trials did in
`facts`. Triggers refuse to change or delete a row.
"""

from sqlalchemy import Column, ForeignKey, Index, Integer, MetaData, String, Table, Text, UniqueConstraint

METADATA = MetaData()

RUNS = Table(
    "runs",
    METADATA,
    Column("position", Integer, primary_key=True, autoincrement=True),
    Column("id", String(80), nullable=False, unique=True),
    Column("name", String(63), nullable=False),
    Column("run", Integer, nullable=False),
    Column("created_at", String(40), nullable=False),
    Column("environment", Text, nullable=False),
    UniqueConstraint("name", "run"),
)

#: What happened to a run: `document` (at its start, and with each new budget), `cancel`, `uncancel`, `end`.
NOTES = Table(
    "notes",
    METADATA,
    Column("position", Integer, primary_key=True, autoincrement=True),
    Column("run_id", String(80), ForeignKey("runs.id"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("at", String(40), nullable=False),
    Column("document", Text),
    Column("spec", Text),
    Index("notes_of_run", "run_id", "position"),
)

#: `digest` is the fact's content: the same fact twice is one row.
FACTS = Table(
    "facts",
    METADATA,
    Column("position", Integer, primary_key=True, autoincrement=True),
    Column("run_id", String(80), ForeignKey("runs.id"), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("number", Integer, nullable=False),
    Column("schema_version", Integer, nullable=False),
    Column("document", Text, nullable=False),
    UniqueConstraint("run_id", "digest"),
    Index("facts_of_run", "run_id", "position"),
)
