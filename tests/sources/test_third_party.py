"""A source of somebody else's: a distribution with an entry point is all that it takes."""

import subprocess
import sys
import textwrap

import pytest

from lading import wiring
from lading.errors import InvalidInput, Missing
from lading.spec import ref as refs
from lading.spec.pull import Choices
from lading.testing.sources import SourceContract

MODULE = '''
    """Weights out of a shelf: a folder under another name. Reading is borrowed from folders."""

    import os
    from typing import ClassVar

    from lading.errors import InvalidReference
    from lading.sources.local import LocalSource
    from lading.spec.pull import PLAIN, Choices
    from lading.spec.ref import LocalRef, SourceRef


    class ShelfSource(LocalSource):
        understands: ClassVar = frozenset({"endpoint"})

        def __init__(self, *, choices: Choices = PLAIN) -> None:
            super().__init__(choices=choices)
            self._root = choices.endpoint or os.environ["SHELF"]

        async def resolve(self, ref):
            if not isinstance(ref, SourceRef) or ref.scheme != "shelf":
                raise InvalidReference(f"{ref} is not shelf://name")
            return await super().resolve(LocalRef(path=f"{self._root}/{ref.location}"))
'''


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The distribution ``lading-shelf``, as pip would leave it, in a folder that Python looks into."""
    site = tmp_path / "site"
    info = site / "lading_shelf-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "lading_shelf.py").write_text(textwrap.dedent(MODULE))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lading-shelf\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lading.sources]\nshelf = lading_shelf:ShelfSource\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("SHELF", str(tmp_path / "shelf"))
    monkeypatch.setenv("PYTHONPATH", str(site))
    yield tmp_path / "shelf"
    sys.modules.pop("lading_shelf", None)


class ShelfOrigin:
    ref = refs.parse("shelf://one")
    missing_ref = refs.parse("shelf://missing")

    def __init__(self, folder):
        self.root = folder / "one"

    def source(self):
        return wiring.source(self.ref, Choices())

    def put(self, path, data):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        file.write_bytes(data)

    def remove(self, path):
        (self.root / path).unlink()


class TestShelf(SourceContract):
    """Through the same door as ours: what `wiring.source` gives for its scheme keeps the contract."""

    @pytest.fixture
    def origin(self, installed):
        return ShelfOrigin(installed)


def test_it_is_listed_among_ours(installed):
    assert "shelf" in wiring.names("sources")


def test_it_takes_the_options_that_it_says_it_understands(installed, tmp_path):
    ref = refs.parse("shelf://one")
    assert wiring.source(ref, Choices(endpoint=str(tmp_path)))._root == str(tmp_path)
    with pytest.raises(InvalidInput, match="--requester-pays"):
        wiring.source(ref, Choices(requester_pays=True))


def test_a_scheme_that_nobody_has_is_told_with_the_nearest(installed):
    with pytest.raises(InvalidInput) as caught:
        wiring.source(refs.parse("shelv://one"), Choices())
    assert "shelf" in caught.value.hint


def test_a_distribution_that_is_broken_is_told_by_its_name(installed):
    (installed.parent / "site" / "lading_shelf.py").write_text("import a_module_that_is_not_there")
    with pytest.raises(Missing, match=r"lading-shelf 1\.0 .* 'shelf'.*a_module_that_is_not_there"):
        wiring.source(refs.parse("shelf://one"), Choices())


def test_the_command_pulls_from_it(installed, lading_argv, tmp_path, tiny_hf):
    ShelfOrigin(installed).root.mkdir(parents=True)
    for file in tiny_hf.iterdir():
        ShelfOrigin(installed).put(file.name, file.read_bytes())
    completed = subprocess.run(
        [*lading_argv, "pull", "shelf://one", "volume"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout.startswith("volume/one@")
