"""What a pod requests of its node, counted as the scheduler counts it."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from lading.placement import quantity

Amounts = Mapping[str, Decimal]


def of(spec: Mapping[str, Any]) -> dict[str, Decimal]:
    """Requests of a pod by its *spec*, with the pod itself as one of ``pods``.

    Containers and sidecars run together. Init containers run one by one, each beside the sidecars that were started
    before it. What has a limit and no request requests its limit.
    """
    running = total(_of_container(one) for one in spec.get("containers") or ())
    starting: dict[str, Decimal] = {}
    sidecars: dict[str, Decimal] = {}
    for one in spec.get("initContainers") or ():
        if one.get("restartPolicy") == "Always":
            sidecars = total((sidecars, _of_container(one)))
            starting = _most(starting, sidecars)
        else:
            starting = _most(starting, total((sidecars, _of_container(one))))
    whole = _most(total((running, sidecars)), starting)
    whole |= _of_resources(spec.get("resources") or {})  # of the pod as a whole: stands above its containers'
    return total((whole, _numbers(spec.get("overhead") or {}), {"pods": Decimal(1)}))


def total(parts: Iterable[Amounts]) -> dict[str, Decimal]:
    """The sum of *parts*, by resource."""
    whole: dict[str, Decimal] = {}
    for part in parts:
        for name, amount in part.items():
            whole[name] = whole.get(name, Decimal(0)) + amount
    return whole


def _of_container(container: Mapping[str, Any]) -> dict[str, Decimal]:
    return _of_resources(container.get("resources") or {})


def _of_resources(resources: Mapping[str, Any]) -> dict[str, Decimal]:
    return {**_numbers(resources.get("limits") or {}), **_numbers(resources.get("requests") or {})}


def _numbers(amounts: Mapping[str, Any]) -> dict[str, Decimal]:
    return {name: quantity.number(amount) for name, amount in amounts.items()}


def _most(one: Amounts, other: Amounts) -> dict[str, Decimal]:
    return {name: max(one.get(name, Decimal(0)), other.get(name, Decimal(0))) for name in {**one, **other}}
