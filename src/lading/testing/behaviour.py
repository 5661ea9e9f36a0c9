"""How the truth server answers (`Behaviour`), and what it really did (`Seen`)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import process_time
from typing import Any, Literal

Fault = Literal[
    "none", "http500", "hang", "drop", "stall", "early_close", "sse_error", "garbage", "no_tokens", "no_done", "no_stream"
]  # fmt: skip
Role = Literal["with_first", "early", "null", "none"]
KeepAlive = Literal["yes", "close", "silent"]
Framing = Literal["chunked", "close", "torn"]


@dataclass(slots=True, kw_only=True)
class Behaviour:
    """How it answers.

    Attributes:
        model: The one name it serves; others get 404.
        vocabulary: Told by ``/v1/models`` as llama.cpp does, and token ids from it on get 400; 0: neither.
        role: Where the chat's role chunk is: with the first token, at once, at once with ``content: null``, nowhere.
        tokens_per_chunk: Tokens that one chunk of content carries.
        usage: Whether the usage chunk asked for is sent.
        takes_ids: Whether a prompt may be token ids; else 400.
        takes_unknown_keys: Whether ``ignore_eos`` is taken; else 400.
        capacity: Requests answered at once, the others wait; 0: no limit. It makes a saturation knee.
        keep_alive: ``close`` says so and closes after each answer; ``silent`` says nothing and closes after it.
        framing: A chunk per write, the end of the connection, or chunks of a few bytes each.
        comments: Whether keep-alive comment lines come between the tokens.
        fault, fault_every, fault_after: What every so-manyth request suffers, and after how many tokens.
        api_key: The bearer token it wants; empty: none.
    """

    ttft_ms: float = 50.0
    itl_ms: float = 10.0
    model: str = "truth"
    vocabulary: int = 0
    role: Role = "with_first"
    tokens_per_chunk: int = 1
    usage: bool = True
    takes_ids: bool = True
    takes_unknown_keys: bool = True
    capacity: int = 0
    keep_alive: KeepAlive = "yes"
    framing: Framing = "chunked"
    comments: bool = False
    fault: Fault = "none"
    fault_every: int = 1
    fault_after: int = 3
    api_key: str = ""


@dataclass(slots=True)
class Seen:
    """What really happened; times in seconds."""

    ttfts_s: list[float] = field(default_factory=list)
    itls_s: list[float] = field(default_factory=list)
    durations_s: list[float] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    connections: int = 0
    streamed: int = 0
    answered: int = 0
    aborted: int = 0
    most_running: int = 0
    began_cpu_s: float = field(default_factory=process_time)

    def report(self, open_connections: int, running: int) -> dict[str, Any]:
        """As ``GET /stats`` answers."""
        return {
            "requests": len(self.requests),
            "streamed": self.streamed,
            "answered": self.answered,
            "aborted": self.aborted,
            "connections": self.connections,
            "open_connections": open_connections,
            "running": running,
            "most_running": self.most_running,
            "cpu_s": process_time() - self.began_cpu_s,
            "ttft_s": percentiles(self.ttfts_s),
            "itl_s": percentiles(self.itls_s),
            "duration_s": percentiles(self.durations_s),
        }


def percentiles(values: Sequence[float]) -> dict[str, float] | None:
    """Nearest-rank percentiles and the mean; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    found = {f"p{p}": ordered[max(1, math.ceil(p / 100 * len(ordered))) - 1] for p in (1, 50, 90, 95, 99)}
    return {"n": len(ordered), "mean": sum(ordered) / len(ordered), "max": ordered[-1], **found}
