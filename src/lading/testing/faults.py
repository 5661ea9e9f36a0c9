"""Faults of an HTTP answer: functions from the honest answer to the one that is sent (`lading.testing.faulty`).

An answer is a value whose body is an iterator of pieces, so a fault changes the status, the headers, how the end is told,
the bytes, their pace, or what else happens meanwhile; faults compose by being called one after the other.
"""

import itertools
import threading
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request, read: *start* and *end* (behind the last byte) as its ``Range`` says, None where it says nothing."""

    method: str
    target: str
    path: str
    headers: Mapping[str, str]
    start: int | None = None
    end: int | None = None
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is to be sent.

    Attributes:
        headers: In order; a name may come twice.
        framing: How the body's end is told: by ``Content-Length`` among the headers, in chunks, or by closing.
        head: Sent instead of status line and headers.
        then: What becomes of the connection behind the last piece of the body.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: Iterator[bytes] = field(default_factory=lambda: iter(()))
    framing: Literal["length", "chunked", "close"] = "length"
    version: str = "HTTP/1.1"
    head: bytes | None = None
    then: Literal["keep", "close", "reset"] = "keep"

    def header(self, name: str) -> str | None:
        """The first header of that name."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def with_header(self, name: str, value: str | None) -> "Answer":
        """With this header in place of those of its name; None: without."""
        kept = tuple(item for item in self.headers if item[0].lower() != name.lower())
        return replace(self, headers=kept if value is None else (*kept, (name, value)))


Origin = Callable[[Request], Answer]
Fault = Callable[[Answer], Answer]


# ----------------------------------------------------------------------------------------------------------- faults


def short(status: int, *headers: tuple[str, str], body: bytes = b"") -> Answer:
    """An answer without the file."""
    return Answer(status=status, headers=(*headers, ("Content-Length", str(len(body)))), body=iter((body,)))


def status(code: int, *headers: tuple[str, str], body: bytes = b"") -> Fault:
    """Another answer: ``status(503, ("Retry-After", "1"))``."""
    return lambda _: short(code, *headers, body=body)


def s3_error(code: int, name: str) -> Fault:
    """An object store's refusal, in its form."""
    body = f"<?xml version='1.0'?><Error><Code>{name}</Code><Message>no</Message></Error>".encode()
    return status(code, ("Content-Type", "application/xml"), body=body)


def redirect(target: str, code: int = 302) -> Fault:
    """To *target*."""
    return status(code, ("Location", target))


def cut(after_bytes: int) -> Fault:
    """The connection is closed in good order, before the end that was announced."""
    return lambda answer: replace(answer, body=_first(answer.body, after_bytes), then="close")


def reset(after_bytes: int) -> Fault:
    """The connection is reset."""
    return lambda answer: replace(answer, body=_first(answer.body, after_bytes), then="reset")


def stall(after_bytes: int, stopping: threading.Event) -> Fault:
    """Silence on an open connection, until *stopping*."""
    return lambda answer: replace(answer, body=_then(_first(answer.body, after_bytes), stopping.wait), then="reset")


def drip(bytes_per_s: float, stopping: threading.Event, *, after_bytes: int = 0) -> Fault:
    """So slowly that no time-out between two bytes ever comes."""
    return lambda answer: replace(answer, body=_drip(answer.body, bytes_per_s, after_bytes, stopping))


def wrong(at: int = 0, *, mask: int = 0x40) -> Fault:
    """Bits flipped in the byte at *at* of the body, whose length stays."""
    return lambda answer: replace(answer, body=_flipped(answer.body, at, mask))


def longer(extra: bytes = b"more", *, told: bool = True) -> Fault:
    """More bytes than the file has; *told*: and the length says so."""

    def apply(answer: Answer) -> Answer:
        more = replace(answer, body=itertools.chain(answer.body, (extra,)), then="close")
        length = int(answer.header("Content-Length") or 0)
        return more.with_header("Content-Length", str(length + len(extra))) if told else more

    return apply


def shorter(by_bytes: int) -> Fault:
    """Fewer bytes than the file has, and the length says so."""

    def apply(answer: Answer) -> Answer:
        length = max(0, int(answer.header("Content-Length") or 0) - by_bytes)
        return replace(answer, body=_first(answer.body, length)).with_header("Content-Length", str(length))

    return apply


def header(name: str, value: str | None) -> Fault:
    """Another value of a header; None: without it."""
    return lambda answer: answer.with_header(name, value)


def also(*headers: tuple[str, str]) -> Fault:
    """These headers besides: a second length, a huge one."""
    return lambda answer: replace(answer, headers=(*answer.headers, *headers))


def raw(head: bytes, then: Literal["keep", "close", "reset"] = "close") -> Fault:
    """Bytes that need not be HTTP, and nothing else."""
    return lambda answer: replace(answer, head=head, body=iter(()), then=then)


def chunked(answer: Answer) -> Answer:
    """A body in chunks, without its length."""
    return replace(answer.with_header("Content-Length", None), framing="chunked")


def until_close(answer: Answer) -> Answer:
    """A body that ends with the connection, without its length."""
    return replace(answer.with_header("Content-Length", None), framing="close", then="close")


def http10(answer: Answer) -> Answer:
    """An answer of the old protocol, which closes the connection."""
    return replace(until_close(answer), version="HTTP/1.0")


def encoded(answer: Answer) -> Answer:
    """A body that is compressed, though nobody asked."""
    return chunked(replace(answer.with_header("Content-Encoding", "gzip"), body=_packed(answer.body)))


def calls(function: Callable[[], object], *, after_bytes: int = 0) -> Fault:
    """Something else happens meanwhile: the file is replaced, the credentials expire."""
    return lambda answer: replace(answer, body=_calling(answer.body, function, after_bytes))


def _first(body: Iterator[bytes], count: int) -> Iterator[bytes]:
    for piece in body:
        if piece[:count]:
            yield piece[:count]
        count -= len(piece)
        if count <= 0:
            break
    if isinstance(body, Generator):
        body.close()  # a server behind it may hold the file for as long as it is read


def _then(body: Iterator[bytes], action: Callable[[], object]) -> Iterator[bytes]:
    yield from body
    action()


def _packed(body: Iterator[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(wbits=31)
    yield from map(packer.compress, body)
    yield packer.flush()


def _drip(body: Iterator[bytes], bytes_per_s: float, after: int, stopping: threading.Event) -> Iterator[bytes]:
    sent, step = 0, max(1, int(bytes_per_s / 10))
    for piece in body:
        quick = piece[: max(0, after - sent)]
        if quick:
            yield quick
        for at in range(len(quick), len(piece), step):
            if stopping.wait(step / bytes_per_s):
                return
            yield piece[at : at + step]
        sent += len(piece)


def _flipped(body: Iterator[bytes], at: int, mask: int) -> Iterator[bytes]:
    for piece in body:
        changed = piece
        if 0 <= at < len(piece):
            changed = piece[:at] + bytes([piece[at] ^ mask]) + piece[at + 1 :]
        yield changed
        at -= len(piece)


def _calling(body: Iterator[bytes], function: Callable[[], object], after: int) -> Iterator[bytes]:
    sent, called = 0, False
    for piece in body:
        if not called and sent + len(piece) > after:
            called = True
            function()
        yield piece
        sent += len(piece)
    if not called:
        function()
