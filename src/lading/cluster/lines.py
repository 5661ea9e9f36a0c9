"""Lines of a stream, however long: the HTTP client's own reader refuses those above its buffer."""

from collections.abc import AsyncIterable, AsyncIterator

#: Nobody writes longer lines on purpose; what is beyond is left out, so that no pod can fill our memory.
LONGEST_BYTES = 16 * 1024 * 1024


async def split(chunks: AsyncIterable[bytes], *, longest_bytes: int = LONGEST_BYTES) -> AsyncIterator[bytes]:
    """The lines of *chunks* without their newline, cut after *longest_bytes*; a last one without newline is left out.

    What ends without a newline was broken off: the line comes whole when the stream is resumed.
    """
    parts: list[bytes] = []
    size_bytes = 0
    async for chunk in chunks:
        first, *rest = chunk.split(b"\n")
        for number, piece in enumerate((first, *rest)):
            if number:
                yield b"".join(parts)
                parts, size_bytes = [], 0
            parts.append(piece[: longest_bytes - size_bytes])
            size_bytes += len(parts[-1])
