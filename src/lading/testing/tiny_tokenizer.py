"""A byte-level BPE tokenizer trained in about a second from text that Python itself brings.

It exists so that a tiny model needs no download: the text is CPython's own help (`pydoc_data.topics`), so tokens have
the length of English ones. The same Python version gives the same tokens.
"""

import heapq
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

END_OF_TEXT, TURN_START, TURN_END = SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
#: GPT-2's way of cutting text into words, for ASCII.
_WORD = re.compile(r"'(?:[stmd]|re|ve|ll)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """A trained vocabulary.

    Attributes:
        tokens: By id: 256 bytes, merged tokens, `SPECIAL`; fewer than asked for where the text gave no more merges.
        merges: In order of priority, as pairs of tokens.
        plain: Ids whose text is printable ASCII: whole characters, whatever stands around them.
    """

    tokens: tuple[str, ...]
    merges: tuple[tuple[str, str], ...]
    plain: tuple[int, ...]

    def id_of(self, special: str) -> int:
        """The id of one of the `SPECIAL` tokens."""
        return len(self.tokens) - len(SPECIAL) + SPECIAL.index(special)


@cache
def trained(size: int) -> Tokenizer:
    """A tokenizer of at most *size* tokens."""
    from pydoc_data.topics import topics

    words = Counter(_WORD.findall("\n".join(topics[name] for name in sorted(topics))))
    raw, merges = _trained({word.encode(): count for word, count in words.items()}, size - len(SPECIAL))
    shown = ["".join(_BYTE_SYMBOLS[byte] for byte in token) for token in raw]
    return Tokenizer(
        tokens=(*shown, *SPECIAL),
        merges=tuple((shown[left], shown[right]) for left, right in merges),
        plain=tuple(index for index, token in enumerate(raw) if all(32 <= byte < 127 for byte in token)),
    )


def tokenizer_json(tokenizer: Tokenizer) -> dict[str, Any]:
    """The content of ``tokenizer.json`` for Hugging Face's `tokenizers`."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(tokenizer.id_of(token), token) for token in SPECIAL],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {token: index for index, token in enumerate(tokenizer.tokens)},
            "merges": [f"{left} {right}" for left, right in tokenizer.merges],
        },
    }


def _added(index: int, token: str) -> dict[str, Any]:
    return {"id": index, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": True}  # fmt: skip


def _byte_symbols() -> dict[int, str]:
    """GPT-2's table: each byte as one visible character, so that tokens are plain strings in JSON."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {byte: chr(256 + nth) for nth, byte in enumerate(hidden)}


_BYTE_SYMBOLS = _byte_symbols()


def _trained(words: Mapping[bytes, int], size: int) -> tuple[list[bytes], list[Pair]]:
    """At most *size* tokens, and the merges that make them: the most frequent pair, again and again; ties by ids.

    Two merges may spell one token (``a``+``bc``, ``ab``+``c``): it has one id.
    """
    ids = {bytes([value]): value for value in range(256)}
    tokens, merges = list(ids), []
    corpus = _Corpus(words)
    while len(tokens) < size and (best := corpus.most_frequent()) is not None:
        merges.append(best)
        spelled = tokens[best[0]] + tokens[best[1]]
        if spelled not in ids:
            ids[spelled] = len(tokens)
            tokens.append(spelled)
        corpus.merge(best, ids[spelled])
    return tokens, merges


class _Corpus:
    """Words as symbols, with the counts of neighbouring pairs kept up to date word by word."""

    def __init__(self, words: Mapping[bytes, int]) -> None:
        self._words = [list(word) for word in words]
        self._times = list(words.values())
        self._counts: Counter[Pair] = Counter()
        self._where: defaultdict[Pair, set[int]] = defaultdict(set)
        for index in range(len(self._words)):
            self._add(index)
        self._heap = [(-count, pair) for pair, count in self._counts.items()]
        heapq.heapify(self._heap)

    def most_frequent(self) -> Pair | None:
        """The pair that stands most often; stale entries of the heap are dropped as they surface."""
        while self._heap:
            negative, pair = heapq.heappop(self._heap)
            if -negative == self._counts[pair] > 0:
                return pair
        return None

    def merge(self, pair: Pair, merged: int) -> None:
        """Put the symbol *merged* wherever *pair* stands."""
        changed: set[Pair] = set()
        for index in self._where.pop(pair):
            word = self._words[index]
            for before in pairwise(word):
                self._counts[before] -= self._times[index]
            changed.update(pairwise(word))
            self._words[index] = _merge(word, pair, merged)
            changed.update(self._add(index))
        for other in changed:
            if self._counts[other] > 0:
                heapq.heappush(self._heap, (-self._counts[other], other))

    def _add(self, index: int) -> set[Pair]:
        pairs = list(pairwise(self._words[index]))
        for pair in pairs:
            self._counts[pair] += self._times[index]
            self._where[pair].add(index)
        return set(pairs)


def _merge(symbols: list[int], pair: Pair, merged: int) -> list[int]:
    out: list[int] = []
    previous: int | None = None  # the symbol before, unless it was just merged
    for symbol in symbols:
        if previous is not None and (previous, symbol) == pair:
            out[-1] = merged
            previous = None
        else:
            out.append(symbol)
            previous = symbol
    return out
