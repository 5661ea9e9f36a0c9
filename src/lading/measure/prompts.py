"""Prompts of a wanted length that no prefix cache has seen: as token ids, or as words where ids are not taken.

Within one level every prompt differs from every other right after the shared prefix (as far as its length allows:
n symbols can tell apart at most ``symbols ** n`` prompts), because it starts with its own number written in the
symbols. What follows is random. Token ids keep away from both ends of a vocabulary, where special tokens live.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from lading.measure import seeded

Symbol = TypeVar("Symbol")

#: Taken where a server does not tell: every known model has more, and the probe sends ids of this range first.
UNKNOWN_VOCABULARY = 1000

#: Short common words: about one token each in every usual tokenizer.
_PROSE = (
    "the of and to in is you that it he was for on are as with his they at be this have from or one had by word but "
    "not what all were we when your can said there use an each which she do how their if will up other about out many "
    "then them these so some her would make like him into time has look two more write go see number no way could "
    "people my than first water been call who oil its now find long down day did get come made may part over new sound "
    "take only little work know place year live me back give most very after thing our just name good sentence man "
    "think say great where help through much before line right too mean old any same tell boy follow came want show "
    "also around form three small set put end does another well large must big even such because turn here why ask "
    "went men read need land different home us move try kind hand picture again change off play spell air away animal "
    "house point page letter mother answer found study still learn should world"
)
WORDS = tuple(_PROSE.split())


@dataclass(frozen=True, slots=True)
class TokenIds:
    """Prompts are lists of token ids of a vocabulary of this size."""

    vocabulary: int

    @property
    def symbols(self) -> range:
        """The ids that are used: never the first sixteenth nor the last eighth."""
        return range(self.vocabulary // 16, max(self.vocabulary // 16 + 1, self.vocabulary - self.vocabulary // 8))


@dataclass(frozen=True, slots=True)
class Words:
    """Prompts are text, a word counted as a token."""

    @property
    def symbols(self) -> Sequence[str]:
        """The words that are used."""
        return WORDS


Form = TokenIds | Words
Prompt = tuple[int, ...] | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """All prompts of one level.

    Attributes:
        key: Names the level, the warm-up or the run: other keys give other prompts.
        shared: Tokens at the start that all prompts of this seed share, whatever the key.
    """

    form: Form
    seed: int
    key: str
    shared: int = 0

    def prompt(self, index: int, length: int) -> Prompt:
        """The prompt of request *index*, *length* tokens long (words, for text), the shared ones included."""
        match self.form:
            case TokenIds():
                return tuple(self._symbols(self.form.symbols, index, length))
            case Words():
                return " ".join(self._symbols(self.form.symbols, index, length))

    def _symbols(self, symbols: Sequence[Symbol], index: int, length: int) -> list[Symbol]:
        shared = min(self.shared, length)
        prefix = seeded.generator(self.seed, "shared").choices(symbols, k=shared) if shared else []
        turn = seeded.generator(self.seed, self.key).randrange(len(symbols))
        number = [symbols[(digit + turn) % len(symbols)] for digit in _digits(index, len(symbols))][: length - shared]
        rest = length - shared - len(number)
        return [*prefix, *number, *seeded.generator(self.seed, self.key, index).choices(symbols, k=rest)]


def _digits(number: int, base: int) -> list[int]:
    """*number* in *base*, the lowest digit first, so that neighbours differ in their first symbol."""
    if base < 2:
        return []
    digits = [number % base]
    while number := number // base:
        digits.append(number % base)
    return digits
