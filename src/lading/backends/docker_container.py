"""What a server's container is made of, and what the daemon says of one. Pure: documents in, values out."""

import hashlib
import json
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lading.backends.docker_mount import Mounted
from lading.errors import InvalidInput
from lading.manifests import ours
from lading.manifests.target import ENTRY, PORT
from lading.ports.backend import Deployment
from lading.spec import units

#: Label: the state folder that it belongs to; only what carries our own is ever touched.
OWNER = "lading.dev/owner"
ENGINE = "lading.dev/engine"
MODEL = ours.MODEL
ARGV = "lading.dev/argv-sha256"
#: With the host's network the daemon knows no port: it is written down.
HOST, PORT_LABEL = "lading.dev/host", "lading.dev/port"
#: What engines share between processes of several GPUs (NCCL); Docker gives 64 MiB.
_SHARED_MEMORY_BYTES = 2 * 2**30
_STACK_BYTES = 64 * 2**20
_PUBLISHED = f"{PORT}/tcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A container to be made.

    Attributes:
        owner: Whose it is (`OWNER`).
        network: ``bridge``: it listens on `PORT` inside, published on the deployment's host; ``host``: on a port of this machine.
        secrets: Environment that is told to the daemon and nowhere else.
        memory_bytes, cpus: Limits; None: none.
    """

    deployment: Deployment
    owner: str
    mounted: Mounted
    network: str
    gpus: int = 0
    memory_bytes: int | None = None
    cpus: float | None = None
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def container(self) -> str:
        """Its name for the daemon."""
        return container_name(self.deployment.name, self.owner)

    @property
    def digest(self) -> str:
        """Of all that was planned, lease and secrets' values apart: what has another one is another server."""
        plan = self.deployment
        known = [
            plan.argv, plan.image, dict(plan.env), sorted(self.secrets), plan.host, plan.port, self.network, self.gpus,
            self.mounted.source, self.memory_bytes, self.cpus,
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def container_name(name: str, owner: str) -> str:
    """What the container of the server *name* is called; two state folders never meet."""
    return f"lading-{name}-{owner[:8]}"


def limits(resources: Mapping[str, str]) -> tuple[int | None, float | None]:
    """Memory in bytes and processors, from `BackendChoice.resources`.

    Raises:
        InvalidInput: Another resource, or no quantity.
    """
    unknown = sorted(resources.keys() - {"cpu", "memory"})
    if unknown:
        raise InvalidInput(
            f"docker limits cpu and memory, not {', '.join(unknown)}", hint="GPUs are asked for by gpus:"
        )
    try:
        memory = units.parse_bytes(resources["memory"]) if "memory" in resources else None
        cpu = resources.get("cpu", "")
        cpus = float(cpu.removesuffix("m")) / (1000 if cpu.endswith("m") else 1) if cpu else None
    except ValueError as error:
        raise InvalidInput(f"resources: {error}", hint='such as {cpu: "4", memory: 16Gi}') from error
    return memory, cpus


def document(wanted: Wanted, *, port: int | None, gpu_ids: Sequence[str]) -> dict[str, Any]:
    """The body of ``POST /containers/create``.

    Args:
        wanted: What is to run.
        port: Of this machine; None: the daemon chooses a free one and holds it from then on.
        gpu_ids: Of the GPUs that it gets; empty with *wanted.gpus*: the daemon chooses.
    """
    plan = wanted.deployment
    entry = ENTRY.get(plan.program, ())
    words = plan.argv if port is None else tuple(word.replace("{port}", str(port)) for word in plan.argv)
    made: dict[str, Any] = {
        "Image": plan.image,
        "Cmd": list(words[len(entry) :]),
        "Env": [f"{name}={value}" for name, value in {**plan.env, **wanted.secrets}.items()],
        "Labels": labels(wanted, port),
        "HostConfig": {**_host_config(wanted, gpu_ids), **_network(wanted, port)},
    }
    if entry:
        made["Entrypoint"] = list(entry)
    if wanted.network == "bridge":
        made["ExposedPorts"] = {_PUBLISHED: {}}
    return made


def labels(wanted: Wanted, port: int | None) -> dict[str, str]:
    """What the container says of itself to any later process; never a secret."""
    plan = wanted.deployment
    found = {
        ours.MANAGED_BY: ours.MANAGER, OWNER: wanted.owner, ours.NAME: plan.name, ours.DIGEST: wanted.digest,
        ours.SERVED_NAME: plan.served_name, ENGINE: plan.engine.name, MODEL: plan.model, ARGV: plan.argv_sha256,
    }  # fmt: skip
    if wanted.network == "host":
        found |= {HOST: plan.host, PORT_LABEL: str(port)}
    return found if plan.lease is None else {**found, ours.LEASE: plan.lease}


def _host_config(wanted: Wanted, gpu_ids: Sequence[str]) -> dict[str, Any]:
    bind = {"Type": "bind", "Source": wanted.mounted.source, "Target": wanted.mounted.target, "ReadOnly": True}
    made: dict[str, Any] = {
        "Mounts": [bind],
        "RestartPolicy": {"Name": "no"},
        "LogConfig": {"Type": "local", "Config": {}},  # read back by `log`, whatever the daemon's default; rotates
        "SecurityOpt": ["no-new-privileges"],
        "IpcMode": "private",
        "Memory": wanted.memory_bytes or 0,
        "MemorySwap": wanted.memory_bytes or 0,  # the same: no swap beside it
        "NanoCpus": round((wanted.cpus or 0) * 1e9),
    }
    if wanted.gpus:
        ids = {"DeviceIDs": list(gpu_ids)} if gpu_ids else {"Count": wanted.gpus}
        made["DeviceRequests"] = [{"Driver": "nvidia", "Capabilities": [["gpu"]], **ids}]
        made["Ulimits"] = [_unlimited("memlock"), {"Name": "stack", "Soft": _STACK_BYTES, "Hard": _STACK_BYTES}]
    elif wanted.deployment.params.get("mlock"):
        made["Ulimits"] = [_unlimited("memlock")]
    if wanted.gpus > 1:
        made["ShmSize"] = _SHARED_MEMORY_BYTES
    return made


def _unlimited(name: str) -> dict[str, Any]:
    return {"Name": name, "Soft": -1, "Hard": -1}


def _network(wanted: Wanted, port: int | None) -> dict[str, Any]:
    if wanted.network == "host":
        return {"NetworkMode": "host"}
    binding = {"HostIp": wanted.deployment.host, "HostPort": str(port or "")}
    return {"NetworkMode": "bridge", "PortBindings": {_PUBLISHED: [binding]}}


# -------------------------------------------------------------------------------------------------- what the daemon says


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A container of ours, as the daemon shows it.

    Attributes:
        state: ``created``, ``running``, ``exited``, ``dead``, ``removing`` …
        argv: What the daemon runs, the words of the image's entry point in front.
        pid: On this machine; 0 when it does not run.
        started: The daemon started it at least once.
    """

    id: str
    labels: Mapping[str, str]
    state: str
    running: bool
    started: bool
    exit_code: int
    oom_killed: bool
    error: str
    pid: int
    image: str
    argv: tuple[str, ...]
    host: str
    port: int | None
    network: str
    device_ids: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The server's."""
        return self.labels[ours.NAME]

    @property
    def lease(self) -> str | None:
        """The run that owns it."""
        return self.labels.get(ours.LEASE)

    @property
    def url(self) -> str | None:
        """Where this machine asks it; None while there is no port."""
        if self.port is None:
            return None
        host = "127.0.0.1" if self.host in {"", "0.0.0.0"} else self.host  # noqa: S104 - not bound, read
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def seen(inspected: Mapping[str, Any]) -> Seen:
    """From the answer of ``GET /containers/ID/json``."""
    state, config = inspected["State"], inspected["Config"]
    host, port = _address(inspected)
    return Seen(
        id=inspected["Id"],
        labels=config.get("Labels") or {},
        state=state.get("Status", ""),
        running=bool(state.get("Running")),
        started=not str(state.get("StartedAt", "")).startswith("0001-"),
        exit_code=int(state.get("ExitCode", 0)),
        oom_killed=bool(state.get("OOMKilled")),
        error=str(state.get("Error") or ""),
        pid=int(state.get("Pid", 0)),
        image=str(config.get("Image", "")),
        argv=(str(inspected.get("Path", "")), *map(str, inspected.get("Args") or ())),
        host=host,
        port=port,
        network=str(inspected["HostConfig"].get("NetworkMode", "")),
        device_ids=tuple(_device_ids(inspected["HostConfig"])),
    )


def _address(inspected: Mapping[str, Any]) -> tuple[str, int | None]:
    """Host and port on this machine."""
    if inspected["HostConfig"].get("NetworkMode") == "host":
        labels = inspected["Config"].get("Labels") or {}
        return str(labels.get(HOST, "")), int(labels[PORT_LABEL]) if PORT_LABEL in labels else None
    bindings = ((inspected.get("NetworkSettings") or {}).get("Ports") or {}).get(_PUBLISHED) or ()
    for one in bindings:
        return str(one.get("HostIp", "")), int(one["HostPort"])
    return "", None


def _device_ids(host_config: Mapping[str, Any]) -> list[str]:
    requests = host_config.get("DeviceRequests") or ()
    return [str(one) for request in requests for one in request.get("DeviceIDs") or ()]


def ending(found: Seen) -> str:
    """How a container that does not run has ended, in words."""
    if found.oom_killed:
        return "killed for want of memory"
    code = found.exit_code
    if not found.started:
        return f"never started{': ' + found.error if found.error else ''}"
    if 128 < code <= 128 + 64:
        try:
            return f"killed by {signal.Signals(code - 128).name}"
        except ValueError:
            pass
    return f"exit status {code}"
