"""The bytes of a request to an OpenAI-compatible server."""

import json
from collections.abc import Mapping
from typing import Any

from lading.errors import InvalidInput
from lading.load.pool import Target
from lading.measure.schedule import Planned
from lading.ports.backend import Endpoint
from lading.spec.workload import Workload

_PATHS = {"chat": "/v1/chat/completions", "completions": "/v1/completions"}


def body(planned: Planned, endpoint: Endpoint, workload: Workload) -> dict[str, Any]:
    """The JSON of one request: later keys win: ours, the engine's, the user's."""
    if workload.api == "chat":
        content: dict[str, Any] = {"messages": [{"role": "user", "content": planned.prompt}]}
    else:
        content = {"prompt": planned.prompt}
    engine = {key: value for key, value in endpoint.request_body.items() if workload.ignore_eos or key != "ignore_eos"}
    return {
        "model": endpoint.served_name,
        **content,
        "max_tokens": planned.answer_tokens,
        "temperature": workload.temperature,
        "stream": True,
        "stream_options": {"include_usage": True},
        **engine,
        **workload.body,
    }


def payload(document: Mapping[str, Any], target: Target, endpoint: Endpoint, workload: Workload) -> bytes:
    """The whole request: head and body.

    Raises:
        InvalidInput: A header of the endpoint holds a control character.
    """
    content = json.dumps(document, separators=(",", ":")).encode()
    lines = [
        f"POST {target.prefix}{_PATHS[workload.api]} HTTP/1.1",
        f"Host: {target.authority}",
        "Content-Type: application/json",
        "Accept: text/event-stream",
        f"Content-Length: {len(content)}",
        *_headers(endpoint.headers),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + content


def _headers(headers: Mapping[str, str]) -> list[str]:
    for name, value in headers.items():
        if not (name + value).isprintable() or not (name + value).isascii():
            raise InvalidInput(f"the header {name!r} holds a character that no header may have")  # never its value
    return [f"{name}: {value}" for name, value in headers.items()]
