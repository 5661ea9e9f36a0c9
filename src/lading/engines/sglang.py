"""SGLang's OpenAI-compatible server, ``python3 -m sglang.launch_server``: argv only, nothing of SGLang need be installed."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from lading.engines import effective, failures, flags, memory, rules, sglang_rules
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
from lading.engines.sglang_parameters import ALIASES, FOREIGN, GONE, RESERVED, VERSION, parameters
from lading.errors import InvalidParameters

#: Started with, unless asked otherwise: without it a server tells no numbers of its own.
ALWAYS: Mapping[str, Value] = {"enable_metrics": True}
#: ``/health`` must not make the model generate: each look would take a second and a place in a batch, and one that comes
#: during a long prefill would take a busy pod away.
_ENV: Mapping[str, str] = {"SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION": "0"}


class SGLang:
    """SGLang 0.5.23.

    Its ``/health_generate`` lets the model make one token, as our own proof of readiness does, but says nothing of the
    served name, so it is not asked; ``/health`` is kept from doing the same.
    """

    name = "sglang"
    version = VERSION
    programs = ("python3 -m sglang.launch_server",)
    image = f"docker.io/lmsysorg/sglang:v{VERSION}"
    takes_token_ids = True
    rules: Sequence[Rule] = sglang_rules.SGLANG
    probes = (
        Probe(name="models", path="/v1/models"),
        Probe(name="server_info", path="/server_info"),
        Probe(name="model_info", path="/model_info"),
        Probe(name="get_server_info", path="/get_server_info"),  # all that older versions answer
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
        """Answers of full length; prompts must differ by themselves where the radix cache is on."""
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
        """The arguments after ``python3 -m sglang.launch_server``.

        Raises:
            InvalidParameters: As `parse`, a rule is broken, or the served name is one that SGLang refuses.
        """
        if ":" in launch.served_name:
            raise InvalidParameters(
                f"SGLang takes no served name with a colon: {launch.served_name}",
                hint="what stands behind a colon is an adapter's name there: choose another served name",
            )
        params = rules.checked(self, launch.params)
        return Command(argv=tuple(_argv(launch, self.parameters, {**ALWAYS, **params})), env=_ENV)

    def memory(self, params: Params, model: ModelFacts, hardware: HardwareFacts | None = None) -> MemoryEstimate | None:
        """What one GPU needs."""
        return memory.sglang(self.resolved(params), model, hardware)

    def effective(self, answers: Mapping[str, Any], log: Sequence[str]) -> dict[str, Value]:
        """All of its parameters, as it resolved them, by its own names."""
        return effective.sglang(answers, log, self.parameters)

    def classify(self, log: Sequence[str], returncode: int | None) -> LaunchFailure:
        """Why it did not come up."""
        return failures.classify(failures.SGLANG, log, returncode)


def _argv(launch: Launch, catalogue: Mapping[str, Parameter], params: Params) -> Iterator[str]:
    yield from ("--model-path", launch.model, "--served-model-name", launch.served_name)
    yield from ("--host", launch.host, "--port", str(launch.port))
    for name in sorted(params):
        yield from flags.words(catalogue[name], params[name])


ENGINE = SGLang()
