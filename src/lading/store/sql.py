"""The store of studies in one SQLite database: several processes may hold it, and nothing in it is ever changed.

Every call opens a connection and closes it again: nothing is shared with a thread or a forked child. A write takes the
database's one write lock at its start (BEGIN IMMEDIATE), waits for it up to `BUSY_S`, and is synced before it returns.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Row, create_engine, event, func, insert, select
from sqlalchemy.dialects.sqlite import insert as insert_or
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import NullPool

from lading.errors import StudyError
from lading.ports.study import StudyRun
from lading.spec.clock import utc_now
from lading.store import facts as documents
from lading.store import filesystem, schema
from lading.store.tables import FACTS, NOTES, RUNS
from lading.tuning.trial import Fact

FILE = "studies.db"
#: How long a writer waits for others.
BUSY_S = 30.0
#: How a connection begins: a snapshot to read, the one write lock, or (to change the journal) no transaction at all.
READ, WRITE, OUTSIDE = "BEGIN", "BEGIN IMMEDIATE", ""


class SqlStore:
    """`lading.ports.study.Store` on SQLite."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def at(cls, home: Path) -> "SqlStore":
        """The store in the folder *home*, created and migrated when needed.

        Raises:
            StudyError: A network file system, a database of a newer version or of something else, a damaged file, or a
                folder that cannot be written.
        """
        filesystem.require_local(home)
        path = home / FILE
        try:
            home.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)  # documents name paths and environment variables: for their owner alone
        except OSError as error:
            raise StudyError(
                f"the store of studies in {home} cannot be made: {error.strerror}",
                hint="set LADING_HOME to a folder you may write",
            ) from error
        store = cls(_engine(path))
        with store._open() as connection:
            current = schema.is_current(connection)
        store._use_wal()  # only now: a database that is not ours is left as it is
        if not current:
            with store._open(WRITE) as connection:
                schema.migrate(connection)
        return store

    def create(
        self, name: str, *, document: str, spec: Mapping[str, object], environment: Mapping[str, object]
    ) -> StudyRun:
        """A new run of *name*, numbered one above the last."""
        with self._open(WRITE) as connection:
            last = connection.execute(select(func.max(RUNS.c.run)).where(RUNS.c.name == name)).scalar()
            run = (last or 0) + 1
            run_id = f"{name}.{run}"
            values = {
                "id": run_id,
                "name": name,
                "run": run,
                "created_at": utc_now(),
                "environment": json.dumps(environment),
            }
            connection.execute(insert(RUNS).values(values))
            _note(connection, run_id, "document", document=document, spec=json.dumps(spec))
            return _run(connection, run_id)

    def runs(self) -> tuple[StudyRun, ...]:
        """All runs, oldest first."""
        with self._open() as connection:
            rows = connection.execute(select(RUNS).order_by(RUNS.c.position)).all()
            notes: dict[str, list[Row[Any]]] = {row.id: [] for row in rows}
            for note in connection.execute(select(NOTES).order_by(NOTES.c.position)):
                notes[note.run_id].append(note)
        return tuple(_fold(row, notes[row.id]) for row in rows)

    def latest(self, name: str, run: int | None = None) -> StudyRun | None:
        """The newest run of *name*, or the run numbered *run*; None without one."""
        query = select(RUNS.c.id).where(RUNS.c.name == name).order_by(RUNS.c.run.desc()).limit(1)
        with self._open() as connection:
            found = connection.execute(query if run is None else query.where(RUNS.c.run == run)).scalar()
            return None if found is None else _run(connection, found)

    def rebudget(self, run_id: str, *, document: str, spec: Mapping[str, object]) -> StudyRun:
        """Take a document in which only the budget differs; both documents stay readable, and the run is not ended."""
        with self._open(WRITE) as connection:
            _require(connection, run_id)
            _note(connection, run_id, "document", document=document, spec=json.dumps(spec))
            return _run(connection, run_id)

    def documents(self, run_id: str) -> tuple[str, ...]:
        """The run's documents as they were written, oldest first: one, and one for each `rebudget`."""
        with self._open() as connection:
            return tuple(note.document for note in _notes(connection, run_id) if note.kind == "document")

    def append(self, run_id: str, facts: Sequence[Fact]) -> None:
        """Append *facts*, all or none, durable on return. A fact already there (same content) is silent.

        Raises:
            StudyError: The run is unknown.
        """
        rows = [{"run_id": run_id, **documents.to_row(fact)} for fact in facts]
        with self._open(WRITE) as connection:
            _require(connection, run_id)
            if rows:
                connection.execute(insert_or(FACTS).on_conflict_do_nothing(index_elements=["run_id", "digest"]), rows)

    def facts(self, run_id: str) -> tuple[Fact, ...]:
        """All facts in the order they were appended; a value that later appends do not change."""
        columns = select(FACTS.c.schema_version, FACTS.c.document)
        with self._open() as connection:
            rows = connection.execute(columns.where(FACTS.c.run_id == run_id).order_by(FACTS.c.position)).all()
        return tuple(documents.of_row(row.schema_version, row.document) for row in rows)

    def cancel(self, run_id: str) -> None:
        """Ask the process that works on the run to stop; idempotent."""
        self._tell(run_id, "cancel")

    def uncancel(self, run_id: str) -> None:
        """Forget the request: someone runs it again."""
        self._tell(run_id, "uncancel")

    def cancelled(self, run_id: str) -> bool:
        """Whether someone asked."""
        with self._open() as connection:
            return _is_cancelled(_notes(connection, run_id))

    def end(self, run_id: str, at: str) -> None:
        """Note that the run has its answer."""
        with self._open(WRITE) as connection:
            _require(connection, run_id)
            _note(connection, run_id, "end", at=at)

    def close(self) -> None:
        """Let go of the database; idempotent."""
        self._engine.dispose()

    def _tell(self, run_id: str, kind: str) -> None:
        """Note a request, unless it already stands."""
        with self._open(WRITE) as connection:
            _require(connection, run_id)
            if _is_cancelled(_notes(connection, run_id)) != (kind == "cancel"):
                _note(connection, run_id, kind)

    def _use_wal(self) -> None:
        """Readers and a writer side by side; the database remembers it."""
        with self._open(OUTSIDE) as connection:
            mode = connection.exec_driver_sql("PRAGMA journal_mode=WAL").scalar()
        if mode != "wal":
            raise StudyError(
                f"{self._engine.url.database} is where SQLite cannot use WAL (it stays with {mode!r})",
                hint="set LADING_HOME to a folder on a local disk",
            )

    @contextmanager
    def _open(self, begin: str = READ) -> Iterator[Connection]:
        """A connection in one transaction: committed at the end, rolled back by any error."""
        try:
            with self._engine.connect() as connection:
                connection.execution_options(lading_begin=begin)
                with connection.begin():
                    yield connection
        except (DatabaseError, sqlite3.DatabaseError) as error:
            told = _told(self._engine.url.database, getattr(error, "orig", error))
            if told is None:
                raise
            raise told from error


