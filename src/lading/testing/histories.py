"""Realistic studies for tests and pictures: every trial has raw records, and its numbers are a fold of them.

A small queueing model of a llama.cpp server stands in for the machine: slots share the processor, requests beyond the
slots wait. It is no measurement, and nothing here claims to be one. What a test needs is in it: the defaults, a search
that found something, trials that failed in each way, a level that was lost, a trial limited by its client, and
interleaved confirmations.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lading.engines.base import Value
from lading.measure import records
from lading.measure.records import ClientHealth, Level, RecordHeader, RequestRecord
from lading.measure.summary import summarize
from lading.spec.study import Study
from lading.tuning.trial import (
    Completed,
    Ended,
    Fact,
    Failed,
    Infeasible,
    LevelFailed,
    Measured,
    Outcome,
    Proposed,
    Role,
    Served,
    Started,
)

BEGAN = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
ANSWER_TOKENS = 24
DOCUMENT = """\
apiVersion: lading.dev/v1
kind: Study
name: tiny-chat
model: {ref: ./volume/tiny-llama@v1, served_name: tiny-llama}
engine: {name: llama.cpp, parameters: {n_ctx: 8192}}
workload:
  scenario: "D(128,24)"
  levels: {concurrency: [1, 4, 8, 16]}
  requests: 220
space:
  n_parallel: {int: [1, 16], log: true}
  n_batch: {choice: [32, 128, 512, 2048]}
  cache_type_v: {choice: [f16, q8_0]}
