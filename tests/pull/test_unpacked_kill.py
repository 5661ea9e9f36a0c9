"""A pull of an archive that is killed: nothing is visible, and the same command again gives the whole model."""

import random

import pytest
from tests.pull.conftest import events_until, shown
from tests.weights.tars import COMPRESS, packed

from lading.testing import web

FILES = {f"part-{number}.bin": random.Random(number).randbytes(400_000) for number in range(6)}


@pytest.mark.parametrize("name", ["m.tar", "m.tar.gz"])
def test_killed_in_the_middle_it_is_whole_at_the_second_try(start, tmp_path, name):
    data = packed({f"m/{path}": content for path, content in FILES.items()})
    with web.serving({name: data if name == "m.tar" else COMPRESS["tar.gz"](data)}) as server:
        arguments = (f"{server.url}/{name}", "volume", "--expect", "any", "--version", "v1")
        server.slow = 0.02
        first = start(*arguments)
        events_until(first, "file_pulled", 2)
        first.kill()
        first.wait()
        assert shown(tmp_path / "volume") == []
        server.slow = 0.0
        second = start(*arguments)
        told = events_until(second, "published", 1)
        assert second.wait() == 0
        assert told[-1]["event"] == "published"
    assert {path.name: path.read_bytes() for path in (tmp_path / "volume/m/v1").iterdir()} == FILES