def _engine(path: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=NullPool,
        connect_args={"timeout": BUSY_S, "isolation_level": None},
    )

    @event.listens_for(engine, "connect")
    def _on_connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        begin = connection.get_execution_options()["lading_begin"]
        if begin:
            connection.exec_driver_sql(begin)

    return engine


def _run(connection: Connection, run_id: str) -> StudyRun:
    row = connection.execute(select(RUNS).where(RUNS.c.id == run_id)).one()
    return _fold(row, _notes(connection, run_id))


def _fold(row: Row[Any], notes: Sequence[Row[Any]]) -> StudyRun:
    """A run from what happened to it; an end does not outlive a new document."""
    document = [note for note in notes if note.kind == "document"][-1]
    ends = [note.at for note in notes if note.kind == "end" and note.position > document.position]
    return StudyRun(
        id=row.id,
        name=row.name,
        run=row.run,
        created_at=row.created_at,
        document=document.document,
        spec=json.loads(document.spec),
        environment=json.loads(row.environment),
        cancelled=_is_cancelled(notes),
        ended_at=ends[-1] if ends else None,
    )


def _is_cancelled(notes: Sequence[Row[Any]]) -> bool:
    asked = [note.kind for note in notes if note.kind in {"cancel", "uncancel"}]
    return bool(asked) and asked[-1] == "cancel"


def _notes(connection: Connection, run_id: str) -> Sequence[Row[Any]]:
    return connection.execute(select(NOTES).where(NOTES.c.run_id == run_id).order_by(NOTES.c.position)).all()


def _note(
    connection: Connection,
    run_id: str,
    kind: str,
    *,
    at: str | None = None,
    document: str | None = None,
    spec: str | None = None,
) -> None:
    values = {"run_id": run_id, "kind": kind, "at": at or utc_now(), "document": document, "spec": spec}
    connection.execute(insert(NOTES).values(values))


def _require(connection: Connection, run_id: str) -> None:
    if connection.execute(select(RUNS.c.id).where(RUNS.c.id == run_id)).scalar() is None:
        raise StudyError(f"the store has no run {run_id}", hint="`lading studies` lists them")


def _told(path: str | None, cause: object) -> StudyError | None:
    """What to say of a database's error; None for one that only a bug can raise."""
    if isinstance(cause, sqlite3.OperationalError) and ("locked" in str(cause) or "busy" in str(cause)):
        return StudyError(
            f"the store {path} was busy for {BUSY_S:.0f} s", hint="another process writes to it: try again"
        )
    if isinstance(cause, sqlite3.OperationalError):
        return StudyError(
            f"the store {path} cannot be used: {cause}", hint="look at its folder: space, owner and rights"
        )
    if type(cause) is sqlite3.DatabaseError:  # "file is not a database", "malformed"; its subclasses say other things
        return StudyError(
            f"the store {path} is damaged: {cause}", hint="restore it from a backup, or move it away and start anew"
        )
    return None
