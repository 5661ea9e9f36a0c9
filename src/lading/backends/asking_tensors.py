"""What a predictive server takes and gives (V1 and V2, the Open Inference Protocol), as values. No I/O.

What a server says of its inputs is not trusted: entries that make no sense are left out, and what is made of them is bounded.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lading.errors import InvalidInput

#: A sample of more numbers than this is not made up.
LARGEST_SAMPLE = 1_000_000
_MOST_TENSORS = 64
_MOST_DIMENSIONS = 16
_LONGEST_NAME = 256
_ZEROS: Mapping[str, Any] = {
    "BOOL": False,
    "BYTES": "Hello",
    **dict.fromkeys(("FP16", "FP32", "FP64", "BF16"), 0.0),
    **{f"{sign}INT{bits}": 0 for sign in ("", "U") for bits in (8, 16, 32, 64)},
}
_FEATURES = (
    re.compile(r"\bexpecting (\d{1,5}) features\b"),  # scikit-learn
    re.compile(r"[Ff]eature shape mismatch, expected: (\d{1,5})\b"),  # XGBoost
    re.compile(r"training data \((\d{1,5})\)"),  # LightGBM
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """An input or output, as ``/v2/models/NAME`` describes it; a dimension of -1 may have any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.datatype} {list(self.shape)}"


def described(metadata: object, key: str = "inputs") -> tuple[Tensor, ...]:
    """The tensors that *metadata* (of V2) names; empty where it names none."""
    entries = metadata.get(key) if isinstance(metadata, Mapping) else None
    found = map(_tensor, entries[:_MOST_TENSORS] if isinstance(entries, list) else ())
    return tuple(tensor for tensor in found if tensor is not None)


def _tensor(entry: object) -> Tensor | None:
    if not isinstance(entry, Mapping):
        return None
    name, datatype, shape = entry.get("name"), entry.get("datatype"), entry.get("shape")
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= _LONGEST_NAME:
        return None
    if not isinstance(datatype, str) or datatype not in _ZEROS:
        return None
    if not isinstance(shape, list) or len(shape) > _MOST_DIMENSIONS:
        return None
    sizes = tuple(size for size in shape if type(size) is int and size >= -1)
    return Tensor(name=name, datatype=datatype, shape=sizes) if len(sizes) == len(shape) else None


def sample(inputs: Sequence[Tensor]) -> list[dict[str, Any]]:
    """Tensors of zeros (texts: ``Hello``) as *inputs* wants them, one where any size will do.

    Raises:
        InvalidInput: That is more than is made up.
    """
    sizes = [math.prod(abs(size) for size in tensor.shape) for tensor in inputs]
    if sum(sizes) > LARGEST_SAMPLE:
        wanted = "; ".join(map(str, inputs))
        raise InvalidInput(
            f"a sample of {sum(sizes):,} numbers is not made up: the model wants {wanted}",
            hint="give the input with --file",
        )
    return [
        {
            "name": tensor.name,
            "shape": [abs(size) for size in tensor.shape],
            "datatype": tensor.datatype,
            "data": [_ZEROS[tensor.datatype]] * size,
        }
        for tensor, size in zip(inputs, sizes, strict=True)
    ]


def infer_body(value: object, inputs: Sequence[Tensor]) -> dict[str, Any]:
    """A V2 request of *value*: rows, one row, one value, or an object with a value for each input.

    Names, datatypes and the number of dimensions are those of *inputs*, where the server told them.

    Raises:
        InvalidInput: It is no tensor, or does not say which input it is for.
    """
    by_name = {tensor.name: tensor for tensor in inputs}
    if isinstance(value, Mapping):
        named = {str(name): data for name, data in value.items()}
    elif len(inputs) <= 1:
        named = {inputs[0].name if inputs else "input-0": value}
    else:
        wanted = ", ".join(map(str, inputs))
        raise InvalidInput(
            f"the model takes {len(inputs)} inputs: {wanted}", hint='name each: \'{"NAME": [[…]], "OTHER": [[…]]}\''
        )
    return {"inputs": [_infer_input(name, data, by_name.get(name)) for name, data in named.items()]}


