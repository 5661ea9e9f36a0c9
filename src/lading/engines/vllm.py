"""vLLM's OpenAI-compatible server, ``vllm serve``: argv only, so nothing of vLLM need be installed to plan or to check."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from lading.engines import effective, failures, flags, memory, rules
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
from lading.engines.vllm_parameters import ALIASES, FOREIGN, GONE, RESERVED, VERSION, parameters

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Vllm:
    """vLLM 0.33.0."""

    name = "vllm"
    version = VERSION
    programs = ("vllm serve",)
    image = f"docker.io/vllm/vllm-openai:v{VERSION}"
    takes_token_ids = True
    rules: Sequence[Rule] = rules.VLLM
    probes = (
        Probe(name="models", path="/v1/models"),
        Probe(name="version", path="/version"),
        Probe(name="metrics", path="/metrics"),
        Probe(name="server_info", path="/server_info?config_format=json"),
    )

    @cached_property
    def catalogue(self) -> Catalogue:
        """Read from package data when it is first asked for."""
        return Catalogue(self.name, self.version, parameters(), ALIASES, FOREIGN, GONE, RESERVED)

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """The catalogue, by name."""
        return self.catalogue.parameters

    def request_body(self) -> Mapping[str, Any]:
        """Answers of full length; prompts must differ by themselves where prefix caching is on."""
        return {"ignore_eos": True}

    def parse(self, params: Mapping[str, object]) -> dict[str, Value]:
        """*params* made canonical.

        Raises:
            InvalidParameters: As `Catalogue.parse`.
        """
        return self.catalogue.parse(params)

    def resolved(self, params: Params) -> dict[str, Value]:
        """*params* over the defaults that do not depend on the hardware."""
        return self.catalogue.resolved(params)

    def violations(self, given: RuleInput) -> tuple[Violation, ...]:
        """The rules that *given* breaks."""
        return rules.broken_by(self, given)

    def command(self, launch: Launch) -> Command:
        """The arguments after ``vllm serve``.

        On this host alone, the server also opens its development endpoints: only there does it tell all of its
        configuration, and only here can nobody else use them.

        Raises:
            InvalidParameters: As `parse`, or a rule is broken.
        """
        params = rules.checked(self, launch.params)
        env = {"VLLM_SERVER_DEV_MODE": "1"} if launch.host in _LOOPBACK else {}
        return Command(argv=tuple(_argv(launch, self.parameters, params)), env=env)

    def memory(self, params: Params, model: ModelFacts, hardware: HardwareFacts | None = None) -> MemoryEstimate | None:
        """What one GPU needs."""
        return memory.vllm(self.resolved(params), model, hardware)

    def effective(self, answers: Mapping[str, Any], log: Sequence[str]) -> dict[str, Value]:
        """What it tells; nearly all in development mode, else length, cache and served name."""
        return effective.vllm(answers, log)

    def classify(self, log: Sequence[str], returncode: int | None) -> LaunchFailure:
        """Why it did not come up."""
        return failures.classify(failures.VLLM, log, returncode)


def _argv(launch: Launch, catalogue: Mapping[str, Parameter], params: Params) -> Iterator[str]:
    yield from (launch.model, "--served-model-name", launch.served_name)
    yield from ("--host", launch.host, "--port", str(launch.port))
    for name in sorted(params):
        yield from flags.words(catalogue[name], params[name])


ENGINE = Vllm()
