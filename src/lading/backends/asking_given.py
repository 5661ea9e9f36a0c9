"""What a person gives to ask with, as the request that it means. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from lading.backends.asking_protocol import OPENAI, Protocol, Spoken
from lading.errors import InvalidInput

#: The largest input that is sent.
LARGEST_BYTES = 16 * 2**20
#: What an LLM is told where nothing was given.
GREETING = "Hello"
#: A key that says of a whole request which protocol's it is.
_KEYS: Mapping[str, Protocol] = {
    "messages": "chat",
    "prompt": "completions",
    "input": "embeddings",
    "instances": "v1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """An input.

    Attributes:
        text: As it was written.
        value: Its JSON; the text itself where it is none.
        whole: The protocol whose request it is as it stands; None: it is what is to be asked about.
    """

    text: str
    value: Any
    whole: Protocol | None = None


def read(text: str) -> Given:
    """*text* as an input: JSON where it is some, else words."""
    try:
        value = from_json(text)
    except ValueError:
        value = text
    return Given(text=text, value=text if value is None else value, whole=_whole(value))


def decode(data: bytes, name: str) -> str:
    """The text of a file called *name*.

    Raises:
        InvalidInput: It is too large, empty, or no text.
    """
    if len(data) > LARGEST_BYTES:
        raise InvalidInput(f"{name} has more than {LARGEST_BYTES:,} bytes: too much for one request")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{name} is no text (UTF-8): {error.reason} at byte {error.start}") from error
    if not text.strip():
        raise InvalidInput(f"{name} is empty", hint="leave it out to send a sample")
    return text


def choose(spoken: Spoken, wanted: Protocol | None, given: Given | None, *, described: bool = False) -> Protocol:
    """The protocol to ask by: the *wanted* one, the one whose whole request was *given*, else what the server speaks.

    Of a server with both V1 and V2 it is V2 where that tells the model's inputs (*described*); V1 needs no names and no types.

    Raises:
        InvalidInput: The request given is of another protocol.
    """
    whole = given.whole if given else None
    if wanted is not None and whole is not None and wanted != whole:
        raise InvalidInput(f"the input is a whole request of {whole}, not of {wanted}", hint=f"--protocol {whole}")
    if whole is not None and wanted is None and not offers(spoken, whole):
        raise InvalidInput(
            f"the input is a request of {whole}, which the server does not speak",
            hint=f"--protocol {whole} sends it all the same",
        )
    if wanted or whole:
        return wanted or whole or "chat"
    if spoken.openai is not None:
        return "chat"
    return "v2" if spoken.v2 and (described or not spoken.v1) else "v1"


def offers(spoken: Spoken, protocol: Protocol) -> bool:
    """Whether the server speaks *protocol*, as far as it told."""
    if protocol in OPENAI:
        return spoken.openai is not None
    return spoken.v1 if protocol == "v1" else spoken.v2


def openai_body(protocol: Protocol, model: str, given: Given | None, max_tokens: int) -> dict[str, Any]:
    """The request for OpenAI's API: *given* as it stands with what it leaves open, or asked about; a greeting without it."""
    size = {} if protocol == "embeddings" else {"max_tokens": max_tokens}
    if given is not None and given.whole == protocol:
        return {"model": model, **size, **given.value}
    text = given.text if given is not None else GREETING
    asked: dict[Protocol, dict[str, Any]] = {
        "chat": {"messages": [{"role": "user", "content": text}]},
        "completions": {"prompt": text},
        "embeddings": {"input": text},
    }
    return {"model": model, **size, **asked[protocol]}


def _whole(value: object) -> Protocol | None:
    if not isinstance(value, Mapping):
        return None
    inputs = value.get("inputs")
    if isinstance(inputs, list) and inputs and all(isinstance(one, Mapping) and "datatype" in one for one in inputs):
        return "v2"
    return next((protocol for key, protocol in _KEYS.items() if key in value), None)