def _infer_input(name: str, value: object, wanted: Tensor | None) -> dict[str, Any]:
    shape, flat = _flattened(name, value)
    rank = len(wanted.shape) if wanted else 1 if any(isinstance(item, str) for item in flat) else 2
    return {
        "name": name,
        "shape": [1] * (rank - len(shape)) + shape,
        "datatype": wanted.datatype if wanted else _datatype(name, flat),
        "data": flat,
    }


def instances_body(value: object) -> dict[str, Any]:
    """A V1 request of *value*: rows are instances, anything else is one instance."""
    rows = isinstance(value, list) and bool(value) and all(isinstance(row, list | Mapping | str) for row in value)
    return {"instances": value if rows else [value]}


def expected_features(message: str) -> int | None:
    """How many features a model wants, from the words in which scikit-learn, XGBoost or LightGBM refuse another number."""
    found = next((match for pattern in _FEATURES if (match := pattern.search(message))), None)
    return int(found[1]) if found and int(found[1]) > 0 else None


def predictions_problem(document: object) -> str | None:
    """What is wrong with an answer of V1; None: nothing."""
    if not isinstance(document, Mapping) or not isinstance(document.get("predictions"), list | Mapping):
        return "has no list of predictions"
    return None


def outputs_problem(document: object) -> str | None:
    """What is wrong with an answer of V2: what its outputs say of themselves must be so; None: nothing."""
    outputs = document.get("outputs") if isinstance(document, Mapping) else None
    if not isinstance(outputs, list) or not outputs:
        return "has no outputs"
    return next((problem for output in outputs if (problem := _output_problem(output))), None)


def _output_problem(output: object) -> str | None:
    if not isinstance(output, Mapping):
        return "has an output that is no object"
    name, shape, data = str(output.get("name"))[:_LONGEST_NAME], output.get("shape"), output.get("data")
    if not isinstance(data, list):
        return f"has no data for {name}"
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        return f"has no shape for {name}"
    count = sum(1 for _ in _leaves(data))
    if len(shape) > _MOST_DIMENSIONS or count != math.prod(shape):
        return f"says that {name} has the shape {str(shape)[:200]}, and gives {count:,} values"
    return None


def finite(value: Any) -> Any:
    """*value* as JSON can have it: numbers that are none become ``"NaN"``, ``"Infinity"``, ``"-Infinity"``."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, list):
        return [finite(item) for item in value]
    return {key: finite(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def _flattened(name: str, value: object) -> tuple[list[int], list[Any]]:
    """The shape of nested lists, and their values in order; a scalar has the shape ``[1]``."""
    level: list[Any] = value if isinstance(value, list) else [value]
    shape = [len(level)]
    while level and isinstance(level[0], list):
        width = len(level[0])
        if any(not isinstance(item, list) or len(item) != width for item in level):
            raise InvalidInput(f"the rows of {name} do not have the same length: that is no tensor")
        level = [item for row in level for item in row]
        shape.append(width)
    if any(isinstance(item, list | Mapping) or item is None for item in level):
        raise InvalidInput(
            f"{name} has more than numbers, texts and lists of them: that is no tensor",
            hint="objects as rows are for --protocol v1",
        )
    return shape, level


def _leaves(value: Any) -> Iterable[Any]:
    for item in value:
        if isinstance(item, list):
            yield from _leaves(item)
        else:
            yield item


def _datatype(name: str, flat: Sequence[Any]) -> str:
    kinds = {type(item) for item in flat}
    if kinds == {str}:
        return "BYTES"
    if kinds == {bool}:
        return "BOOL"
    if kinds == {int}:
        return "INT64"
    if kinds <= {int, float} and kinds:
        return "FP64"
    raise InvalidInput(f"{name} has {'values of different kinds' if kinds else 'no values'}: that is no tensor")
