"""llama.cpp's server, by two programs: the Python package ``xllamacpp``, and ``llama-server``.

For ``llama-server`` a command is its flags. For ``xllamacpp`` it is one argument: a JSON document of attribute paths,
which the launcher script applies (``{"n_ctx": 4096, "cache_type_k": "ggml_type.GGML_TYPE_Q8_0"}``).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lading.engines import effective, failures, memory, rules, values
from lading.engines.base import (
    Command,
    HardwareFacts,
    Launch,
    LaunchFailure,
    MemoryEstimate,
    ModelFacts,
    Parameter,
    Params,
    Probe,
    Rule,
    RuleInput,
    Value,
    Violation,
)
from lading.engines.catalogue import Catalogue
from lading.engines.llamacpp_parameters import ALIASES, ATTRIBUTES, FOREIGN, GONE, PARAMETERS, RESERVED, Cores
from lading.errors import InvalidParameters

#: Started with, unless asked otherwise: no argument may change by itself, and the state must be readable.
ALWAYS: Mapping[str, Value] = {"fit": False, "metrics": True, "slots": True, "warmup": True}


class LlamaCpp:
    """llama.cpp as released with xllamacpp 2026.10.11549."""

    name = "llama.cpp"
    version = "2026.10.11549"
    programs = ("xllamacpp", "llama-server")
    image = "ghcr.io/ggml-org/llama.cpp:server"
    takes_token_ids = True
    rules: Sequence[Rule] = rules.LLAMACPP
    probes = (
        Probe(name="props", path="/props"),
        Probe(name="slots", path="/slots"),
        Probe(name="models", path="/v1/models"),
    )

    def __init__(self) -> None:
        self.catalogue = Catalogue(self.name, self.version, PARAMETERS, ALIASES, FOREIGN, GONE, RESERVED)

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """The catalogue, by name."""
        return self.catalogue.parameters

    def request_body(self) -> Mapping[str, Any]:
        """No reuse of a slot's prompt between requests, and answers of full length."""
        return {"cache_prompt": False, "ignore_eos": True}

    def parse(self, params: Mapping[str, object]) -> dict[str, Value]:
        """*params* made canonical.

        Raises:
            InvalidParameters: As `Catalogue.parse`.
        """
        return self.catalogue.parse(params)

    def resolved(self, params: Params) -> dict[str, Value]:
        """*params* over xllamacpp's defaults; the physical batch is never larger than the logical one."""
        full = self.catalogue.resolved(params)
        if "n_ubatch" not in params and isinstance(full["n_batch"], int):
            full["n_ubatch"] = min(512, full["n_batch"])
        return full

    def violations(self, given: RuleInput) -> tuple[Violation, ...]:
        """The rules that *given* breaks."""
        return rules.broken_by(self, given)

    def command(self, launch: Launch) -> Command:
        """Flags, or the document for the launcher.

        Raises:
            InvalidParameters: As `parse`; a rule is broken; a parameter that this program cannot take.
        """
        params = rules.checked(self, launch.params)
        if launch.program == "llama-server":
            return Command(argv=tuple(_flags(launch, {**ALWAYS, **params})))
        _refuse_flags_only(params)
        document = dict(_document(launch, {**ALWAYS, **params}))
        return Command(argv=(json.dumps(document),), env={"OMP_WAIT_POLICY": "PASSIVE"})

    def memory(self, params: Params, model: ModelFacts, hardware: HardwareFacts | None = None) -> MemoryEstimate | None:  # noqa: ARG002
        """Weights, the whole cache, and a rough figure for the rest."""
        return memory.llamacpp(self.resolved(params), model)

    def effective(self, answers: Mapping[str, Any], log: Sequence[str]) -> dict[str, Value]:
        """Slots, context and served name; llama.cpp tells neither threads nor batch sizes."""
        return effective.llamacpp(answers, log)

    def classify(self, log: Sequence[str], returncode: int | None) -> LaunchFailure:
        """Why it did not come up."""
        return failures.classify(failures.LLAMACPP, log, returncode)


def _refuse_flags_only(params: Params) -> None:
    unknown = sorted(params.keys() - ATTRIBUTES.keys())
    if unknown:
        raise InvalidParameters(
            f"xllamacpp cannot set {', '.join(unknown)}", hint="leave it out, or install llama-server, which can"
        )


def _flags(launch: Launch, params: Params) -> Iterator[str]:
    yield from (
        "--model",
        launch.model,
        "--alias",
        launch.served_name,
        "--host",
        launch.host,
        "--port",
        str(launch.port),
    )
    for name in sorted(params):
        yield from _flag(PARAMETERS[name], params[name])


def _flag(parameter: Parameter, value: Value) -> tuple[str, ...]:
    flag = parameter.flags[0]
    match parameter.kind:
        case "bool" if parameter.name == "fit":
            return (flag, "on" if value else "off")
        case "bool" if parameter.name == "cpu_strict":
            return (flag, str(int(bool(value))))
        case "bool" if value:
            return (flag,)
        case "bool":
            return parameter.off_flags[:1]
        case _ if parameter.many:
            return (
                flag,
                ",".join(f"{item:g}" if isinstance(item, float) else str(item) for item in values.document(value)),
            )
        case _:
            return (flag, str(value))


def _document(launch: Launch, params: Params) -> Iterator[tuple[str, Any]]:
    yield "model.path", launch.model
    yield "model_alias", [launch.served_name]
    yield "hostnames", [launch.host]
    yield "port", launch.port
    for name in sorted(params):
        attribute = ATTRIBUTES[name]
        if isinstance(attribute, Cores):
            yield from attribute.write(params[name]).items()
        else:
            yield attribute.path, attribute.write(params[name])


ENGINE = LlamaCpp()
