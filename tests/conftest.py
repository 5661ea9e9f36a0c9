"""Fixtures that all tests may use. Nothing outside the test's own folders is written: LADING_HOME is one of them."""

import pytest


@pytest.fixture(autouse=True)
def lading_home(tmp_path_factory, monkeypatch):
    """Lading's state folder, empty, one per test."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("LADING_HOME", str(home))
    monkeypatch.delenv("LADING_DEBUG", raising=False)
    return home
