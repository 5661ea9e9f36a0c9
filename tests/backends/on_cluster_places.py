"""Places for the contract of a backend on the real cluster: real llama.cpp in its image, a tiny model on a real claim."""

import asyncio
import contextlib
import ipaddress
import json
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
from tests.backends.places import UncheckedLlamaCpp

from lading.backends.deployment import DeploymentBackend
from lading.backends.lease import Lease
from lading.engines.base import Command
from lading.manifests import target as targets
from lading.ports.backend import OnClaim, ServeRequest
from lading.spec.study import BackendChoice
from lading.testing import tiny_llama

FOLDER = "tiny/v1"
FILE = "tiny.gguf"
SMALL = {"cpu": "50m", "memory": "512Mi"}
_ASK = """
import json, sys, urllib.request
url, body = sys.argv[1:]
asked = urllib.request.Request(url, body.encode(), {"Content-Type": "application/json"})
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
print(json.load(opener.open(asked, timeout=5))["model"])
"""


class UncheckedLlamaServer(UncheckedLlamaCpp):
    """`llama-server` without a catalogue: parameters are flags, and nothing stops a bad one."""

    programs = ("llama-server",)

    def command(self, launch):
        own = {"--model": launch.model, "--alias": launch.served_name, "--host": launch.host, "--port": launch.port}
        flags = {
            **own,
            "--ctx-size": 512,
            **{f"--{key.replace('_', '-')}": value for key, value in launch.params.items()},
        }
        return Command(argv=tuple(str(word) for pair in flags.items() for word in pair))


class HangingLlama(UncheckedLlamaCpp):
    """The engine image's other program, which takes no slots at all: it says that it is ready, and never answers."""

    programs = ("launcher",)
    entry = ("python3", "/opt/engine/xllamacpp_server.py")


class DeploymentPlace:
    """A namespace of the real cluster with a model on a claim, used as its user may; *kind* may be a mutant."""

    starts = True

    def __init__(self, namespace, home, image, kind=DeploymentBackend, modes=("ReadWriteOnce",)):
        self.namespace, self.home, self.image, self.kind = namespace, home, image, kind
        self.leases = []
        self.entries = pytest.MonkeyPatch()
        self.entries.setitem(targets.ENTRY, *HangingLlama.programs, HangingLlama.entry)
        namespace.allow_serving()
        claim = namespace.claim("models", modes=modes)
        folder = claim.path / FOLDER
        folder.mkdir(parents=True)
        tiny_llama.write_gguf(folder / FILE)

    def backend(self, behaviour="well", **choice):
        given = {"kind": self.kind.form.kind, "image": self.image, "resources": SMALL, **choice}
        return self.kind(BackendChoice(**given), home=self.home)

    def request(self, name, behaviour="well", *, lease=None, **params):
        given = {"well": {}, "silent": {"n_parallel": 0}, "other_name": {"alias": "another"}}[behaviour]
        engine = HangingLlama() if behaviour == "silent" else UncheckedLlamaServer()
        claim = OnClaim(namespace=self.namespace.name, claim="models", path=FOLDER, file=FILE)
        return ServeRequest(name=name, model=f"pvc://models/{FOLDER}", served_name="tiny", claim=claim, lease=lease,
                            engine=engine, params={**given, **params}, format="gguf")  # fmt: skip

    def changed(self, request):
        return self.request(request.name, parallel=2)

    async def answer(self, endpoint):
        return await asyncio.to_thread(self.asked, endpoint)

    def asked(self, endpoint):
        """The model name by the Service's own address, from this host, which is the node; None when nobody answers."""
        ipaddress.ip_address(urlsplit(endpoint.base_url).hostname)
        body = json.dumps({"model": endpoint.served_name, "prompt": "Hi", "max_tokens": 1})
        argv = [sys.executable, "-c", _ASK, f"{endpoint.base_url}/v1/completions", body]  # no socket of the test's own
        while True:
            behind = self._behind(urlsplit(endpoint.base_url).hostname)
            with contextlib.suppress(subprocess.TimeoutExpired):
                done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=10)
                if done.returncode == 0:
                    return done.stdout.strip()
            if not behind:
                return None  # else the node's proxy is about to learn of the pod

    def _behind(self, address):
        """The pods that the Service of that address has now."""
        services = [
            one["metadata"]["name"] for one in self.namespace.get("services") if one["spec"].get("clusterIP") == address
        ]
        slices = self.namespace.get("endpointslices", root="/apis/discovery.k8s.io/v1")
        return [
            endpoint["targetRef"]["name"]
            for one in slices if one["metadata"]["labels"]["kubernetes.io/service-name"] in services
            for endpoint in one.get("endpoints") or () if endpoint["conditions"].get("ready")
        ]  # fmt: skip

    def lease(self):
        self.leases.append(Lease.acquire(self.home))
        return self.leases[-1].id

    def dead_lease(self):
        lease = Lease.acquire(self.home)
        lease.release()
        return lease.id

    def close(self):
        self.entries.undo()
        for lease in self.leases:
            lease.release()
