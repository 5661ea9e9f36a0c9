"""Any sequence of operations, each of which may be cut at any call, leaves the volume equal to a dictionary's prediction."""

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from lading.errors import NotPublished, VolumeError
from lading.testing.crashes import Crash, CrashingFs, QuickFs, dead_process
from lading.testing.volume import check_whole, files_of, manifest, prunable, transfer, write
from lading.volume import find

SOAK = bool(os.environ.get("LADING_SOAK"))
MODELS = ("tiny", "org/big")
VERSIONS = ("v1", "v2", "v3")
models, versions = st.sampled_from(MODELS), st.sampled_from(VERSIONS)
cuts = st.none() | st.integers(0, 120)


def content(model, version):
    """What a version always has: the source does not change."""
    return {"config.json": f"{model} {version}".encode(), "sub/weights.bin": version.encode() * 100}


CONTENTS = {(model, version): content(model, version) for model in MODELS for version in VERSIONS}


class Volume(RuleBasedStateMachine):
    """The model: versions that must be there, versions that may be (an operation on them was cut), files that were finished."""

    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp(prefix="lading-stateful-"))
        self.root = self.folder / "volume"
        find.create_volume(self.root, fs=QuickFs())
        self.published = set()
        self.current = {}
        self.unsure = set()

    def teardown(self):
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)

    def cut(self, at, act):
        """Run *act* on a new process's view, which dies at call *at*; whether it ended, and what it raised."""
        fs = QuickFs() if at is None else CrashingFs(at)
        try:
            act(find.open_volume(self.root, fs=fs, me=dead_process()))
        except Crash:
            return False
        return True

    @rule(model=models, version=versions, cut=cuts, files=st.integers(0, 2))
    def stage(self, model, version, cut, files):
        """An interrupted pull: what its journal has is there next time, with its bytes."""
        wanted = content(model, version)
        finished = []

        def act(volume):
            with volume.stage(model, version, transfer(volume, model, version, wanted)) as staging:
                for path in list(wanted)[:files]:
                    if path not in staging.finished:
                        write(staging, path, wanted[path])
                    finished.extend(staging.finished)  # which makes durable what was written

        self.cut(cut, act)
        with find.open_volume(self.root, fs=QuickFs()).stage(
            model, version, transfer(find.open_volume(self.root), model, version, wanted)
        ) as staging:
            assert set(staging.finished) >= set(finished)
            for path in staging.finished:
                assert staging.read(path, 0, 10_000) == wanted[path]

    @rule(model=models, version=versions, use=st.booleans(), cut=cuts)
    def publish(self, model, version, use, cut):
        wanted = content(model, version)

        def act(volume):
            with volume.stage(model, version, transfer(volume, model, version, wanted)) as staging:
                for path in wanted:
                    if path not in staging.finished:
                        write(staging, path, wanted[path])
                volume.publish(staging, manifest(model, version, staging.finished), use=use)

        ended = self.cut(cut, act)
        if ended:
            self.published.add((model, version))
            if use:
                self.current[model] = version
        else:
            self.settle(model, version, was=(model, version) in self.published, current=use)

    @rule(model=models, version=versions, cut=cuts)
    def use(self, model, version, cut):
        def act(volume):
            try:
                volume.use(model, version)
            except NotPublished:
                assert (model, version) not in self.published

        if self.cut(cut, act):
            if (model, version) in self.published:
                self.current[model] = version
        else:
            self.settle(model, version, was=(model, version) in self.published, current=True)

    @rule(model=models, version=versions, cut=cuts)
    def remove(self, model, version, cut):
        others = {one for one in self.published if one[0] == model and one[1] != version}
        refused = []

        def act(volume):
            try:
                volume.remove(model, version)
            except VolumeError:
                refused.append(True)
                assert self.current.get(model) == version
                assert others

        if not self.cut(cut, act):
            self.settle_removal(model, version)
        elif not refused:
            self.published.discard((model, version))
            if self.current.get(model) == version:
                del self.current[model]

    @rule(keep=st.integers(1, 2), cut=cuts)
    def prune(self, keep, cut):
        plain = find.open_volume(self.root)
        doomed = {(found.model, found.version) for found in prunable(plain, keep)}
        assert not doomed & set(self.current.items())

        def act(volume):
            for found in prunable(volume, keep):
                volume.remove(found.model, found.version)

        if self.cut(cut, act):
            self.published -= doomed
        else:
            for model, version in doomed:
                self.settle_removal(model, version)

    @rule(cut=cuts)
    def sweep(self, cut):
        self.cut(cut, lambda volume: volume.sweep())

    def settle(self, model, version, *, was, current):
        """After a cut publish or use: it is there or not, and a version that was there still is."""
        plain = find.open_volume(self.root)
        there = (model, version) in self.now(plain)
        assert there or not was
        if there:
            self.published.add((model, version))
        found = plain.current(model)
        assert found in {self.current.get(model), version if current else None} or (
            found is None and not self.current.get(model)
        )
        if found is not None:
            self.current[model] = found

    def settle_removal(self, model, version):
        plain = find.open_volume(self.root)
        if (model, version) not in self.now(plain):
            self.published.discard((model, version))
        if self.current.get(model) == version and plain.current(model) is None:
            del self.current[model]

    @staticmethod
    def now(volume):
        return {(found.model, found.version) for found in volume.manifests()}

    @invariant()
    def is_as_predicted(self):
        if not hasattr(self, "root"):
            return
        volume = find.open_volume(self.root)
        assert self.now(volume) == self.published
        check_whole(volume, CONTENTS)
        for model in MODELS:
            assert volume.current(model) == self.current.get(model)
        for model, version in self.published:
            assert files_of(self.root / model / version) == content(model, version)


TestVolume = Volume.TestCase
TestVolume.settings = settings(
    max_examples=400 if SOAK else 25,
    stateful_step_count=40 if SOAK else 15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
