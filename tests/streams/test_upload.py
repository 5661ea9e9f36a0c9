"""A folder of this machine onto a claim: whole, resumed after any kill, and over streams that break."""

import hashlib
import json
import os
import random
import signal
import subprocess
from contextlib import contextmanager

import pytest
from tests.testbed.api import wait

from lading.testing import proxy as proxies
from lading.volume import find

pytestmark = pytest.mark.real("cluster")
MIB = 1 << 20
BIG, SMALL = 96 * MIB, 2 * MIB


@pytest.fixture
def claim(namespace):
    """An empty claim."""
    return namespace.claim()


@pytest.fixture
def folder(tmp_path):
    """A model of two small files and a big one, which takes long enough to be killed in."""
    made = tmp_path / "model"
    made.mkdir()
    block = random.Random(3).randbytes(MIB)
    for name, count in (("a.bin", 2), ("b.bin", 2), ("weights.bin", BIG // MIB)):
        with (made / name).open("wb") as file:
            for number in range(count):
                file.write(number.to_bytes(8, "big") + block[8:])
    (made / "empty").touch()
    return made


def whole(claim, folder):
    """The claim has exactly one version of the model, each file as it is in *folder*."""
    volume = find.open_volume(claim.path)
    (manifest,) = volume.manifests()
    for file in manifest.files:
        with (volume.directory(manifest) / file.path).open("rb") as there, (folder / file.path).open("rb") as here:
            digest = hashlib.file_digest(there, "sha256").hexdigest()
            assert digest == hashlib.file_digest(here, "sha256").hexdigest() == file.sha256
    assert {file.path for file in manifest.files} == {path.name for path in folder.iterdir()}
    assert not volume.leftovers()


def events(text):
    return [json.loads(line) for line in text.splitlines()]


class Upload:
    """`lading pull FOLDER pvc://models/m --format json`, running; its events as they come."""

    def __init__(self, argv, folder, **env):
        argv = [*argv, "pull", str(folder), "pvc://models/m", "--expect", "any", "--format", "json"]
        self.process = subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **env}
        )
        self.seen = []

    def until(self, **wanted):
        """Read events up to the first that is as *wanted*."""
        for line in self.process.stdout:
            self.seen.append(json.loads(line))
            if wanted.items() <= self.seen[-1].items():
                return self.seen[-1]
        raise AssertionError(f"it ended without {wanted}: {self.process.communicate()[1]}")

    def under_way(self):
        """Both small files are there, and some of the big one."""
        self.pulled("a.bin", "b.bin")
        return self.until(event="pull_progress")

    def pulled(self, *paths):
        """These files are there."""
        while not {*paths} <= {event.get("path") for event in self.seen}:
            self.until(event="file_pulled")

    def end(self):
        """Its exit status; its last events are read."""
        out, err = self.process.communicate(timeout=150)
        self.seen += events(out)
        return self.process.returncode, err


@contextmanager
def by_proxy(namespace, folder):
    """A proxy before the API server that counts and can be cut, and the kubeconfig that leads through it."""
    document = json.loads(namespace.kubeconfig.read_text())
    cluster = document["clusters"][0]["cluster"]
    host, _, port = cluster["server"].removeprefix("https://").partition(":")
    with proxies.counting(host, int(port)) as proxy:
        cluster["server"] = f"https://127.0.0.1:{proxy.port}"
        (folder / "by-proxy").write_text(json.dumps(document))
        yield proxy, str(folder / "by-proxy")


def pods(namespace):
    return [pod["metadata"]["name"] for pod in namespace.get("pods") if "deletionTimestamp" not in pod["metadata"]]


def test_a_folder_arrives_whole_and_once(lading, namespace, claim, folder):
    command = ["pull", folder, "pvc://models/m", "--expect", "any"]
    first = lading(*command)
    assert first.returncode == 0, first.stderr
    whole(claim, folder)
    again = lading(*command, "--format", "json")
    assert (again.returncode, events(again.stdout)[-1]["event"]) == (0, "unchanged"), again.stderr
    wait("no pod is left", lambda: not pods(namespace))


def test_a_killed_client_is_resumed_by_the_next(lading_argv, namespace, claim, folder, tmp_path):
    """What was finished is not sent again: the bytes are counted on the way."""
    (folder / "big-2.bin").write_bytes(random.Random(4).randbytes(24 * MIB))
    first = Upload(lading_argv, folder)
    first.pulled("a.bin", "b.bin", "big-2.bin")
    first.process.kill()
    first.end()
    with by_proxy(namespace, tmp_path) as (proxy, kubeconfig):
        second = Upload(lading_argv, folder, KUBECONFIG=kubeconfig)
        kept = second.until(event="pull_planned")["kept_bytes"]
        code, err = second.end()
        sent = proxy.taken_bytes
    assert (code, kept >= 28 * MIB) == (0, True), err
    assert sent < BIG * 1.1
    assert {event["path"] for event in second.seen if event["event"] == "file_pulled"} <= {"weights.bin", "empty"}
    whole(claim, folder)


def test_an_interrupted_client_leaves_no_pod_and_keeps_what_was_finished(lading_argv, namespace, claim, folder):
    first = Upload(lading_argv, folder)
    first.under_way()
    first.process.send_signal(signal.SIGINT)
    code, err = first.end()
    assert (code, "finished files are kept" in err) == (130, True), err
    wait("no pod is left", lambda: not pods(namespace))
    second = Upload(lading_argv, folder)
    assert second.until(event="pull_planned")["kept_bytes"] >= 2 * SMALL
    assert second.end()[0] == 0
    whole(claim, folder)


def test_a_killed_pod_is_replaced_and_the_upload_goes_on(lading_argv, namespace, claim, folder):
    upload = Upload(lading_argv, folder)
    upload.under_way()
    (name,) = pods(namespace)
    namespace.kubectl("delete", "pod", name, "--grace-period=0", "--force", "--wait=false")
    code, err = upload.end()
    assert code == 0, err
    plans = [event for event in upload.seen if event["event"] == "pull_planned"]
    assert [plan["kept_bytes"] >= 2 * SMALL for plan in plans] == [False, True]
    whole(claim, folder)
    wait("no pod is left", lambda: not pods(namespace))


def test_a_connection_that_breaks_is_made_anew_to_the_same_pod(lading_argv, namespace, claim, folder, tmp_path):
    """As when a laptop sleeps or the API server restarts."""
    with by_proxy(namespace, tmp_path) as (proxy, kubeconfig):
        upload = Upload(lading_argv, folder, KUBECONFIG=kubeconfig)
        upload.under_way()
        before = pods(namespace)
        proxy.cut()
        upload.until(event="pull_planned")
        assert pods(namespace) == before
        code, err = upload.end()
    assert code == 0, err
    assert any("going on with what is finished" in event.get("message", "") for event in upload.seen)
    whole(claim, folder)
