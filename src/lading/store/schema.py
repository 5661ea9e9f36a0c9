"""Whether a database is ours and of this version, and how it becomes so."""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from lading.errors import StudyError

#: The revision this version of Lading writes. A test holds it against the newest file in `migrations/versions`.
HEAD = "0001"
#: Every revision an earlier version may have left, oldest first.
KNOWN = ("0001",)


def revision(connection: Connection) -> str | None:
    """The revision of the database; None for an empty one."""
    tables = set(inspect(connection).get_table_names())
    if "alembic_version" not in tables:
        if tables:
            raise StudyError(f"{_path(connection)} is a database of something else: it has {', '.join(sorted(tables))}",
                             hint="set LADING_HOME to another folder")  # fmt: skip
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def is_current(connection: Connection) -> bool:
    """Whether nothing is to be done.

    Raises:
        StudyError: A newer version of Lading wrote the database, or something else did.
    """
    found = revision(connection)
    if found is not None and found not in KNOWN:
        raise StudyError(
            f"{_path(connection)} was written by a newer Lading: its schema is {found}, this version knows up to {HEAD}",
            hint='pip install --upgrade "lading[tune]"',
        )
    return found == HEAD


def migrate(connection: Connection) -> None:
    """Bring the database to `HEAD`, in the transaction that *connection* is in; one that is there already is left."""
    if is_current(connection):
        return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)


def _path(connection: Connection) -> str:
    return str(connection.engine.url.database)
