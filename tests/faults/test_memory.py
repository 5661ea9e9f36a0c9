"""A pull takes little memory, however big the files are and whatever the server does: the system says how much."""

import sys

import pytest
from tests.faults.conftest import MIB, SOAK

from lading.testing import faults

SIZE_BYTES = (1024 if SOAK else 160) * MIB
MOST_BYTES = 200_000_000  # the interpreter and what it imports among them
FAULTS = {
    "cut again and again": lambda bed: bed.server.plan(faults.cut(3 * MIB), path="model/part-0.bin", times=30),
    "no ranges": lambda bed: setattr(bed.files, "ranges", False),
    "an endless head": lambda bed: bed.server.plan(
        faults.raw(b"HTTP/1.1 200 OK\r\n" + b"X" * 40_000_000), path="model/part-0.bin", times=3
    ),
    "an endless refusal": lambda bed: bed.server.plan(
        faults.status(500, body=b"x" * 60_000_000), path="model/part-0.bin", times=3
    ),
}


#: Runs the real command, then says how much memory this process ever had (a forked child's `ru_maxrss` begins with its parent's).
MEASURED = """
import sys
from lading.cli.app import main
try:
    main()
finally:
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    print(int(status["VmHWM"].split()[0]) * 1024, file=sys.stderr)
"""


@pytest.mark.parametrize("name", FAULTS if SOAK else ["cut again and again", "an endless head"])
def test_memory_is_bounded(name, bed, process):
    one = bed({"part-0.bin": bytes(range(251)) * (SIZE_BYTES // 251)})
    FAULTS[name](one)
    arguments = ("pull", one.address, one.volume, "--expect", "any", "--model", "model")
    pulling = process(*arguments, argv=(sys.executable, "-c", MEASURED))
    _, said = pulling.communicate(timeout=170)
    assert pulling.returncode == 0, said
    assert int(said.split()[-1]) < MOST_BYTES
    one.check(published=True)
