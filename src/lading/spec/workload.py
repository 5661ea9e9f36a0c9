"""What load to offer a server: shape of requests, levels, stop rules, limits."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from lading.spec.base import Spec
from lading.spec.units import Seconds

Metric = Literal["ttft_s", "tpot_s", "itl_s", "e2e_s"]


class Levels(Spec):
    """The offered loads, one after another: concurrencies (closed loop) or rates (open loop), never both."""

    concurrency: Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(max_length=64)] = ()
    """Requests kept in flight, one level each."""
    rate: Annotated[tuple[Annotated[float, Field(gt=0, le=100_000)], ...], Field(max_length=64)] = ()
    """Requests per second offered, one level each."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if bool(self.concurrency) == bool(self.rate):
            raise ValueError("give either concurrency: [1, 8, …] or rate: [0.5, 2, …]")
        if len(set(self.concurrency)) != len(self.concurrency) or len(set(self.rate)) != len(self.rate):
            raise ValueError("a level is named twice")
        return self


class Slo(Spec):
    """Limits that one request must meet to count as good."""

    ttft_s: Seconds | None = None
    tpot_s: Seconds | None = None
    itl_s: Seconds | None = None
    """The longest gap inside the answer."""
    e2e_s: Seconds | None = None


class Workload(Spec):
    """Requests of one shape, offered at one or more levels."""

    scenario: str = "D(512,128)"
    """Prompt and answer lengths in tokens: ``D(in,out)`` fixed, ``N(mean,sd)/(mean,sd)`` normal, ``U(a,b)/(c,d)`` uniform."""
    levels: Levels = Levels(concurrency=(1,))
    arrivals: Literal["poisson", "constant"] = "poisson"
    """How an open loop spaces its requests; a closed loop ignores it."""
    requests: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    """Measured requests per level, warm-up not counted."""
    duration: Seconds | None = None
    """Stop a level after this long even when requests are left; None: no limit but the deadline of the phase."""
    warmup: Annotated[int, Field(ge=0, le=100_000)] | None = None
    """Requests before measuring, per server life; None: until throughput is steady, at least two and at most `requests`."""
    api: Literal["chat", "completions"] = "completions"
    prompt: Literal["auto", "tokens", "text"] = "auto"
    """Token ids or words; auto: ids where the server takes them (completions only), else words."""
    shared_prefix: Annotated[int, Field(ge=0)] = 0
    """Tokens at the start that all prompts share; 0 keeps prefix caches cold."""
    seed: int = 0
    timeout: Seconds = 120.0
    """Longest wait for one request; then it counts as failed."""
    ignore_eos: bool = True
    """Ask for the full answer length where the server can."""
    temperature: float = 0.0
    body: dict[str, Any] = {}
    """Further keys of every request body, as they are."""
    slo: Slo | None = None
    max_error_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """A level ends early, as failed, once more than this share of at least 10 requests failed."""
