"""The tree is what the design says: checked by import-linter, in the tests as in CI."""

from importlinter.cli import lint_imports


def test_layers_hold():
    assert lint_imports(config_filename="pyproject.toml", no_cache=True) == 0
