"""The public names of `lading`: all there, typed in one place, imported on first use."""

import subprocess
import sys

import lading


def test_every_public_name_is_there_once_and_in_order():
    assert sorted(set(lading.__all__)) == sorted(lading.__all__)
    assert set(lading.__all__) - {"__version__"} == set(lading._HOME_OF)
    assert all(getattr(lading, name) is not None for name in lading.__all__)


def test_no_public_name_is_hidden_by_a_subpackage():
    code = (
        "import pkgutil, lading\n"
        "inside = {found.name for found in pkgutil.iter_modules(lading.__path__)}\n"
        "print(inside & set(lading.__all__))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_import_lading_imports_nothing_else_of_ours():
    code = "import sys, lading; print([name for name in sys.modules if name.startswith('lading.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
