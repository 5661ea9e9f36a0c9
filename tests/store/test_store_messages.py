"""What a person is told of a store that cannot be used: the real command's words and exit code."""

import sqlite3

import pytest
from tests.testbed import golden

from lading.store.sql import FILE, SqlStore


def _filled(home):
    store = SqlStore.at(home)
    store.create("tiny", document="", spec={}, environment={})
    return home / FILE


def newer(home):
    with sqlite3.connect(_filled(home)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0042'")
    connection.close()


def damaged(home):
    path = _filled(home)
    path.write_bytes(path.read_bytes()[:5000])


def not_a_database(home):
    (home / FILE).write_text("notes to myself\n" * 50)


def of_something_else(home):
    with sqlite3.connect(home / FILE) as connection:
        connection.execute("CREATE TABLE recipes (name)")
    connection.close()


@pytest.mark.parametrize("spoil", [newer, damaged, not_a_database, of_something_else])
def test_a_store_that_cannot_be_used_is_left_as_it_is(lading, lading_home, spoil):
    spoil(lading_home)
    before = {path.name: path.read_bytes() for path in lading_home.iterdir()}
    done = lading("studies")
    golden.check("store", spoil.__name__.replace("_", "-"), golden.said(done).replace(str(lading_home), "HOME"))
    assert {path.name: path.read_bytes() for path in lading_home.iterdir()} == before
