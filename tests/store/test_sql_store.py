"""The database under the store: who may change it, which databases it takes, what it says of the others."""

import json
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lading.errors import StudyError
from lading.store import filesystem, schema, sql
from lading.store.sql import FILE, SqlStore
from lading.store.tables import METADATA
from lading.tuning.trial import Completed, Failed, Infeasible, Proposed, fold

COMPAT = Path(__file__).parents[1] / "compat"
VERSIONS = Path(schema.__file__).parent / "migrations" / "versions"


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def filled(home):
    """A store with one run and two facts; its database is given."""
    store = SqlStore.at(home)
    run = store.create("a", document="name: a", spec={}, environment={})
    store.append(run.id, [Proposed(number=0, params={"n": 1}), Proposed(number=1, params={"n": 2})])
    return home / FILE


def execute(path, *statements):
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


@pytest.mark.parametrize("table", ["runs", "notes", "facts"])
@pytest.mark.parametrize("change", ["UPDATE {0} SET position = 99", "DELETE FROM {0}"])
def test_no_row_can_be_changed_or_deleted(filled, table, change):
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        execute(filled, change.format(table))


def test_only_its_owner_can_read_it(filled):
    assert stat.S_IMODE(filled.stat().st_mode) == 0o600


def test_commits_are_synced_and_others_are_waited_for(home):
    store = SqlStore.at(home)
    with store._open() as connection:
        asked = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
        assert asked == ["wal", 2]
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == sql.BUSY_S * 1000


def test_a_store_that_is_busy_for_too_long_says_so(filled, monkeypatch):
    monkeypatch.setattr(sql, "BUSY_S", 0.05)
    store = SqlStore.at(filled.parent)
    other = sqlite3.connect(filled, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StudyError, match="was busy for"):
        store.append("a.1", [Proposed(number=2, params={})])
    assert len(store.facts("a.1")) == 2, "reading does not wait for writers"
    other.close()
    store.append("a.1", [Proposed(number=2, params={})])


def test_the_newest_migration_is_the_one_this_version_knows():
    revisions = sorted(path.stem.split("_")[0].removeprefix("v") for path in VERSIONS.glob("v*.py"))
    assert tuple(revisions) == schema.KNOWN
    assert schema.KNOWN[-1] == schema.HEAD


def test_a_migrated_database_is_what_the_tables_say(home):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with SqlStore.at(home)._open() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_processes_that_come_together_make_one_store(home):
    code = "import sys; from pathlib import Path; from lading.store.sql import SqlStore\n"
    code += "store = SqlStore.at(Path(sys.argv[1])); print(store.create('a', document='', spec={}, environment={}).run)"
    argv = [sys.executable, "-c", code, str(home)]
    running = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert sorted(int(process.communicate(timeout=60)[0]) for process in running) == [1, 2, 3, 4]


def test_opening_a_current_store_imports_neither_alembic_nor_optuna(filled):
    code = "import sys; from pathlib import Path; from lading.store.sql import SqlStore; SqlStore.at(Path(sys.argv[1])).runs()\n"
    code += "print([name for name in ('alembic', 'optuna', 'numpy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code, str(filled.parent)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class TestOldDatabases:
    """A database of each released schema loads, and goes on."""

    @pytest.fixture(params=sorted(COMPAT.glob("store-v*.sql")), ids=lambda path: path.stem)
    def old(self, request, home):
        home.mkdir()
        with sqlite3.connect(home / FILE) as connection:
            connection.executescript(request.param.read_text(encoding="utf-8"))
        connection.close()
        return SqlStore.at(home)

    def test_every_schema_has_a_fixture(self):
        assert len(list(COMPAT.glob("store-v*.sql"))) == len(schema.KNOWN)

    def test_its_studies_are_there(self, old):
        tiny, other = old.runs()
        assert (tiny.id, tiny.cancelled, tiny.ended_at) == ("tiny-chat.1", True, None)
        assert tiny.spec == {"name": "tiny-chat", "search": {"trials": 5}}
        assert len(old.documents(tiny.id)) == 2
        assert other.id == "other.1"
        first, second, third = fold(old.facts(tiny.id))
        assert isinstance(first.outcome, Completed)
        assert first.levels[0].output_tokens_per_s == 118.2
        assert second.params == {"n_ctx": 8192, "n_batch": 64, "flash_attn": True, "share": 0.5, "kv": "q8_0"}
        assert isinstance(second.outcome, Infeasible)
        assert isinstance(third.outcome, Failed)
        assert third.outcome.log == ("last", "words")

    def test_its_facts_are_still_known_by_content(self, old):
        facts = old.facts("tiny-chat.1")
        old.append("tiny-chat.1", facts)
        assert old.facts("tiny-chat.1") == facts

    def test_it_goes_on(self, old):
        old.append("tiny-chat.1", [Proposed(number=3, params={})])
        assert old.facts("tiny-chat.1")[-1] == Proposed(number=3, params={})
        assert old.create("tiny-chat", document="", spec={}, environment={}).run == 2

    def test_it_is_migrated_once(self, old, home):
        before = (home / FILE).read_bytes()
        assert SqlStore.at(home).runs() == old.runs()
        assert (home / FILE).read_bytes() == before


