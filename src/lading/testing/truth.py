"""The truth server: an OpenAI-compatible server whose timing is known, for judging load clients.

``python -m lading.testing.truth --port 0 --ttft-ms 50 --itl-ms 10`` prints its URL and serves until it is ended. The
first token is sent TTFT after the request was fully read, each next one ITL later, on absolute deadlines (a late tick
does not shift the next). It records what it *really* sent: a client is judged against ``GET /stats``, never against
the ideal. Faults are asked for by option, or later by ``POST /control`` with a JSON object of `Behaviour`'s fields.

=================  ===================================================================================
``GET /stats``     percentiles of TTFT, ITL and duration as sent, counts, connections, own CPU seconds
``GET /requests``  what came: prompt, its kind and length, keys, time of arrival
``POST /reset``    forget all of that
``POST /control``  change the behaviour; the new one is answered
=================  ===================================================================================
"""

import argparse
import asyncio
import json
import math
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from time import monotonic
from typing import Any, cast, get_args

from lading.testing.behaviour import Behaviour, Fault, Seen

LONGEST_REQUEST_BYTES = 64 * 1024 * 1024


class Truth:
    """The server's state: one per process."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.seen = Seen()
        self.connections: set[Connection] = set()
        self.running: set[Stream] = set()
        self.waiting: list[Stream] = []

    def admit(self, stream: "Stream") -> None:
        """Start *stream* now, or when there is room."""
        if self.behaviour.capacity and len(self.running) >= self.behaviour.capacity:
            self.waiting.append(stream)
            return
        self.running.add(stream)
        self.seen.most_running = max(self.seen.most_running, len(self.running))
        stream.start()

    def left(self, stream: "Stream") -> None:
        """*stream* is over: the next may start."""
        self.running.discard(stream)
        if stream in self.waiting:
            self.waiting.remove(stream)
        elif self.waiting and len(self.running) < (self.behaviour.capacity or math.inf):
            self.admit(self.waiting.pop(0))


class Connection(asyncio.Protocol):
    """Reads requests off one connection, one after the other."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self.transport: asyncio.Transport | None = None
        self.stream: Stream | None = None
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self.truth.connections.add(self)
        self.truth.seen.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop: the client left, or was left."""
        del exc
        self.transport = None
        self.truth.connections.discard(self)
        if self.stream is not None:
            self.truth.seen.aborted += 1
            self.stream.stop()

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._buffer += data
        while self.stream is None and self.transport is not None:
            head_end = self._buffer.find(b"\r\n\r\n")
            if head_end < 0:
                return
            lines = bytes(self._buffer[:head_end]).decode("latin-1").split("\r\n")
            fields = {name.strip().lower(): value.strip() for name, _, value in (x.partition(":") for x in lines[1:])}
            end = head_end + 4 + int(fields.get("content-length") or 0)
            if end > LONGEST_REQUEST_BYTES:
                self.transport.abort()
                return
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[head_end + 4 : end])
            del self._buffer[:end]
            method, path, *_ = [*lines[0].split(" "), "", ""]
            self._handle(method, path.partition("?")[0], fields, body)

    def write(self, data: bytes) -> None:
        """Send *data*, when somebody is there."""
        if self.transport is not None:
            self.transport.write(data)

    def close(self) -> None:
        """Close after what was written."""
        if self.transport is not None:
            self.transport.close()

    def answer(self, document: object, status: int = 200) -> None:
        """Send a plain JSON answer."""
        content = json.dumps(document).encode()
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        self.write(head.encode() + content)

    def ended(self) -> None:
        """The stream is over: be ready for the next request, or close."""
        self.stream = None
        if self.truth.behaviour.keep_alive != "yes" or self.truth.behaviour.framing == "close":
            self.close()
        elif self._buffer:
            self.data_received(b"")

    def _handle(self, method: str, path: str, fields: dict[str, str], body: bytes) -> None:
        truth = self.truth
        if method == "GET":
            self.answer(_told(truth, path))
        elif path == "/reset":
            truth.seen = Seen()
            self.answer({})
        elif path == "/control":
            for name, value in json.loads(body).items():
                setattr(truth.behaviour, name, value)
            self.answer(asdict(truth.behaviour))
        elif path in {"/v1/completions", "/v1/chat/completions"}:
            self._generate(fields, body, chat="chat" in path)
        else:
            self.answer(_error(f"no such path: {path}"), 404)

    def _generate(self, fields: dict[str, str], body: bytes, *, chat: bool) -> None:
        now, behaviour = monotonic(), self.truth.behaviour
        try:
            document = json.loads(body)
        except ValueError:
            self.answer(_error("the body is not JSON"), 400)
            return
        prompt = document["messages"][0]["content"] if chat else document["prompt"]
        refused = _refusal(behaviour, document, prompt, fields)
        if refused is not None:
            self.answer(_error(refused[1]), refused[0])
            return
        length = len(prompt.split()) if isinstance(prompt, str) else len(prompt)
        self.truth.seen.requests.append(
            {"at_s": now, "prompt": prompt, "tokens": length, "max_tokens": document.get("max_tokens"),
             "stream": bool(document.get("stream")), "keys": sorted(document), "chat": chat}
        )  # fmt: skip
        self.truth.seen.streamed += bool(document.get("stream"))
        faulty = behaviour.fault != "none" and len(self.truth.seen.requests) % behaviour.fault_every == 0
        stream = Stream(self, document, length, now, chat=chat, fault=behaviour.fault if faulty else "none")
        self.stream = stream
        self.truth.admit(stream)


class Stream:
    """One answer: tokens on absolute deadlines, and the fault it may have to suffer."""

    def __init__(
        self, connection: Connection, document: dict[str, Any], prompt_tokens: int, read_s: float, *, chat: bool, fault: Fault
    ) -> None:  # fmt: skip
        behaviour = connection.truth.behaviour
        self._connection, self._behaviour, self._chat, self._fault = connection, behaviour, chat, fault
        self._read_s = self._began_s = read_s
        self._tokens = int(document.get("max_tokens") or 16)
        self._streams = bool(document.get("stream")) and fault != "no_stream"
        self._usage = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": self._tokens,
            "total_tokens": prompt_tokens + self._tokens,
        }
        self._wants_usage = bool((document.get("stream_options") or {}).get("include_usage")) and behaviour.usage
        self._base = {"id": "t", "object": "chunk", "created": 1, "model": behaviour.model}
        self._token = _event({**self._base, "choices": [self._choice(" tok" * behaviour.tokens_per_chunk)]})
        self._sent = 0
        self._times_s: list[float] = []
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """It is this stream's turn."""
        self._began_s = monotonic()
        if self._fault == "http500":
            self._connection.answer(_error("internal error"), 500)
            self._over()
        elif self._fault == "drop":
            self._at(0.0, self._leave)
        elif not self._streams:
            self._at((self._tokens - 1) * self._behaviour.itl_ms / 1000, self._answer_whole)
        elif self._fault != "hang":
            self._open()
            self._at(0.0, self._tick)

    def stop(self) -> None:
        """The client is gone."""
        if self._timer is not None:
            self._timer.cancel()
        self._connection.truth.left(self)

    def _open(self) -> None:
        framing = "" if self._behaviour.framing == "close" else "Transfer-Encoding: chunked\r\n"
        closing = "Connection: close\r\n" if self._behaviour.keep_alive == "close" else ""
        self._connection.write(f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{framing}{closing}\r\n".encode())
        if self._chat and self._behaviour.role in {"early", "null"}:
            self._write(self._role(None if self._behaviour.role == "null" else ""))

    def _at(self, after_first_s: float, step: Any) -> None:
        """Take *step* at its absolute deadline: so long after the first token was due."""
        loop = asyncio.get_running_loop()
        delay_s = self._began_s + self._behaviour.ttft_ms / 1000 + after_first_s - monotonic()
        self._timer = loop.call_later(max(0.0, delay_s), step)

    def _tick(self) -> None:
        """Send what is due: one chunk, then the next deadline or the end."""
        if (
            self._fault in {"stall", "early_close", "sse_error", "garbage"}
            and self._sent >= self._behaviour.fault_after
        ):
            self._suffer()
            return
        now, behaviour = monotonic(), self._behaviour
        first = b"".join([self._role("")] if self._chat and not self._sent and behaviour.role == "with_first" else [])
        comment = b": keep-alive\n\n" if behaviour.comments else b""
        if self._fault != "no_tokens":
            self._write(first + comment + self._token)
            self._times_s.append(now)
        self._sent += behaviour.tokens_per_chunk
        if self._sent >= self._tokens:
            self._finish()
        else:
            self._at(self._sent * behaviour.itl_ms / 1000, self._tick)

    def _finish(self) -> None:
        last = _event({**self._base, "choices": [{**self._choice(""), "finish_reason": "length"}]})
        usage = _event({**self._base, "choices": [], "usage": self._usage}) if self._wants_usage else b""
        if self._fault == "no_done":
            self._leave()
            return
        self._write(last + usage + b"data: [DONE]\n\n", last=True)
        self._record()
        self._over()

    def _record(self) -> None:
        seen = self._connection.truth.seen
        seen.answered += 1
        seen.durations_s.append(monotonic() - self._read_s)
        if self._times_s:
            seen.ttfts_s.append(self._times_s[0] - self._read_s)
            seen.itls_s.extend(after - before for before, after in pairwise(self._times_s))

    def _suffer(self) -> None:
        if self._fault == "sse_error":
            self._write(_event(_error("the engine died")), last=True)
            self._over()
        elif self._fault == "garbage":
            self._write(b"data: {not json\n\n", last=True)
            self._over()
        elif self._fault == "early_close":
            self._leave()

    def _leave(self) -> None:
        """Close the connection in the middle of everything."""
        self._connection.stream = None
        self._connection.truth.left(self)
        self._connection.close()

    def _over(self) -> None:
        self._connection.truth.left(self)
        self._connection.ended()

    def _answer_whole(self) -> None:
        text = " tok" * self._tokens
        choice = {**({"message": {"role": "assistant", "content": text}} if self._chat else {"text": text}), "index": 0}
        self._connection.answer(
            {**self._base, "choices": [{**choice, "finish_reason": "length"}], "usage": self._usage}
        )
        self._over()

    def _choice(self, text: str) -> dict[str, Any]:
        piece: dict[str, Any] = {"delta": {"content": text} if text else {}} if self._chat else {"text": text}
        return {"index": 0, **piece, "finish_reason": None}

    def _role(self, content: str | None) -> bytes:
        delta = {"role": "assistant", "content": content}
        return _event({**self._base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})

    def _write(self, data: bytes, *, last: bool = False) -> None:
        if self._behaviour.framing == "close":
            self._connection.write(data)
            return
        size = 7 if self._behaviour.framing == "torn" else len(data)
        for start in range(0, len(data), size):
            part = data[start : start + size]
            self._connection.write(b"%x\r\n%s\r\n" % (len(part), part))
        if last:
            self._connection.write(b"0\r\n\r\n")


def _told(truth: Truth, path: str) -> object:
    if path == "/stats":
        return truth.seen.report(len(truth.connections) - 1, len(truth.running) + len(truth.waiting))
    if path == "/requests":
        return truth.seen.requests
    if path == "/v1/models":
        meta = {"meta": {"n_vocab": truth.behaviour.vocabulary}} if truth.behaviour.vocabulary else {}
        return {"object": "list", "data": [{"id": truth.behaviour.model, "object": "model", **meta}]}
    return {"status": "ok"}


def _refusal(
    behaviour: Behaviour, document: dict[str, Any], prompt: object, fields: dict[str, str]
) -> tuple[int, str] | None:
    """Status and message where the request is refused."""
    if behaviour.api_key and fields.get("authorization") != f"Bearer {behaviour.api_key}":
        return 401, "Unauthorized"
    if document.get("model") != behaviour.model:
        return 404, f"The model `{document.get('model')}` does not exist."
    if "ignore_eos" in document and not behaviour.takes_unknown_keys:
        return 400, "Unrecognized request argument supplied: ignore_eos"
    if isinstance(prompt, list) and (
        not behaviour.takes_ids or (behaviour.vocabulary and max(prompt) >= behaviour.vocabulary)
    ):
        return 400, "Prompt contains invalid tokens"
    return None


def _event(document: object) -> bytes:
    return b"data: " + json.dumps(document, separators=(",", ":")).encode() + b"\n\n"


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "truth", "code": None}}


