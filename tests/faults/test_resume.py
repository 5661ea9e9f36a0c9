"""A pull killed half way and run again: only what was not finished is fetched, as counted by who sent it; and what was kept on
disk is checked before it is trusted."""

import os
import signal
import time
import uuid

import pytest
from tests.faults.conftest import MIB, SOAK, events, model, whole_only

from lading.testing import faulty

SIZES = (48 * MIB, 24 * MIB, 16 * MIB, 7 * MIB, 900_000, 40_000)
CONTENT = model(*(size * (4 if SOAK else 1) for size in SIZES))
TOTAL = sum(map(len, CONTENT.values()))
LESS = model(20 * MIB, 9 * MIB, 900_000, 40_000)
#: Half, and what was under way: a part of 2 MiB on each of some connections, which are more of a small model.
REFETCHED = 0.55 if SOAK else 0.6
OTHER = {path: data[::-1] for path, data in LESS.items()}
RATE_BYTES_PER_S = 12 * MIB


@pytest.fixture
def store(minio_environment, request):
    """The model in a real MinIO, behind a server that counts and holds what it sends."""
    bucket = f"resume-{uuid.uuid4().hex[:12]}"
    content = getattr(request, "param", LESS)
    minio_environment.bucket(bucket, {f"model/{path}": data for path, data in content.items()})
    with faulty.serving(faulty.Upstream(minio_environment.endpoint)) as server:
        yield Store(minio_environment, bucket, server, content)


class Store:
    def __init__(self, minio, bucket, server, content):
        self.minio, self.bucket, self.server = minio, bucket, server
        self.total_bytes = sum(map(len, content.values()))

    @property
    def sent_bytes(self):
        """Of objects; listings do not count."""
        return self.server.sent("*/part-*")

    def put(self, content):
        client = self.minio.client()
        for path, data in content.items():
            client.put_object(Bucket=self.bucket, Key=f"model/{path}", Body=data)

    def arguments(self, volume):
        source = f"s3://{self.bucket}/model"
        return ("pull", source, volume, "--endpoint", self.server.url, "--expect", "any", "--format", "json")


@pytest.fixture
def killed(store, process, tmp_path):
    """Kills a pull when half of the bytes were sent, at so many a second; gives its volume."""

    def kill(rate_bytes_per_s=60 * MIB):
        volume = tmp_path / "volume"
        store.server.rate_bytes_per_s = rate_bytes_per_s
        store.server.pass_bytes = half = store.total_bytes // 2
        running = process(*store.arguments(volume))
        until(lambda: store.server.sent_bytes >= half or running.poll() is not None)
        assert running.poll() is None, running.communicate()
        running.send_signal(signal.SIGKILL)
        running.wait()
        assert whole_only(volume, []) == []
        store.server.rate_bytes_per_s = store.server.pass_bytes = None
        return volume

    return kill


def until(holds, seconds=60):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.01)


def rerun(store, process, volume):
    """Run it again to its end; what it told, and how many bytes of files were sent for it."""
    until(lambda: settled(store.server))
    before = store.sent_bytes
    again = process(*store.arguments(volume))
    said, complaint = again.communicate(timeout=120)
    assert again.returncode == 0, complaint
    return events(said), store.sent_bytes - before


def settled(server):
    """Whether nothing is being sent to those who were killed."""
    before = server.sent_bytes
    time.sleep(0.1)
    return server.sent_bytes == before


@pytest.mark.real("minio")
@pytest.mark.parametrize("store", [CONTENT], indirect=True, ids=["bigger"])
def test_killed_half_way_little_more_than_half_is_fetched_again(store, killed, process):
    volume = killed(RATE_BYTES_PER_S)
    told, sent_bytes = rerun(store, process, volume)
    assert sent_bytes <= REFETCHED * TOTAL
    assert sent_bytes <= TOTAL - told[0]["kept_bytes"]
    assert whole_only(volume, [CONTENT])
    assert leftovers(volume) == []


@pytest.mark.real("minio")
def test_what_was_kept_on_disk_and_then_damaged_is_fetched_again(store, killed, process):
    """A bit flipped in a kept part of each file, one file truncated, the journal torn: a right model all the same."""
    volume = killed()
    staged = sorted(
        (path for path in staging(volume) if path.stat().st_size > MIB), key=lambda path: path.stat().st_size
    )
    for path in staged:
        with path.open("r+b") as file:
            file.seek(1000)
            byte = file.read(1)
            file.seek(1000)
            file.write(bytes([byte[0] ^ 1]))
    os.truncate(staged[0], staged[0].stat().st_size // 2)
    journal = next((volume / ".lading/journal").glob("*.jsonl"))
    with journal.open("ab") as file:
        file.write(
            b'{"parts": {"path": "part-0.bin", "inode": 1, "done": [[0, 99999999999999999999, "x"]]}}\n' + HOSTILE
        )
    rerun(store, process, volume)
    assert whole_only(volume, [LESS])
    assert leftovers(volume) == []


HOSTILE = (
    b"\xff\x00\n"
    + b"[" * 100_000
    + b'\n{"file": {"path": "../../escaped", "size_bytes": 0, "sha256": "x"}}\n{"parts": {"path": "par'
)


@pytest.mark.real("minio")
def test_another_revision_after_the_kill_is_never_mixed_with_what_was_kept(store, killed, process):
    volume = killed()
    store.put(OTHER)
    rerun(store, process, volume)
    assert whole_only(volume, [OTHER])


def staging(volume):
    return [path for path in (volume / ".lading/incoming").rglob("*") if path.is_file()]


def leftovers(volume):
    """What lies in Lading's own folder beside manifests, history and the volume's document."""
    return [path for name in ("incoming", "journal", "removing") for path in (volume / ".lading" / name).glob("*")]