def test_keys_of_a_newer_version_are_ignored(filled):
    document = json.dumps({"fact": "proposed", "number": 5, "params": {}, "invented_later": {"x": 1}})
    execute(filled, f"INSERT INTO facts VALUES (9, 'a.1', 'd', 'proposed', 5, 1, '{document}')")
    assert SqlStore.at(filled.parent).facts("a.1")[-1] == Proposed(number=5, params={})


def test_a_fact_of_a_newer_schema_is_refused(filled):
    execute(filled, "INSERT INTO facts VALUES (9, 'a.1', 'd', 'invented', 5, 3, '{}')")
    with pytest.raises(StudyError, match="has schema 3") as refused:
        SqlStore.at(filled.parent).facts("a.1")
    assert "upgrade" in refused.value.hint


def test_a_fact_that_is_none_is_refused(filled):
    execute(filled, "INSERT INTO facts VALUES (9, 'a.1', 'd', 'proposed', 5, 1, '{\"fact\": \"nothing\"}')")
    with pytest.raises(StudyError, match="cannot be read"):
        SqlStore.at(filled.parent).facts("a.1")


def test_a_database_of_a_newer_version_is_refused_and_left_alone(filled):
    execute(filled, "UPDATE alembic_version SET version_num = '9999'")
    before = filled.read_bytes()
    with pytest.raises(StudyError, match="newer Lading: its schema is 9999") as refused:
        SqlStore.at(filled.parent)
    assert "pip install --upgrade" in refused.value.hint
    assert filled.read_bytes() == before


def test_a_database_of_something_else_is_refused(home):
    home.mkdir()
    execute(home / FILE, "CREATE TABLE recipes (name)")
    with pytest.raises(StudyError, match="a database of something else: it has recipes"):
        SqlStore.at(home)


def _garbage(path):
    path.write_bytes(b"not a database at all, but long enough to have a header" * 100)


def _torn(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _overwritten(path):
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [_garbage, _torn, _overwritten])
def test_a_damaged_file_is_said_to_be(filled, damage):
    damage(filled)
    with pytest.raises(StudyError, match=r"studies\.db is damaged: ") as refused:
        SqlStore.at(filled.parent).facts("a.1")
    assert "backup" in refused.value.hint


def test_a_home_that_cannot_be_made_is_said_to_be(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StudyError, match="cannot be made: Not a directory") as refused:
        SqlStore.at(tmp_path / "file" / "home")
    assert "LADING_HOME" in refused.value.hint


def test_a_network_file_system_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(filesystem, "mounts", lambda: {"/": "ext4", str(tmp_path): "nfs4"})
    with pytest.raises(StudyError, match=r"network file system \(nfs4\)"):
        SqlStore.at(tmp_path / "home")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("/srv/data/x", "nfs4"), ("/srv/database", "ext4"), ("/srv/data/fast/y", "xfs"), ("/", "ext4")],
)
def test_the_innermost_mount_decides(folder, kind):
    mounts = {"/": "ext4", "/srv/data": "NFS4", "/srv/data/fast": "xfs"}
    assert filesystem.kind_of(Path(folder), mounts) == kind


def test_this_machine_has_a_root():
    assert filesystem.kind_of(Path("/").resolve(), filesystem.mounts() or {"/": "unknown"})