objective: {maximize: output_tokens_per_s, at: best}
constraints: [{metric: ttft_s, percentile: 95, at_most: 1.5}]
search: {method: tpe, seed: 1, trials: 12, confirm: 3}
"""
#: What the environment of a run looks like.
ENVIRONMENT: Mapping[str, object] = {
    "python": "3.11.9", "platform": "Linux 6.8 x86_64", "processor": "AMD EPYC 7B13", "cpus": 2, "memory_bytes": 8_332_378_112,
    "gpus": [], "packages": {"lading": "0.1.0", "xllamacpp": "2026.10.11549"}, "engine": "2026.10.11549", "program": "llama-server",
    "model": {
        "path": "/srv/volume/tiny-llama/v1", "served_path": "/srv/volume/tiny-llama/v1/tiny-llama.gguf", "served_name": "tiny-llama",
        "format": "gguf", "version": "v1", "path_on_volume": "tiny-llama/v1",
    },
}  # fmt: skip
_SERVED = "/srv/volume/tiny-llama/v1/tiny-llama.gguf"
_LOG = (
    "llama_model_loader: loaded meta data with 26 key-value pairs",
    "llama_context: n_ctx = 8192, n_batch = 128",
    "llama_init_from_model: quantized V cache requires flash_attn to be enabled",
    "RuntimeError: Failed to init server",
)


def study(document: str = DOCUMENT) -> Study:
    """The study of `history`."""
    from lading.spec import documents

    return documents.parse(document, Study, name="tiny-chat.yaml")


@dataclass(slots=True)
class Story:
    """Facts as they are told, on a clock of their own; record files go to *directory* where one is given."""

    directory: Path | None = None
    seed: int = 0
    speed: Mapping[str, float] = field(default_factory=dict)
    facts: list[Fact] = field(default_factory=list)
    clock: datetime = BEGAN
    levels: Sequence[int] = (1, 4, 8, 16)
    requests: int = 220
    log_line: str = ""

    def propose(self, number: int, params: Mapping[str, Value], role: Role = "search", replicate: int = 0) -> None:
        """A trial is to be tried."""
        self.facts.append(Proposed(number=number, params=dict(params), role=role, seed=self.seed, replicate=replicate))

    def measured(self, number: int, params: Mapping[str, Value], role: Role = "search", *, replicate: int = 0, attempt: int = 1,
                 lost: Mapping[int, str] | None = None, limited: tuple[str, ...] = (), error_share: float = 0.0) -> None:  # fmt: skip
        """A trial that was measured; *lost* levels were not, and say why."""
        if attempt == 1:
            self.propose(number, params, role, replicate)
        self._start(number, params, attempt)
        self._serve(number, params, attempt)
        life = _rng(self.seed, number, attempt).gauss(1.0, 0.015)
        for concurrency in self.levels:
            level = Level(kind="concurrency", value=concurrency)
            if lost and concurrency in lost:
                self.facts.append(LevelFailed(number=number, attempt=attempt, level=level, reason=lost[concurrency]))
            else:
                self._measure(number, params, attempt, level, life=life, limited=limited, error_share=error_share)
        self._end(
            number, attempt, Completed(), {"start": 0.4, "ready": 0.3, "warmup": 1.2, "measure": 40.0, "teardown": 0.2}
        )

    def failed(self, number: int, params: Mapping[str, Value], outcome: Failed, *, attempt: int = 1) -> None:
        """A trial that could not be measured."""
        if attempt == 1:
            self.propose(number, params)
        self._start(number, params, attempt)
        self._end(number, attempt, outcome, {"start": 0.4, outcome.phase: 2.5, "teardown": 0.1})

    def refused(self, number: int, params: Mapping[str, Value], outcome: Infeasible) -> None:
        """A trial that a rule refused."""
        self.propose(number, params)
        self._end(number, 1, outcome, {})

    def _start(self, number: int, params: Mapping[str, Value], attempt: int) -> None:
        self.clock += timedelta(seconds=2)
        self.facts.append(
            Started(number=number, attempt=attempt, lease="run-7f3a", at=self.clock.isoformat(), argv=argv(params),
                    argv_sha256="5e" * 32)
        )  # fmt: skip

    def _serve(self, number: int, params: Mapping[str, Value], attempt: int) -> None:
        slots = int(params.get("n_parallel") or 1)
        per_slot = 8192 // slots
        effective: dict[str, Value] = {"n_ctx": per_slot * slots, "n_parallel": slots}
        differences = () if per_slot * slots == 8192 else (f"n_ctx: asked for 8192, runs with {per_slot * slots}",)
        self.facts.append(
            Served(number=number, attempt=attempt, ready_s=0.71, effective=effective, differences=differences)
        )

    def _measure(self, number: int, params: Mapping[str, Value], attempt: int, level: Level, *, life: float,
                 limited: tuple[str, ...], error_share: float) -> None:  # fmt: skip
        rng = _rng(self.seed, number, attempt, level)
        made = list(_requests(params, int(level.value), self.requests, rng, life=life, error_share=error_share))
        header = RecordHeader(
            level=level, started_at=self.clock.isoformat(), duration_s=max(record.done_s or 0.0 for record in made),
            health=_health(rng, limited), slo={"ttft_s": 1.5},
        )  # fmt: skip
        name = f"trial-{number}/attempt-{attempt}/c{level.value:g}.jsonl"
        if self.directory is not None:
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(records.render(header, made)), encoding="utf-8")
        self.clock += timedelta(seconds=header.duration_s)
        summary = summarize(header, made)
        self.facts.append(Measured(number=number, attempt=attempt, level=level, summary=summary, record_file=name))

    def _end(self, number: int, attempt: int, outcome: Outcome, seconds: Mapping[str, float]) -> None:
        self.clock += timedelta(seconds=3)
        self.facts.append(
            Ended(number=number, attempt=attempt, outcome=outcome, at=self.clock.isoformat(), seconds=dict(seconds))
        )


def argv(params: Mapping[str, Value]) -> tuple[str, ...]:
    """A command line as the process backend records it."""
    names = {
        "n_ctx": "--ctx-size",
        "n_parallel": "--parallel",
        "n_batch": "--batch-size",
        "cache_type_v": "--cache-type-v",
    }
    flags = [word for name, value in params.items() for word in (names[name], str(value))]
    return ("/opt/llama/llama-server", "-m", _SERVED, "--alias", "tiny-llama", "--host", "127.0.0.1",
            "--port", "{port}", *flags)  # fmt: skip


def history(directory: Path | None = None, *, gain: bool = True, hostile: str = "", seed: int = 0) -> tuple[Fact, ...]:
    """The facts of a whole study: the defaults, 11 trials of the search, 3 interleaved pairs of confirmations.

    Args:
        directory: Where raw record files go, below it by the names in the facts; None: nowhere.
        gain: Whether the search finds something better than the defaults; without, the default is as good as all.
        hostile: Text that ends up in a parameter, a reason and a log, to see that it stays text.
        seed: Another seed, other noise.
    """
    story = Story(directory=directory, seed=seed)
    fixed: dict[str, Value] = {"n_ctx": 8192}
    defaults = {**fixed} if gain else {**fixed, "n_parallel": 8, "n_batch": 512}
    best: dict[str, Value] = {**fixed, "n_parallel": 8, "n_batch": 512, "cache_type_v": "f16"}
    story.measured(0, defaults, "default")
    story.measured(1, {**fixed, "n_parallel": 2, "n_batch": 2048, "cache_type_v": "f16"})
    story.failed(2, {**fixed, "n_parallel": 4, "n_batch": 128, "cache_type_v": "q8_0"}, Failed(
        phase="start", kind="configuration", name="quantized-v-needs-flash-attention",
        reason=f"quantized V cache requires flash_attn to be enabled {hostile}".strip(),
        hint="set flash_attn: on, or leave cache_type_v at f16", log=(*_LOG, *([hostile] if hostile else []))))  # fmt: skip
    story.measured(3, {**fixed, "n_parallel": 4, "n_batch": 128, "cache_type_v": "f16"})
    story.refused(4, {**fixed, "n_parallel": 16, "n_batch": 32, "cache_type_v": hostile or "q8_0"}, Infeasible(
        rule="slot-too-short", reason="n_ctx 8192 / n_parallel 16 = 512 tokens, the longest request has 600",
        hint="raise n_ctx to 9600 or lower n_parallel"))  # fmt: skip
    story.measured(5, {**fixed, "n_parallel": 16, "n_batch": 32, "cache_type_v": "f16"}, error_share=0.04)
    story.failed(6, {**fixed, "n_parallel": 7, "n_batch": 512, "cache_type_v": "f16"}, Failed(
        phase="start", kind="infrastructure", name="port-in-use", reason="port 8951 is taken by another process",
        hint="leave `port` out to get a free one"))  # fmt: skip
    story.measured(6, {**fixed, "n_parallel": 7, "n_batch": 512, "cache_type_v": "f16"}, attempt=2)
    story.measured(7, best)
    story.measured(
        8,
        {**fixed, "n_parallel": 12, "n_batch": 512, "cache_type_v": "f16"},
        lost={8: "all 24 requests failed (24 timeout)", 16: "all 24 requests failed (24 timeout)"},
    )
    story.measured(
        9, {**fixed, "n_parallel": 8, "n_batch": 128, "cache_type_v": "f16"}, limited=("foreign CPU 0.9 cores",)
    )
    died = Failed(
        phase="measure", kind="unknown", name="server-died", reason="the server ended with status -9 after 31 s",
        hint="see the kernel's log for the out-of-memory killer", log=_LOG[:2],
    )  # fmt: skip
    for attempt in (1, 2):
        story.failed(10, {**fixed, "n_parallel": 16, "n_batch": 2048, "cache_type_v": "f16"}, died, attempt=attempt)
    story.measured(11, {**fixed, "n_parallel": 3, "n_batch": 512, "cache_type_v": "f16"})
    for replicate in range(3):
        story.measured(12 + 2 * replicate, defaults, "confirm", replicate=replicate)
        story.measured(13 + 2 * replicate, best, "confirm", replicate=replicate)
    return tuple(story.facts)


def _requests(params: Mapping[str, Value], concurrency: int, count: int, rng: random.Random, *, life: float,
              error_share: float) -> Iterator[RequestRecord]:  # fmt: skip
    """Requests of a closed loop: as many streams as *concurrency*, each sends its next when the last was answered."""
    slots = min(int(params.get("n_parallel") or 1), concurrency)
    batch = float(params.get("n_batch") or 2048)
    itl_s = (0.0085 + 0.0046 * slots + 0.00016 * slots**2 + 0.0004 * slots * max(0.0, 512 / batch - 1)) / life
    prefill_s = (0.055 + 0.012 * slots * min(1.0, batch / 512)) / life
    turn_s = prefill_s + ANSWER_TOKENS * itl_s
    wait_s = turn_s * (concurrency / slots - 1)
    free_s = [0.004 * stream for stream in range(concurrency)]
    for index in range(count):
        stream = min(range(concurrency), key=free_s.__getitem__)
        due_s, sent_s = free_s[stream], free_s[stream] + 0.0003
        if rng.random() < error_share:
            free_s[stream] = sent_s + 3.0
            yield RequestRecord(index=index, scheduled_s=due_s, sent_s=sent_s, done_s=free_s[stream], error="timeout",
                                error_message="no answer in 3 s")  # fmt: skip
            continue
        first_s = sent_s + wait_s * rng.uniform(0.85, 1.1) + prefill_s * rng.lognormvariate(0, 0.15)
        gaps = [itl_s * rng.lognormvariate(0, 0.12) for _ in range(ANSWER_TOKENS - 1)]
        times = tuple(round(first_s + sum(gaps[:k]), 6) for k in range(ANSWER_TOKENS))
        free_s[stream] = times[-1] + 0.0008
        yield RequestRecord(
            index=index, scheduled_s=due_s, sent_s=sent_s, token_times_s=times, done_s=free_s[stream], status=200,
            prompt_tokens=128, completion_tokens=ANSWER_TOKENS, finish_reason="length", served_model="tiny-llama",
        )  # fmt: skip


def _rng(*seed: object) -> random.Random:
    return random.Random("/".join(map(str, seed)))  # noqa: S311 - noise that repeats, no secret


def _health(rng: random.Random, limited: tuple[str, ...]) -> ClientHealth:
    return ClientHealth(
        cpu_share=rng.uniform(0.02, 0.06), schedule_lag_p99_s=rng.uniform(0.0004, 0.0011), loop_lag_p99_s=rng.uniform(0.0005, 0.002),
        foreign_cpus=0.9 if limited else rng.uniform(0.0, 0.05), limited_by=limited,
    )  # fmt: skip
