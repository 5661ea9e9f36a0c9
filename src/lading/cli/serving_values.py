"""Texts of `lading serve`'s options as the values they stand for."""

import re
from collections.abc import Sequence
from typing import Literal

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from lading.errors import InvalidInput
from lading.spec import placement, secret, units

_QUANTITY = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:m|k|M|G|T|Ki|Mi|Gi|Ti)?")


def parameters(settings: Sequence[str]) -> dict[str, object]:
    """``["n_ctx=4096"]`` as parameters; values are read as YAML.

    Raises:
        InvalidInput: One has no ``=``.
    """
    params: dict[str, object] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise InvalidInput(f"--set {setting} is not PARAMETER=VALUE", hint="such as --set n_parallel=4")
        try:
            params[key] = YAML(typ="safe", pure=True).load(value) if value else ""
        except YAMLError:
            params[key] = value
    return params


def environment(settings: Sequence[str]) -> dict[str, str | None]:
    """Variables with their values; None for one that is passed on.

    Raises:
        InvalidInput: One would show a secret.
    """
    env: dict[str, str | None] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        env[key] = value if equals else None
    for key in secret.literal(env):
        raise InvalidInput(
            f"--env {key}=… would show a secret to everyone on this machine",
            hint=f"export {key}, and pass it on by its name: --env {key}",
        )
    return env


def gpus(text: str | None) -> int | Literal["auto"] | None:
    """A number of GPUs, or ``auto``.

    Raises:
        InvalidInput: It is neither.
    """
    if text is None or text == "auto":
        return "auto" if text else None
    if not text.isascii() or not text.isdigit():
        raise InvalidInput(f"--gpus {text} is no number of GPUs", hint="such as --gpus 2, or --gpus auto")
    return int(text)


def resources(settings: Sequence[str]) -> dict[str, str]:
    """``["cpu=4"]`` as a pod has them.

    Raises:
        InvalidInput: One is written otherwise.
    """
    made: dict[str, str] = {}
    for setting in settings:
        name, _, quantity = setting.partition("=")
        if not name or not _QUANTITY.fullmatch(quantity):
            raise InvalidInput(
                f"--resources {setting} is not NAME=QUANTITY", hint="such as --resources cpu=4 --resources memory=16Gi"
            )
        made[name] = quantity
    return made


def tolerations(texts: Sequence[str]) -> tuple[dict[str, str | int], ...]:
    """``gpu=yes:NoSchedule`` and the like, as a pod has them.

    Raises:
        InvalidInput: One is written otherwise.
    """
    made = []
    for one in placement.tolerations(texts):
        document: dict[str, str | int] = {"key": one.key, "operator": "Exists" if one.value is None else "Equal"}
        document |= {"value": one.value} if one.value is not None else {}
        document |= {"effect": one.effect} if one.effect else {}
        made.append(document)
    return tuple(made)


def seconds(text: str) -> float:
    """The value of ``--deadline``.

    Raises:
        InvalidInput: It is no time.
    """
    try:
        return units.parse_seconds(text)
    except ValueError as error:
        raise InvalidInput(f"--deadline: {error}", hint="such as --deadline 90s") from error
