"""The `Engine` seam: what a model server takes, and how it is started. No I/O.

An engine is a catalogue (`Parameter`), rules that can be checked before launch (`Rule`), a pure function from a
`Launch` to a `Command`, an estimate of memory, and the reading of what a running server says about itself. Whoever
starts it is a backend (`lading.ports.backend.Backend`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

Value = bool | int | float | str | None
Params = Mapping[str, Value]
Kind = Literal["int", "float", "bool", "str", "choice", "json"]
FailureClass = Literal["configuration", "infrastructure", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRange:
    """A range worth searching: *values*, or from *low* to *high*."""

    values: tuple[Value, ...] = ()
    low: float | None = None
    high: float | None = None
    log: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of an engine.

    Attributes:
        name: The engine's long flag in snake case without dashes: ``max_num_seqs``.
        kind: The type of its values.
        flags: Spellings on the command line, the preferred first: ``("--max-num-seqs",)``.
        default: The engine's own default; None where it is decided at start, see *default_note*.
        default_note: How the default is decided, in words; empty where *default* says it all.
        choices: All legal values of a ``choice``; of a number, the words that are legal beside it.
        pattern: What a ``str`` must look like as a whole, as a regular expression; empty for any text.
        synonyms: Other spellings of a value, to the canonical one.
        minimum, maximum: Inclusive bounds, None for none.
        search: A range worth searching, None for none.
        memory: What it does to device memory: "+", "-", "KV", "0" or words.
        help: One sentence.
        source: Where the facts are from.
        off_flags: Spellings that switch a ``bool`` off; empty where leaving the flag out does.
        many: Takes several values: a JSON list here, several words on the command line.
        attribute: Where a program that takes a document rather than flags keeps it; empty where it cannot.
        program_defaults: Programs whose default differs from *default*.
        note: Conflicts and traps, in words.
    """

    name: str
    kind: Kind
    flags: tuple[str, ...]
    default: Value = None
    default_note: str = ""
    choices: tuple[Value, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    search: SearchRange | None = None
    memory: str = "0"
    help: str = ""
    source: str = ""
    pattern: str = ""
    synonyms: Mapping[str, Value] = field(default_factory=dict)
    off_flags: tuple[str, ...] = ()
    many: bool = False
    attribute: str = ""
    program_defaults: Mapping[str, Value] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What is known of a model without loading it; None where unknown.

    Attributes:
        weights_bytes: Sum of the tensors' bytes as stored.
        format: ``safetensors``, ``gguf`` or another format's name.
        kv_heads, heads, layers, head_dim: As in ``config.json`` or GGUF metadata.
        max_length: The length it was trained for, in tokens.
    """

    format: str
    weights_bytes: int | None = None
    architecture: str | None = None
    layers: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    hidden: int | None = None
    vocabulary: int | None = None
    max_length: int | None = None
    dtype: str | None = None
    quantization: str | None = None
    experts: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HardwareFacts:
    """What the place of a server has; None where unknown."""

    cpus: int | None = None
    memory_bytes: int | None = None
    gpus: int = 0
    gpu_memory_bytes: int | None = None
    gpu_capability: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A rule that a set of parameters breaks: which, why with the values, and what to do."""

    rule: str
    message: str
    hint: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleInput:
    """What a rule may look at. *params* holds the defaults too (see `Engine.resolved`)."""

    params: Params
    model: ModelFacts | None = None
    hardware: HardwareFacts | None = None
    longest_request_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One check before launch: *check* gives the message of a breach, or None; unknown facts break nothing.

    Attributes:
        about: What must hold, in one sentence.
        parameters: Names of the parameters it looks at.
    """

    name: str
    check: Callable[[RuleInput], str | None]
    about: str = ""
    parameters: tuple[str, ...] = ()
    hint: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What to start.

    Attributes:
        model: Path of the model as the server will see it: a folder, or a file where the engine takes one.
        params: Only what was asked for; defaults stay the engine's.
        program: Which of the engine's programs will run it (`Engine.programs`).
    """

    model: str
    served_name: str
    host: str
    port: int
    params: Params
    program: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """How a server is started.

    Attributes:
        argv: Arguments after the program's own prefix (``vllm serve``, a Python and a script), which the backend knows.
        env: Environment to add.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A GET that tells something about a running server; *name* keys its answer in `Engine.effective`.

    The answer is handed on as JSON, or as text where it is none; one that fails is left out.
    """

    name: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchFailure:
    """Why a server did not come up, read from its log: *name* is the class shown (``out-of-memory``), *kind* what to teach."""

    name: str
    kind: FailureClass
    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryEstimate:
    """Bytes one device (or this host, for CPU engines) needs, and the most concurrent sequences of a given length."""

    weights_bytes: int
    kv_bytes: int
    overhead_bytes: int
    kv_bytes_per_token: int
    kv_tokens: int | None = None

    @property
    def total_bytes(self) -> int:
        """The sum."""
        return self.weights_bytes + self.kv_bytes + self.overhead_bytes

    def sequences(self, tokens: int) -> int | None:
        """How many sequences of *tokens* (prompt and answer) the cache holds at once; None where its size is unknown."""
        return None if self.kv_tokens is None else self.kv_tokens // max(1, tokens)


@runtime_checkable
class Engine(Protocol):
    """A model server program. Pure: the same input gives the same output, and nothing is read or written."""

    @property
    def name(self) -> str:
        """As users write it: ``llama.cpp``, ``vllm``."""

    @property
    def version(self) -> str:
        """The version the catalogue was read from."""

    @property
    def programs(self) -> tuple[str, ...]:
        """Names of the programs that can run it, the preferred first: ``("xllamacpp", "llama-server")``."""

    @property
    def image(self) -> str:
        """The container image that manifests use."""

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """The catalogue, by name."""

    @property
    def rules(self) -> Sequence[Rule]:
        """Checks before launch, in the order they are reported."""

    @property
    def probes(self) -> Sequence[Probe]:
        """What to ask a running server for `effective`."""

    @property
    def takes_token_ids(self) -> bool:
        """Whether ``prompt`` of ``/v1/completions`` may be a list of token ids."""

    def request_body(self) -> Mapping[str, Any]:
        """Keys every measured request needs: no cache hits between requests, full answer length (``ignore_eos``)."""

    def parse(self, params: Mapping[str, object]) -> dict[str, Value]:
        """*params* with names and values made canonical (dashes, other spellings, ``"8k"``), so that equals compare equal.

        Raises:
            InvalidParameters: Unknown name (the nearest is named), wrong type, out of choices or bounds; all at once.
        """

    def violations(self, given: RuleInput) -> tuple[Violation, ...]:
        """The rules that *given* breaks; *given.params* as asked for, defaults are filled in here."""

    def resolved(self, params: Params) -> dict[str, Value]:
        """*params* over the known defaults; parameters decided at start are absent."""

    def command(self, launch: Launch) -> Command:
        """The command line of *launch*.

        Raises:
            InvalidParameters: As `parse`, and for a broken rule that needs no facts but the parameters.
        """

    def memory(self, params: Params, model: ModelFacts, hardware: HardwareFacts | None = None) -> MemoryEstimate | None:
        """What it will need, None where the model's facts do not suffice."""

    def effective(self, answers: Mapping[str, Any], log: Sequence[str]) -> dict[str, Value]:
        """What the server says it runs with, by parameter name, from the probes' JSON *answers* and its *log*."""

    def classify(self, log: Sequence[str], returncode: int | None) -> LaunchFailure:
        """Why it failed, from the last lines of its *log*; `unknown` when no line is known."""
