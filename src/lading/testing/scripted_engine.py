"""An engine for faults: the real backends start and stop `lading.testing.scripted_server` through it."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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

_SCRIPT = Path(__file__).with_name("scripted_server.py")


class ScriptedEngine:
    """Takes one parameter, ``behaviour``, and whatever the script reads; checks nothing.

    Args:
        log: Lines that the server prints first.
    """

    name = "scripted"
    version = "1"
    image = "scripted"
    rules: Sequence[Rule] = ()
    probes: Sequence[Probe] = (Probe(name="settings", path="/settings"),)
    takes_token_ids = False

    def __init__(self, log: Sequence[str] = ()) -> None:
        self._log = list(log)

    @property
    def programs(self) -> tuple[str, ...]:
        """This Python, which runs the script."""
        return (sys.executable,)

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """One."""
        return {"behaviour": Parameter(name="behaviour", kind="str", flags=("behaviour",), default="well")}

    def request_body(self) -> Mapping[str, Any]:
        """Nothing."""
        return {}

    def parse(self, params: Mapping[str, object]) -> dict[str, Value]:
        """As they are."""
        return {key: str(value) for key, value in params.items()}

    def violations(self, given: RuleInput) -> tuple[Violation, ...]:
        """None."""
        del given
        return ()

    def resolved(self, params: Params) -> dict[str, Value]:
        """Over the default."""
        return {"behaviour": "well", **params}

    def command(self, launch: Launch) -> Command:
        """The script and one JSON document."""
        settings = {"host": launch.host, "port": launch.port, "name": launch.served_name, "log": self._log}
        return Command(argv=(str(_SCRIPT), json.dumps(settings | dict(launch.params))))

    def memory(self, params: Params, model: ModelFacts, hardware: HardwareFacts | None = None) -> MemoryEstimate | None:
        """Unknown."""
        del params, model, hardware
        return None

    def effective(self, answers: Mapping[str, Any], log: Sequence[str]) -> dict[str, Value]:
        """The behaviour the server says it has."""
        del log
        settings = answers.get("settings", {})
        return {"behaviour": settings["behaviour"]} if "behaviour" in settings else {}

    def classify(self, log: Sequence[str], returncode: int | None) -> LaunchFailure:
        """Its last words."""
        reason = log[-1] if log else f"exit status {returncode}"
        return LaunchFailure(name="scripted", kind="configuration", reason=reason, hint="choose another behaviour")
