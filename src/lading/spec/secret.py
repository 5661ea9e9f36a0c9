"""What must not be shown, told by its name: one judgement for every command, report and manifest."""

import re
from collections.abc import Mapping, Sequence

HIDDEN = "(hidden)"
# `token` as the last word: engines count tokens, and a threshold of tokens must stay readable.
_NAME = re.compile(r"token$|secret|passw|(?<![a-z])key$|api.?key|credential|authorization", re.IGNORECASE)


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


def public_env(env: Mapping[str, str]) -> dict[str, str]:
    """*env* without what looks secret."""
    return {name: value for name, value in env.items() if not is_secret(name)}
