"""What the artefacts are made from: one server, decided, with where it came from.

An artefact is a function of a `Target` alone, so that the same winner gives the same files on every machine.
"""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from lading.engines import gpus as counting
from lading.engines.base import Command, Engine, Launch, Params, Value

MOUNT = "/mnt/models"
"""Where a container finds the weights: KServe's place, used for all."""
PORT = 8080
CLAIM_PLACEHOLDER = "my-models-claim"
#: How a program is called inside its image; others start by the image's own entry point.
ENTRY: Mapping[str, tuple[str, ...]] = {
    "llama-server": ("/app/llama-server",),
    "vllm serve": ("vllm", "serve"),
    "python3 -m sglang.launch_server": ("python3", "-m", "sglang.launch_server"),
}
#: What an engine is given so that it can be asked about itself while it is measured; it opens doors that a service keeps shut.
MEASURING_ONLY = frozenset({"VLLM_SERVER_DEV_MODE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPlace:
    """Where the weights are.

    Attributes:
        host_path: The folder on this machine.
        file: The one file in it, where the engine takes a file (GGUF); None: the engine takes the folder.
        claim: The PersistentVolumeClaim; None: not known, a placeholder is written.
        claim_path: The folder below the claim's root: ``<model>/<version>``.
    """

    host_path: str
    claim_path: str
    file: str | None = None
    claim: str | None = None

    @property
    def on_host(self) -> str:
        """The path the server is given on this machine."""
        return f"{self.host_path}/{self.file}" if self.file else self.host_path

    @property
    def in_container(self) -> str:
        """The path the server is given inside a container."""
        return f"{MOUNT}/{self.file}" if self.file else MOUNT


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One server to run.

    Attributes:
        name: A DNS label (`names.dns`); every object is called by it.
        params: Canonical, only what was asked for.
        argv: The whole command line that was measured on this machine, a free port as ``{port}``; empty: none recorded.
        program: The engine's program that was measured; None where that is not known.
        env: Environment of the server, without secrets.
        passed_env: Variables it needs that are not written with a value: by name from where it runs.
        origin: Lines that say where it came from: the study, the trial, its score, its gain.
        namespace: None: left out, so that `kubectl -n` decides.
        gpus: None: by the parameters, see `gpus`.
        cpus, memory: Kubernetes quantities; None: no request is written.
        image: None: the engine's own.
        port: Where it listens inside its container.
    """

    name: str
    served_name: str
    engine: Engine
    params: Params
    model: ModelPlace
    argv: tuple[str, ...] = ()
    program: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    passed_env: tuple[str, ...] = ()
    origin: tuple[str, ...] = ()
    namespace: str | None = None
    gpus: int | None = None
    cpus: str | None = None
    memory: str | None = None
    image: str | None = None
    port: int = PORT

    @property
    def secret(self) -> str:
        """The name of the Kubernetes Secret that holds `passed_env`."""
        return f"{self.name}-env"

    @property
    def claim(self) -> str:
        """The claim's name, or its placeholder."""
        return self.model.claim or CLAIM_PLACEHOLDER


def container_program(engine: Engine) -> str:
    """The engine's program that its image holds: the first we know how to call there, else its first."""
    return next((program for program in engine.programs if program in ENTRY), engine.programs[0])


def container_command(target: Target) -> Command:
    """Arguments and environment of the server in a container; ``ENTRY`` comes before the arguments.

    Raises:
        InvalidParameters: The engine refuses its parameters.
    """
    program = container_program(target.engine)
    return command_of(target, target.model.in_container, host="0.0.0.0", program=program)  # noqa: S104 - inside a container


def command_of(target: Target, model: str, *, host: str, program: str) -> Command:
    """The command of *program* that runs what was measured, on *model* as the program sees it.

    Raises:
        InvalidParameters: The engine refuses its parameters.
    """
    params = {**_unlike(target, program), **target.params}
    launch = Launch(
        model=model, served_name=target.served_name, host=host, port=target.port, params=params, program=program
    )
    return target.engine.command(launch)


def environment(target: Target, command: Command) -> dict[str, str]:
    """The server's environment, by name: what the measured program was given, the engine's, the user's; later ones win."""
    merged = {**measured_env(target), **command.env}
    kept = {name: value for name, value in merged.items() if name not in MEASURING_ONLY}
    return dict(sorted({**kept, **target.env}.items()))


def measured_env(target: Target) -> Mapping[str, str]:
    """What the engine gave the program that was measured: it decided the numbers as much as the parameters."""
    if target.program is None:
        return {}
    return command_of(target, target.model.on_host, host="127.0.0.1", program=target.program).env


def _unlike(target: Target, program: str) -> dict[str, Value]:
    """Defaults of the measured program that *program* has otherwise: left out, another server would run than was measured."""
    if target.program in {None, program}:
        return {}
    pinned: dict[str, Value] = {}
    for name, parameter in target.engine.parameters.items():
        measured = parameter.program_defaults.get(target.program or "", parameter.default)
        if (
            name not in target.params
            and measured is not None
            and measured != parameter.program_defaults.get(program, parameter.default)
        ):
            pinned[name] = measured
    return pinned


def gpus(target: Target) -> int:
    """How many GPUs it takes: as asked, else as its parameters ask for (`lading.engines.gpus`)."""
    return target.gpus if target.gpus is not None else counting.asked(target.engine, target.params)


def first_request(target: Target) -> str:
    """A shell command that succeeds once the server answers one real request under its served name.

    A server may say it is healthy and answer nothing, or another model; a listening port proves neither.
    """
    body = json.dumps({"model": target.served_name, "prompt": "1", "max_tokens": 1})
    url = f"http://127.0.0.1:{target.port}/v1/completions"
    header = "Content-Type: application/json"
    python = (
        "import sys, urllib.request as r; "
        "r.urlopen(r.Request(sys.argv[1], sys.argv[2].encode(), {'Content-Type': 'application/json'}), timeout=50)"
    )
    quoted = shlex.quote(body)
    return (
        f"if command -v curl >/dev/null; then curl -fsS -m 50 -o /dev/null -H '{header}' -d {quoted} {url}; "
        f'else python3 -c "{python}" {url} {quoted}; fi'
    )
