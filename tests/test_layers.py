"""The tree is what the design says: checked by import-linter, in the tests as in CI."""

import pkgutil
import subprocess
import sys

from importlinter.cli import lint_imports

import lading.testing


def test_layers_hold():
    assert lint_imports(config_filename="pyproject.toml", no_cache=True) == 0


def test_what_ships_for_tests_needs_no_test_tools_but_for_the_suites():
    """A truth server, a fake, a tiny model are there for programs too; only the contract suites bring pytest."""
    suites = {
        "backends",
        "channels",
        "cluster",
        "destinations",
        "engines",
        "gpus",
        "load",
        "search",
        "sources",
        "stores",
        "volume",
    }
    rest = {module.name for module in pkgutil.iter_modules(lading.testing.__path__)} - suites - {"__main__"}
    code = "import importlib, sys\nfor tool in ('pytest', 'hypothesis'): sys.modules[tool] = None\n" + "".join(
        f"importlib.import_module('lading.testing.{name}')\n" for name in sorted(rest)
    )
    subprocess.run([sys.executable, "-c", code], check=True)
