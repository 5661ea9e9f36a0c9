"""What must not be shown, told by its name: one judgement for every command, report and manifest."""

import re
from collections.abc import Iterable, Mapping, Sequence

HIDDEN = "(hidden)"
# `token` as the last word: engines count tokens, and a threshold of tokens must stay readable.
_NAME = re.compile(r"token$|secret|passw|(?<![a-z])key$|api.?key|credential|authorization", re.IGNORECASE)

_URL = re.compile(r"://[^/\s@:]*:[^/\s@]+@|[?&][^=&\s]*(?:token|sig|signature|secret|password|key)=", re.IGNORECASE)
SHORTEST = 8


def is_secret(name: str) -> bool:
    """Whether what is called *name*, a variable or a flag, looks secret: ``HF_TOKEN``, ``--api-key``."""
    return _NAME.search(name) is not None


def public_argv(argv: Sequence[str]) -> tuple[str, ...]:
    """*argv* with the values of flags that look secret hidden: ``--api-key X``, ``--api-key=X``."""
    shown: list[str] = []
    for word in argv:
        flag, equals, _ = word.partition("=")
        before = shown[-1] if shown else ""
        if equals and flag.startswith("-") and is_secret(flag):
            shown.append(f"{flag}={HIDDEN}")
        elif before.startswith("-") and "=" not in before and is_secret(before) and not word.startswith("-"):
            shown.append(HIDDEN)
        else:
            shown.append(word)
    return tuple(shown)


def public_env(env: Mapping[str, str | None]) -> dict[str, str]:
    """*env* without what looks secret, and without what is only passed on."""
    return {name: value for name, value in env.items() if value is not None and not holds_secret(name, value)}


def passed_on(env: Mapping[str, str | None]) -> tuple[str, ...]:
    """The variables of *env* whose values are not to be written down: whoever starts the server has them."""
    public = public_env(env)
    return tuple(name for name in env if name not in public)


def literal(env: Mapping[str, str | None]) -> tuple[str, ...]:
    """The variables of *env* that are written with a value, and look secret."""
    return tuple(name for name, value in env.items() if value is not None and holds_secret(name, value))


def holds_secret(name: str, value: str) -> bool:
    """Whether a variable looks secret by its name, or for a URL with a password or a signature in it."""
    return is_secret(name) or _URL.search(value) is not None


def hidden(text: str, values: Iterable[str]) -> str:
    """*text* with every one of *values* hidden; those too short to tell from words are left."""
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= SHORTEST:
            text = text.replace(value, HIDDEN)
    return text
