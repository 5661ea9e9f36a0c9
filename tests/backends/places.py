"""Places for the contract of a backend: scripted servers, real llama.cpp, and an endpoint that runs anyway."""

import contextlib
import json
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import psutil

from lading.backends import asking, processes
from lading.backends.endpoint import EndpointBackend
from lading.backends.lease import Lease
from lading.backends.process import ProcessBackend
from lading.engines.base import Command
from lading.ports.backend import ServeRequest
from lading.spec.study import BackendChoice
from lading.testing import scripted_server
from lading.testing.scripted_engine import ScriptedEngine

BEHAVIOUR = {"well": "well", "silent": "hangs", "other_name": "other_name"}


class UncheckedLlamaCpp(ScriptedEngine):
    """llama.cpp without a catalogue: parameters are attributes, and nothing stops a bad one."""

    name = "llama.cpp"
    programs = ("xllamacpp",)
    probes = ()

    def command(self, launch):
        document = {
            "model.path": launch.model, "model_alias": [launch.served_name], "hostnames": [launch.host],
            "port": launch.port, "n_ctx": 512, "fit_params": False, **launch.params,
        }  # fmt: skip
        return Command(argv=(json.dumps(document),), env={"OMP_WAIT_POLICY": "PASSIVE"})

    def effective(self, answers, log):
        return {}


class ProcessPlace:
    """Processes of this machine; *backend* may be a mutant."""

    starts = True

    def __init__(self, home: Path, kind=ProcessBackend):
        self.home = home
        self.kind = kind
        self.leases = []

    def backend(self, behaviour="well"):
        return self.kind(BackendChoice(), home=self.home)

    def request(self, name, behaviour="well", *, lease=None):
        return ServeRequest(name=name, model="/model", served_name="tiny", engine=ScriptedEngine(["hello"]),
                            params={"behaviour": BEHAVIOUR[behaviour]}, lease=lease)  # fmt: skip

    def changed(self, request):
        return ServeRequest(name=request.name, model=request.model, served_name="tiny", engine=ScriptedEngine(["hi"]),
                            params=request.params)  # fmt: skip

    async def answer(self, endpoint):
        return await answer(endpoint)

    def lease(self):
        self.leases.append(Lease.acquire(self.home))
        return self.leases[-1].id

    def dead_lease(self):
        lease = Lease.acquire(self.home)
        lease.release()
        return lease.id

    def close(self):
        for lease in self.leases:
            lease.release()


class LlamaCppPlace(ProcessPlace):
    """Real llama.cpp servers of a tiny model."""

    def __init__(self, home: Path, gguf: Path):
        super().__init__(home)
        self.gguf = gguf

    def request(self, name, behaviour="well", *, lease=None):
        params = {"well": {}, "silent": {"n_parallel": 0}, "other_name": {"model_alias": ["another"]}}[behaviour]
        return ServeRequest(name=name, model=str(self.gguf), served_name="tiny", engine=UncheckedLlamaCpp(),
                            params=params, lease=lease)  # fmt: skip

    def changed(self, request):
        return ServeRequest(name=request.name, model=request.model, served_name="tiny", engine=request.engine,
                            params={"n_parallel": 2})  # fmt: skip


class EndpointPlace(ProcessPlace):
    """Three servers that run anyway, one per behaviour."""

    starts = False

    def __init__(self, home: Path, kind=EndpointBackend):
        super().__init__(home, kind)
        self.processes = {}

    def backend(self, behaviour="well"):
        return self.kind(BackendChoice(kind="endpoint", url=self._url(behaviour)), home=self.home)

    def request(self, name, behaviour="well", *, lease=None):
        return ServeRequest(name=name, model="/model", served_name="tiny", engine=ScriptedEngine(), params={},
                            lease=lease)  # fmt: skip

    def _url(self, behaviour):
        if behaviour not in self.processes:
            self.processes[behaviour] = start_scripted(behaviour=BEHAVIOUR[behaviour])
        return f"http://127.0.0.1:{self.processes[behaviour][1]}"

    def close(self):
        super().close()
        for process, _ in self.processes.values():
            process.kill()
            process.wait()


def start_scripted(**settings):
    """A scripted server beside any backend: the process, and its port once it listens."""
    port = processes.free_port("127.0.0.1")
    document = json.dumps({"port": port, "name": "tiny", **settings})
    process = subprocess.Popen([sys.executable, scripted_server.__file__, document], stdout=subprocess.DEVNULL)
    while not listens(port):
        assert process.poll() is None
    return process, port


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def answer(endpoint):
    """The model name in a real answer, None when nobody answers within a second."""
    async with asking.Client(endpoint.base_url, endpoint.headers) as client:
        body = {"model": endpoint.served_name, "prompt": "Hi", "max_tokens": 1}
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            return (await client.post("/v1/completions", body, within_s=5)).document["model"]
    return None


def end_all(home):
    """Kill every server that was started under *home*, recorded or not: they work in its folders."""
    for process in living(home):
        process.kill()
        process.wait()


def living(home):
    """The processes that work in folders of *home*."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and process.cwd().startswith(f"{home}/"):
                found.append(process)
    return found
