"""Catalogues that were read from an engine's own argument parser: package data for what it says, our words beside it."""

import json
from collections.abc import Container, Mapping
from importlib import resources
from typing import Any

from lading.engines.base import Parameter, SearchRange, Value


def catalogue(
    engine: str, version: str, curated: Mapping[str, Mapping[str, Any]], *, without: Container[str]
) -> dict[str, Parameter]:
    """Every parameter of *engine* by name, but those *without*; *curated* says more of some, from its source."""
    text = resources.files("lading.engines").joinpath(f"data/{engine}-{version}.json").read_text(encoding="utf-8")
    rows: list[dict[str, Any]] = json.loads(text)["parameters"]
    parser = f"argument parser of {engine} {version}"
    source = f"{parser}; source of {engine} {version}"
    return {
        row["name"]: _parameter(
            row, {"source": source, **curated[row["name"]]} if row["name"] in curated else {}, parser
        )
        for row in rows
        if row["name"] not in without
    }


def log_range(low: float, high: float) -> SearchRange:
    """Numbers between both, searched by their logarithm."""
    return SearchRange(low=low, high=high, log=True)


def one_of(*choices: Value) -> SearchRange:
    """These values."""
    return SearchRange(values=choices)


def _parameter(row: Mapping[str, Any], known: Mapping[str, Any], source: str) -> Parameter:
    facts: dict[str, Any] = {
        "name": row["name"],
        "kind": row["kind"],
        "flags": tuple(row["flags"]),
        "off_flags": tuple(row.get("off", ())),
        "default": row.get("default"),
        "choices": tuple(row.get("choices", ())),
        "many": row.get("many", False),
        "source": source,
    }
    return Parameter(**{**facts, **known})
