"""`lading ask`."""

import asyncio
from typing import Annotated

from cyclopts import Parameter

from lading.answers.serving import Reply
from lading.cli.output import Common, Output
from lading.errors import InvalidInput, ServerSilent
from lading.spec import units
from lading.wiring import serving


async def ask(
    server: str,
    prompt: str,
    *,
    max_tokens: int = 128,
    model: str | None = None,
    raw: Annotated[bool, Parameter(negative=())] = False,
    api_key_env: str | None = None,
    deadline: str = "10m",
    common: Common | None = None,
) -> None:
    """Send one request to a server and print its answer.

    Args:
        server: What `lading serve` called it, or a URL.
        prompt: What to say.
        max_tokens: The longest answer.
        model: The model to ask for; the one that is served by default.
        raw: Complete the text as it is, without a chat around it: for base models.
        api_key_env: The environment variable that has the server's key; LADING_API_KEY by default.
        deadline: How long the answer may take.
    """
    output = Output(common)
    endpoint = await serving.endpoint_of(server, api_key_env)
    pieces: list[str] = []
    try:
        async with asyncio.timeout(_seconds(deadline)):
            name = model or await serving.asked_name(endpoint)
            async for piece in serving.answer(endpoint, name, prompt, max_tokens=max_tokens, raw=raw):
                pieces.append(piece)
                _show(output, piece)
    except TimeoutError:
        raise ServerSilent(f"{endpoint.base_url} did not finish its answer within {deadline}") from None
    _show(output, "\n")
    if output.json:
        output.result(Reply(model=name, answer="".join(pieces)))


def _show(output: Output, piece: str) -> None:
    if not output.json:
        print(piece, end="", flush=True)


def _seconds(text: str) -> float:
    try:
        return units.parse_seconds(text)
    except ValueError as error:
        raise InvalidInput(f"--deadline: {error}", hint="such as --deadline 90s") from error
