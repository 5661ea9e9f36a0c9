"""Kubernetes quantities as numbers: ``500m``, ``16Gi``, ``1e3``."""

import re
from decimal import Decimal

_QUANTITY = re.compile(
    r"([+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40}))(?:[eE]([+-]?[0-9]{1,2})|([A-Za-z]{0,2}))"
)
_SUFFIX = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1),
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", start=1)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)},
}  # fmt: skip


def number(text: object) -> Decimal:
    """What *text* says, in whole units (cores, bytes, devices).

    Raises:
        ValueError: Not a quantity.
    """
    match = _QUANTITY.fullmatch(str(text).strip())
    if match is None or (match[3] or "") not in _SUFFIX:
        raise ValueError(f"{text!r} is not a quantity such as 500m, 16Gi or 2")
    return Decimal(match[1]) * (Decimal(10) ** int(match[2]) if match[2] else _SUFFIX[match[3] or ""])


def shown(resource: str, amount: Decimal) -> str:
    """*amount* of *resource* for a person: memory in GiB or MiB, the rest as a plain number."""
    if resource in {"memory", "ephemeral-storage"} or resource.startswith("hugepages-"):
        unit, factor = ("GiB", 2**30) if amount >= 2**30 else ("MiB", 2**20)
        value = amount / factor
        return f"{value:,.0f} {unit}" if value >= 1000 else f"{value:.3g} {unit}"
    return f"{amount.normalize():f}"
