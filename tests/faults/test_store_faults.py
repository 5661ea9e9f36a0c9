"""Faults between a real MinIO and a pull: what passes is MinIO's own, but for one lie, silence or refusal at a time."""

import uuid
from dataclasses import dataclass

import pytest
from tests.faults.conftest import BIG, MIB, SMALL, check_told, outcome, whole_only
from tests.faults.test_web_faults import ALWAYS, Case, planned

import lading
from lading.errors import LadingError, SourceDenied, SourceError, VerificationFailed
from lading.events import Published
from lading.testing import faults, faulty

OBJECT = "*/model/part-0.bin"
OTHER = {path: data[::-1] for path, data in SMALL.items()}
OTHER_BIG = {path: data[::-1] for path, data in BIG.items()}
ENTITIES = (
    b'<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY a%d "%b">' % (n, b"&a%b;" % (str(n - 1).encode() if n else b"") * 10) for n in range(12))
    + b"]><ListBucketResult><Contents><Key>model/&a11;</Key></Contents></ListBucketResult>"
)
OUTSIDE = b'<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a SYSTEM "file:///etc/passwd">]><ListBucketResult><Name>&a;</Name></ListBucketResult>'


@dataclass
class StoreBed:
    """As `Bed`, for a bucket."""

    minio: object
    bucket: str
    server: faulty.Server
    volume: object
    content: dict[str, bytes]

    def __post_init__(self):
        self.also = []

    @property
    def stopping(self):
        return self.server.stopping

    def put(self, content):
        """Other content at the source."""
        client = self.minio.client()
        for path, data in content.items():
            client.put_object(Bucket=self.bucket, Key=f"model/{path}", Body=data)
        self.also.append(content)

    def pull(self):
        return lading.pull(
            f"s3://{self.bucket}/model", self.volume, endpoint=self.server.url, expect="any", model="model"
        )

    def check(self, *, published):
        assert bool(whole_only(self.volume, [self.content, *self.also])) == published


def replaced(bed):
    """When its first part was cut off: MinIO replaces nothing that is being read."""
    bed.server.plan(faults.cut(MIB), path=OBJECT, at=1)
    bed.server.plan(path=OBJECT, at=2 * MIB, skip=1, before=lambda: bed.put(OTHER_BIG))


def removed(bed):
    """Behind the listing: the rest is what the store has then."""
    bed.also.append({path: data for path, data in bed.content.items() if path != "part-0.bin"})
    bed.server.plan(
        faults.calls(lambda: bed.minio.client().delete_object(Bucket=bed.bucket, Key="model/part-0.bin")),
        path="*part-1.bin",
    )
    bed.server.plan(faults.s3_error(404, "NoSuchKey"), path=OBJECT, times=ALWAYS)


def listed(fault, times=ALWAYS):
    return lambda bed: bed.server.plan(fault, path=f"{bed.bucket}*", times=times)


def xml(body):
    return faults.status(200, ("Content-Type", "application/xml"), body=body)


CASES = [
    Case("store-503", planned(faults.s3_error(503, "SlowDown"), path=OBJECT, times=2)),
    Case("store-500", planned(faults.s3_error(500, "InternalError"), path="*part-*", times=3)),
    Case("store-reset", planned(faults.reset(1000), path="*part-*", times=3)),
    Case("store-cut", planned(faults.cut(100_000), path=OBJECT, times=4)),
    Case("store-stall", lambda bed: bed.server.plan(faults.stall(100_000, bed.stopping), path=OBJECT)),
    Case("store-wrong-bytes-once", planned(faults.wrong(at=5000), path=OBJECT)),
    Case("store-wrong-bytes-once-in-a-part", planned(faults.wrong(at=5000), path=OBJECT, at=16 * MIB + 1), content=BIG),
    Case("store-wrong-bytes-for-good", planned(faults.wrong(at=5000), path=OBJECT, times=ALWAYS), VerificationFailed),
    Case("store-listing-busy", listed(faults.s3_error(503, "SlowDown"), times=1)),
    Case("store-listing-reset", listed(faults.reset(50), times=1)),
    Case("store-listing-cut-short", listed(faults.cut(200)), SourceError),
    Case(
        "store-denied-mid-pull", planned(faults.s3_error(403, "AccessDenied"), path=OBJECT, times=ALWAYS), SourceDenied
    ),
    Case("store-replaced", replaced, content=BIG),
    Case("store-removed", removed),
    Case("store-listing-of-entities", listed(xml(ENTITIES)), SourceError),
    Case("store-listing-of-a-file-outside", listed(xml(OUTSIDE)), SourceError),
    Case("store-listing-deep", listed(xml(b"<a>" * 200_000)), SourceError),
    Case("store-listing-no-xml", listed(xml(b"<html>welcome to the portal</html>")), SourceError),
]


@pytest.fixture(scope="module")
def ran(at_once, minio):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in minio.environment.items():
            patch.setenv(name, value)

        def run(case, beds):
            bucket = f"faults-{uuid.uuid4().hex[:12]}"
            minio.bucket(bucket, {f"model/{path}": data for path, data in case.content.items()})
            made = beds(faulty.Upstream(minio.endpoint))
            bed = StoreBed(minio, bucket, made.server, made.volume, case.content)
            case.plan(bed)
            return bed, outcome(bed.pull)

        yield at_once(CASES, run)


@pytest.mark.real("minio")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_fault_of_the_way_to_a_store_is_healed_or_said(case, ran):
    bed, ended = ran[case.name].result()
    if case.ends is None:
        assert isinstance(ended, Published), f"{type(ended).__name__}: {ended}"
        bed.check(published=True)
        return
    assert isinstance(ended, LadingError), ended
    assert isinstance(ended, case.ends), f"{type(ended).__name__}: {ended}"
    check_told(case.name, ended, {bed.bucket: "BUCKET"})
    bed.check(published=False)
    if case.rerun:
        bed.server.clear()
        assert isinstance(bed.pull(), Published)
        bed.check(published=True)