@dataclass(frozen=True, slots=True)
class Handle:
    """A truth server that runs in its own process, as a test talks to it."""

    url: str
    pid: int

    def set(self, **behaviour: Any) -> None:
        """Change fields of its `Behaviour`."""
        self._ask("/control", json.dumps(behaviour).encode())

    def reset(self) -> None:
        """Make it as it was at its start: default behaviour but for the timing, nothing seen."""
        timing = {"ttft_ms", "itl_ms"}
        self.set(**{key: value for key, value in asdict(Behaviour()).items() if key not in timing})
        self._ask("/reset", b"{}")

    def forget(self) -> None:
        """Forget what was seen."""
        self._ask("/reset", b"{}")

    def stats(self) -> dict[str, Any]:
        """What it really sent."""
        found: dict[str, Any] = self._ask("/stats")
        return found

    def requests(self) -> list[dict[str, Any]]:
        """What it was asked."""
        found: list[dict[str, Any]] = self._ask("/requests")
        return found

    def _ask(self, path: str, body: bytes | None = None) -> Any:
        with urllib.request.urlopen(self.url + path, data=body, timeout=10) as answer:  # noqa: S310 - our own URL
            return json.load(answer)


@contextmanager
def running(**behaviour: Any) -> Iterator[Handle]:
    """A truth server in a process of its own, ended at the end; *certificate* and *key* (PEM files) make it https."""
    options = [part for key, value in behaviour.items() for part in (f"--{key.replace('_', '-')}", str(value))]
    argv = [sys.executable, "-m", "lading.testing.truth", "--port", "0", *options]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            if not url:
                raise RuntimeError("the truth server did not start")
            yield Handle(url, process.pid)
        finally:
            process.terminate()
            process.wait(10)


