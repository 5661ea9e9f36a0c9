"""Every fault of a web server: healed, or one clear sentence. Never a wrong byte published, and a rerun completes.

The cases run a few at a time, as most of what they do is wait; each test looks at one of them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from tests.faults.conftest import BIG, MIB, SMALL, SOAK, Bed, check_told, outcome

from lading.errors import (
    LadingError,
    SourceChanged,
    SourceDenied,
    SourceError,
    SourceMissing,
    SourceTransient,
    VerificationFailed,
)
from lading.events import Published
from lading.sources import get
from lading.testing import faults

ALWAYS = None
BODY = "model/part-*"
OTHER = {path: data[::-1] for path, data in SMALL.items()}
OTHER_FIRST = SMALL | {"part-0.bin": OTHER["part-0.bin"]}
OTHER_BIG = {path: data[::-1] for path, data in BIG.items()}


@dataclass(frozen=True)
class Case:
    """*plan* sets the faults up; *ends* is the error expected, None: it is healed."""

    name: str
    plan: Callable[[Bed], object]
    ends: type[LadingError] | None = None
    content: dict[str, bytes] = field(default_factory=lambda: SMALL)
    rerun: bool = True

    def __str__(self):
        return self.name


def planned(*answers: faults.Fault, path=BODY, **options):
    return lambda bed: bed.server.plan(*answers, path=path, **options)


def each(fault, **options):
    """One such fault for every file."""

    def plan(bed):
        for path in bed.content:
            bed.server.plan(fault, path=f"model/{path}", **options)

    return plan


def stalled(bed):
    bed.server.plan(faults.stall(100_000, bed.stopping), path="model/part-0.bin")


def dripped(bed):
    """Over a few pieces only; at this pace the file would take a day."""
    bed.server.plan(faults.drip(10, bed.stopping, after_bytes=100_000), path="model/part-0.bin")


def dripped_for_good(bed):
    bed.server.plan(faults.drip(10, bed.stopping, after_bytes=100_000), path="model/part-0.bin", times=ALWAYS)


def chain(length):
    """*length* redirects, then the file."""

    def plan(bed):
        bed.files.files["real.bin"] = bed.content["part-0.bin"]
        for step in range(length):
            target = f"/hop-{step + 1}" if step + 1 < length else "/real.bin"
            bed.server.plan(
                faults.redirect(target), path="model/part-0.bin" if step == 0 else f"hop-{step}", times=ALWAYS
            )

    return plan


def expired_then_good(bed):
    """A server that says no now and then while it reads its own configuration."""
    bed.server.plan(faults.cut(100_000), path="model/part-0.bin")
    bed.server.plan(faults.status(403), path="model/part-0.bin", times=ALWAYS)


def replaced(honours):
    """The file becomes another one while its first part is read; *honours*: the server knows If-Match."""

    def plan(bed):
        bed.files.honours_if_match = honours
        swap = faults.calls(lambda: bed.put(OTHER_BIG), after_bytes=MIB)
        bed.server.plan(swap, faults.cut(2 * MIB), path="model/part-0.bin", at=1)

    return plan


def replaced_silently(bed):
    """Of the same mark: only the digest can tell."""
    for method in ("HEAD", "GET"):
        bed.server.plan(faults.header("ETag", '"one"'), path="model/part-0.bin", method=method, times=ALWAYS)
    bed.files.honours_if_match = False
    bed.server.plan(
        faults.calls(lambda: bed.put(OTHER_FIRST, listed=False), after_bytes=100_000),
        faults.cut(200_000),
        path="model/part-0.bin",
    )


def unranged(bed):
    bed.files.ranges = False
    bed.server.plan(faults.cut(300_000), path="model/part-0.bin")


def unranged_big(bed):
    bed.files.ranges = False


def unlisted_while_read(bed):
    """A file goes away behind the listing."""
    bed.server.plan(faults.calls(lambda: bed.files.files.pop("model/part-1.bin", None)), path="model/part-0.bin")
    bed.server.plan(faults.status(404), path="model/part-1.bin", times=ALWAYS)


def nonsense(answer):
    """Chunks without sizes."""
    plain = answer.with_header("Content-Length", None).with_header("Transfer-Encoding", "chunked")
    return replace(plain, body=iter((b"zz\r\nhello",)), then="close")


CASES = [
    # -------------------------------------------------------------------------------------------------- busy, failing
    Case("503", planned(faults.status(503), times=2)),
    Case("503-retry-after", planned(faults.status(503, ("Retry-After", "1")), times=2)),
    Case("503-retry-after-nonsense", planned(faults.status(503, ("Retry-After", "soon; -1e999")), times=2)),
    Case("503-for-all", each(faults.status(503))),
    Case("429", planned(faults.status(429, ("Retry-After", "0")), times=3)),
    Case("500", planned(faults.status(500, body=b"x" * 100_000), times=2)),
    Case("503-for-the-list", planned(faults.status(503), path="model/SHA256SUMS", times=2)),
    Case("500-for-good", planned(faults.status(500), path="model/part-0.bin", times=ALWAYS), SourceTransient),
    Case("418", planned(faults.status(418), path="model/part-0.bin", times=ALWAYS), SourceError),
    # ---------------------------------------------------------------------------------------------------- cut, silent
    Case("reset", each(faults.reset(1000))),
    Case("reset-at-once", planned(faults.raw(b"", "reset"), times=3)),
    Case(
        "reset-in-each-part",
        lambda bed: [
            bed.server.plan(faults.reset(MIB // 2), path="model/part-0.bin", at=at) for at in (1, 16 * MIB + 1)
        ],
        content=BIG,
    ),
    Case("truncated", each(faults.cut(2000))),
    Case("truncated-again-and-again", planned(faults.cut(100_000), path="model/part-0.bin", times=6)),
    Case("truncated-for-good", planned(faults.cut(0), path="model/part-0.bin", times=ALWAYS), SourceTransient),
    Case("stalled", stalled),
    Case("dripped", dripped),
    # ---------------------------------------------------------------------------------------------------- wrong bytes
    Case("wrong-bytes-once", planned(faults.wrong(at=5000), path="model/part-0.bin")),
    Case(
        "wrong-bytes-once-in-a-part",
        planned(faults.wrong(at=5000), path="model/part-0.bin", at=16 * MIB + 1),
        content=BIG,
    ),
    Case(
        "wrong-bytes-for-good",
        planned(faults.wrong(at=5000), path="model/part-0.bin", times=ALWAYS),
        VerificationFailed,
    ),
    Case("replaced-with-the-same-mark", replaced_silently, VerificationFailed, rerun=False),
    # --------------------------------------------------------------------------------------------------- wrong length
    Case("longer", planned(faults.longer(), path="model/part-0.bin", times=ALWAYS), SourceChanged),
    Case("longer-once", planned(faults.longer(), path="model/part-0.bin"), SourceChanged),
    Case("longer-than-told", planned(faults.longer(told=False), path="model/part-*")),
    Case("shorter", planned(faults.shorter(100), path="model/part-0.bin", times=ALWAYS), SourceChanged),
    # ------------------------------------------------------------------------------------------------------ redirects
    Case("redirect-chain", chain(4)),
    Case(
        "redirect-loop",
        planned(faults.redirect("/model/part-0.bin"), path="model/part-0.bin", times=ALWAYS),
        SourceError,
    ),
    Case("redirect-chain-too-long", chain(9), SourceError),
    Case("redirect-to-a-file", planned(faults.redirect("file:///etc/passwd"), path="model/part-0.bin"), SourceError),
    Case("redirect-to-nothing", planned(faults.status(302), path="model/part-0.bin", times=ALWAYS), SourceError),
    Case("redirect-odd", planned(faults.redirect("http://[::1"), path="model/part-0.bin", times=ALWAYS), SourceError),
    # --------------------------------------------------------------------------------------------------------- denied
    Case("denied-mid-pull", expired_then_good, SourceDenied),
    Case("denied", planned(faults.status(401), path="model/part-0.bin", times=ALWAYS), SourceDenied),
    # ------------------------------------------------------------------------------------------------------- replaced
    Case("replaced-412", replaced(True), content=BIG),
    Case("replaced-if-match-ignored", replaced(False), content=BIG),
    Case("gone-mid-pull", unlisted_while_read, SourceMissing, rerun=False),
    # --------------------------------------------------------------------------------------------------------- ranges
    Case("range-ignored", unranged),
    Case("range-ignored-in-parts", unranged_big, content=BIG),
    Case(
        "content-range-of-elsewhere",
        planned(
            faults.header("Content-Range", "bytes 5-99/17825792"),
            path="model/part-0.bin",
            at=16 * MIB + 1,
            times=ALWAYS,
        ),
        SourceError,
        content=BIG,
    ),
    Case(
        "content-range-of-another-size",
        planned(
            faults.header("Content-Range", f"bytes {16 * MIB}-{17 * MIB - 1}/999999999"),
            path="model/part-0.bin",
            at=16 * MIB + 1,
            times=ALWAYS,
        ),
        SourceChanged,
        content=BIG,
    ),
    Case(
        "content-range-missing",
        planned(faults.header("Content-Range", None), path="model/part-0.bin", at=16 * MIB + 1, times=ALWAYS),
        SourceError,
        content=BIG,
    ),
    Case("416", planned(faults.status(416), path="model/part-0.bin", times=ALWAYS), SourceError),
    # -------------------------------------------------------------------------------------------------------- framing
    Case("chunked", planned(faults.chunked, times=ALWAYS)),
    Case("chunked-cut", planned(faults.chunked, faults.cut(9000), times=2)),
    Case(
        "chunked-nonsense",
        planned(nonsense, times=2),
    ),
    Case("no-length", planned(faults.until_close, times=ALWAYS)),
    Case("http-1.0", planned(faults.http10, times=ALWAYS)),
    Case("http-1.0-cut", planned(faults.http10, faults.cut(9000), times=2)),
    Case("encoded", planned(faults.encoded, path="model/part-0.bin", times=ALWAYS), SourceError),
    # ---------------------------------------------------------------------------------------------------- hostile heads
    Case("not-http", planned(faults.raw(b"\x16\x03\x01\x02\x00\x01\x00" * 50), times=2)),
    Case("head-huge", planned(faults.also(("X-Huge", "x" * 200_000)), times=2)),
    Case("head-of-1000-lines", planned(faults.also(*[("X-Line", "x")] * 1000), times=2)),
    Case(
        "head-without-end", planned(faults.raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50 + b"X" * 3_000_000), times=2)
    ),
    Case("head-binary", planned(faults.also(("X-\x80\xff", "\x00\x01\xfe")), times=2)),
    Case("two-lengths", planned(faults.also(("Content-Length", "5")), path="model/part-0.bin", times=ALWAYS)),
    Case(
        "length-and-chunked",
        planned(faults.chunked, faults.also(("Content-Length", "5")), path="model/part-0.bin", times=ALWAYS),
    ),
    Case("length-negative", planned(faults.header("Content-Length", "-5"), path="model/part-0.bin", times=2)),
    Case("length-nonsense", planned(faults.header("Content-Length", "lots"), path="model/part-0.bin", times=2)),
    Case("status-nonsense", planned(faults.raw(b"HTTP/1.1 9x9 OK\r\n\r\n"), times=2)),
    Case("100-continue-forever", planned(faults.raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 2000), times=2)),
]
SLOW = [
    Case("stalled-for-good", lambda bed: bed.server.plan(faults.stall(9, bed.stopping), path="model/part-0.bin", times=ALWAYS), SourceTransient),
    Case("dripped-for-good", dripped_for_good, SourceTransient),
]  # fmt: skip
TABLE = CASES + (SLOW if SOAK else [])


def run(case, beds):
    bed = beds(case.content)
    case.plan(bed)
    return bed, outcome(bed.pull)


@pytest.fixture(scope="module")
def ran(at_once):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(get, "STALL_S", 4.0)
        yield at_once(TABLE, run)


@pytest.mark.parametrize("case", TABLE, ids=str)
def test_a_fault_is_healed_or_said(case, ran):
    bed, ended = ran[case.name].result()
    if case.ends is None:
        assert isinstance(ended, Published), f"{type(ended).__name__}: {ended}"
        bed.check(published=True)
        return
    assert isinstance(ended, case.ends), f"{type(ended).__name__}: {ended}"
    check_told(case.name, ended)
    bed.check(published=False)
    if case.rerun:
        bed.server.clear()
        assert isinstance(bed.pull(), Published)
        bed.check(published=True)
