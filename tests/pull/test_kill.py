"""A pull killed at any moment, run again: finished files are not fetched again, as counted by the bytes the server sent.

Small files are made durable many at a time: what a kill takes of them is at most one batch, and not counted here.
"""

import hashlib
import os
import random
import signal
import subprocess
import time
from urllib.parse import urlsplit

import pytest
from tests.pull.conftest import MODEL, TOTAL, events_until, pulled, shown

from lading.testing import proxy
from lading.volume.together import SMALL_BYTES

SOAK = bool(os.environ.get("LADING_SOAK"))
KILLS = range(8) if SOAK else (0, 1, 6)
ROUNDS = 20 if SOAK else 1
OVERHEAD_BYTES = 200_000  # listings and headers, of both runs


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def durable(seen):
    """The files that were told as pulled, and are more than a batch of small ones."""
    return {path: size_bytes for path, size_bytes in pulled(seen).items() if size_bytes > SMALL_BYTES}


def check_published(volume):
    """By the tool that everybody has, against the digests of what the server had."""
    version = volume / "model" / "current"
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {path}\n" for path, data in MODEL.items())
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet"],
        input=sums,
        cwd=version,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    assert {path.name for path in version.iterdir()} == set(MODEL)


@pytest.mark.parametrize("finished", KILLS)
def test_a_killed_pull_from_a_web_server_goes_on(finished, server, start, tmp_path):
    volume = tmp_path / "volume"
    arguments = (f"{server.url}/model/SHA256SUMS", volume, "--expect", "any")
    server.slow = 0.01
    process = start(*arguments)
    seen = events_until(process, "file_pulled", finished) if finished else events_until(process, "pull_planned", 1)
    kill(process)
    assert shown(volume) == []

    kept = durable(seen)
    before = dict(server.sent)
    server.slow = 0
    again = start(*arguments)
    told = events_until(again, "published", 1)
    assert again.wait() == 0
    assert next(event for event in told if event["event"] == "pull_planned")["kept_bytes"] >= sum(kept.values())
    refetched = {path: server.sent[f"model/{path}"] - before.get(f"model/{path}", 0) for path in kept}
    assert set(refetched.values()) <= {0}
    assert not set(kept) & set(pulled(told))
    assert bool(kept) or finished < 6
    check_published(volume)


@pytest.mark.real("minio")
@pytest.mark.parametrize("round_", range(ROUNDS))
def test_a_killed_pull_from_minio_goes_on(round_, minio_environment, start, tmp_path):
    """Killed several times, at random moments; the bytes are counted between MinIO and the pull."""
    volume = tmp_path / "volume"
    bucket = f"kill-{os.urandom(6).hex()}"
    minio_environment.bucket(bucket, {f"model/{path}": data for path, data in MODEL.items()})
    address = urlsplit(minio_environment.endpoint)
    with proxy.counting(address.hostname, address.port) as counted:
        arguments = (
            f"s3://{bucket}/model",
            volume,
            "--endpoint",
            f"http://127.0.0.1:{counted.port}",
            "--expect",
            "any",
        )
        kept = 0
        chance = random.Random(round_)
        for finished in (6, 1):
            counted.rate_bytes_per_s = 4e6
            process = start(*arguments)
            seen = events_until(process, "file_pulled", finished)
            time.sleep(chance.uniform(0, 0.05))
            kill(process)
            assert shown(volume) == []
            kept = next(event for event in seen if event["event"] == "pull_planned")["kept_bytes"]
            kept += sum(durable(seen).values())
        counted.rate_bytes_per_s = None
        time.sleep(0.2)  # what the proxy still had in hand of the killed connections
        before = counted.sent_bytes
        again = start(*arguments)
        told = events_until(again, "published", 1)
        assert again.wait() == 0
        planned = next(event for event in told if event["event"] == "pull_planned")
        assert planned["kept_bytes"] >= kept > 0
        assert counted.sent_bytes - before <= TOTAL - planned["kept_bytes"] + OVERHEAD_BYTES
    check_published(volume)