async def serve(behaviour: Behaviour, port: int, *, tls: tuple[str, str] | None = None) -> None:
    """Serve on *port* of the loopback address (0: a free one), print the URL, and go on until cancelled."""
    import ssl

    context = None
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
    truth = Truth(behaviour)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(truth), "127.0.0.1", port, ssl=context, backlog=2048)
    scheme, host = ("https", "localhost") if tls else ("http", "127.0.0.1")
    print(f"{scheme}://{host}:{server.sockets[0].getsockname()[1]}", flush=True)  # noqa: T201 - its answer
    await server.serve_forever()


def main() -> None:
    """The command line: one option per field of `Behaviour`."""
    parser = argparse.ArgumentParser(prog="python -m lading.testing.truth", description="A server with known timing.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--certificate", help="PEM file: serve https")
    parser.add_argument("--key", help="PEM file of its key")
    for option in fields(Behaviour):
        parser.add_argument(
            f"--{option.name.replace('_', '-')}",
            type=_switch if isinstance(option.default, bool) else type(option.default),
            default=option.default,
            choices=get_args(option.type) or None,
        )
    given = vars(parser.parse_args())
    port, certificate, key = given.pop("port"), given.pop("certificate"), given.pop("key")
    from lading.load import loops

    try:
        loops.run(serve(Behaviour(**given), port, tls=(certificate, key) if certificate and key else None))
    except KeyboardInterrupt:
        pass


def _switch(text: str) -> bool:
    return text.lower() in {"1", "true", "yes", "on"}


if __name__ == "__main__":
    main()
