"""`lading ask`: one request, by whatever the server speaks."""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from lading.answers.serving import Reply
from lading.backends import asking, asking_given
from lading.backends.asking_protocol import Protocol
from lading.cli.output import Common, Output
from lading.errors import InvalidInput
from lading.spec import units
from lading.wiring import asking as wired
from lading.wiring import serving

_MOST_LINES = 20
_LONGEST_LINE = 160


async def ask(
    server: str,
    prompt: str | None = None,
    *,
    file: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    protocol: Protocol | None = None,
    max_tokens: int = 128,
    model: str | None = None,
    raw: Annotated[bool, Parameter(negative=())] = False,
    api_key_env: str | None = None,
    backend: str | None = None,
    namespace: Annotated[str | None, Parameter(name=["--namespace", "-n"])] = None,
    context: str | None = None,
    deadline: str = "10m",
    common: Common | None = None,
) -> None:
    """Send one request to a server and print its answer.

    The server is asked what it speaks. Without an input a sample is sent, made from what the server says of its model.

    Args:
        server: What `lading serve` called it, or a URL.
        prompt: What to say, or JSON: rows, one row, an object with a value for each input, or a whole request.
        file: The same from a file; - for stdin.
        protocol: chat, completions, embeddings, v1 (predict) or v2 (Open Inference); found out by asking when not given.
        max_tokens: The longest answer of an LLM.
        model: The model to ask for; the one that is served by default.
        raw: Complete the text as it is, without a chat around it: for base models. As --protocol completions.
        api_key_env: The environment variable that has the server's key; LADING_API_KEY by default.
        backend: Look for the name only there.
        namespace: Namespace of a server in a cluster; the context's own by default.
        context: Context of the kubeconfig; its current one by default.
        deadline: How long the answer may take.
    """
    output = Output(common)
    if raw and protocol not in {None, "completions"}:
        raise InvalidInput(f"--raw completes a text, --protocol {protocol} does not", hint="leave one of them out")
    text = await asyncio.to_thread(_input, prompt, file)
    given = None if text is None else asking_given.read(text)
    within_s = _seconds(deadline)
    async with serving.asked(server, api_key_env, kind=backend, namespace=namespace, context=context) as endpoint:
        reply = await wired.ask(
            endpoint,
            given,
            protocol="completions" if raw else protocol,
            model=model,
            max_tokens=max_tokens,
            within_s=within_s,
            sending=output.say,
            piece=lambda piece: _show(output, piece),
        )
    if output.json:
        output.result(reply)
    elif reply.document is None:
        print()  # behind the last piece
    else:
        output.result(reply, "\n".join(_lines(reply)))


def _input(prompt: str | None, file: str | None) -> str | None:
    """What is to be asked.

    Raises:
        InvalidInput: It was given twice, or cannot be read.
    """
    if file is None:
        return prompt
    if prompt is not None:
        raise InvalidInput("the input is given twice: on the command line and by --file", hint="leave one of them out")
    if file == "-":
        return asking_given.decode(sys.stdin.buffer.read(asking_given.LARGEST_BYTES + 1), "stdin")
    try:
        with Path(file).open("rb") as opened:
            return asking_given.decode(opened.read(asking_given.LARGEST_BYTES + 1), file)
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}") from error


def _lines(reply: Reply) -> Iterator[str]:
    """A prediction or embeddings, for people; the head of what is long."""
    document = reply.document or {}
    rows: list[tuple[str, Any]]
    if reply.protocol == "v2":
        rows = [
            (f"{one.get('name')} {one.get('datatype')} {one['shape']}: ", one["data"]) for one in document["outputs"]
        ]
    elif reply.protocol == "v1":
        found = document["predictions"]
        rows = [(f"{key}: ", value) for key, value in found.items()] if isinstance(found, dict) else [("", row) for row in found]  # fmt: skip
    else:
        rows = [(f"{len(one['embedding'])} numbers: ", one["embedding"]) for one in document["data"]]
    for label, value in rows[:_MOST_LINES]:
        line = asking.printable(label + json.dumps(value))
        yield line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]} …"
    if len(rows) > _MOST_LINES:
        yield f"… and {len(rows) - _MOST_LINES:,} more; --format json has all"


def _show(output: Output, piece: str) -> None:
    if not output.json:
        print(piece, end="", flush=True)


def _seconds(text: str) -> float:
    try:
        return units.parse_seconds(text)
    except ValueError as error:
        raise InvalidInput(f"--deadline: {error}", hint="such as --deadline 90s") from error
