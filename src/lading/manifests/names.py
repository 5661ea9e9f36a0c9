"""Names that Kubernetes takes, made from names that people wrote."""

import hashlib
import re

LONGEST = 40
"""KServe adds ``-predictor`` and a pod's hash to a service's name, and a label holds 63 characters."""


def dns(text: str, *, longest: int = LONGEST) -> str:
    """*text* as a DNS label that begins with a letter, as KServe demands: ``Granite 7B`` → ``granite-7b``.

    A name that had to be cut ends with six hex digits of the whole, so that two long names stay two.
    """
    safe = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if not safe or not safe[0].isalpha():
        safe = f"model-{safe}".rstrip("-")
    if len(safe) <= longest:
        return safe
    mark = hashlib.sha256(text.encode()).hexdigest()[:6]
    return f"{safe[: longest - 7].rstrip('-')}-{mark}"
