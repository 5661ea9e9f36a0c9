"""How many GPUs a set of parameters asks for, as each engine counts them: one answer for manifest, allocator and rules.

An engine that spreads a model by sizes (vLLM, SGLang) takes the product of them. llama.cpp has no such size: it takes
the devices it is told, or all it sees. Nothing here knows what a place has.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Literal

from lading.engines.base import Engine, Params, Value

#: A way to spread a model, to its parameters in all engines. What lies inside another one (decode context, attention
#: data, experts) takes no more GPUs.
SPREADS: Mapping[str, tuple[str, ...]] = {
    "tensor": ("tensor_parallel_size", "tp_size"),
    "pipeline": ("pipeline_parallel_size", "pp_size"),
    "prefill context": ("prefill_context_parallel_size",),
    "data": ("data_parallel_size", "dp_size"),
}
#: llama.cpp's number of layers that it decides itself.
_AUTO = -1
RESOURCE = "nvidia.com/gpu"
"""What a pod asks for its GPUs by, unless its resources name others."""
_RESOURCE = re.compile(r"(nvidia\.com/(gpu(\.shared)?|mig-[\w.]+)|amd\.com/gpu|gpu\.intel\.com/\w+|habana\.ai/gaudi)")


def asked(engine: Engine, params: Params) -> int:
    """GPUs of one server on one node; 0 for one that asks for none.

    Args:
        engine: Whose parameters they are.
        params: Canonical, only what was asked for.
    """
    resolved = engine.resolved(params)
    if by_layers(engine):
        return _of_layers(resolved)
    return of_sizes(resolved) if _spreads(engine) else 0


def wanted(engine: Engine, params: Params, said: int | Literal["auto"]) -> int:
    """GPUs of a server whose backend was told *said* (`BackendChoice.gpus`): that number, or as the parameters ask."""
    return asked(engine, params) if said == "auto" else said


def is_resource(name: str) -> bool:
    """Whether a resource of a cluster's nodes is a GPU, or a part of one."""
    return _RESOURCE.fullmatch(name) is not None


def limits(count: int, named: Iterable[str]) -> dict[str, str]:
    """What a pod is limited to, and so asks for, to have *count* GPUs; nothing where its resources *named* tell which."""
    return {RESOURCE: str(count)} if count and not any(map(is_resource, named)) else {}


def by_layers(engine: Engine) -> bool:
    """Whether the model is split by layers between GPUs and the host: llama.cpp."""
    return "n_gpu_layers" in engine.parameters


def kept_off(engine: Engine, params: Params) -> bool:
    """Whether the parameters keep the server off all GPUs; not where it decides by itself, as llama.cpp does."""
    resolved = engine.resolved(params)
    return by_layers(engine) and (resolved.get("n_gpu_layers") == 0 or resolved.get("device") == "none")


def sizes(resolved: Params) -> dict[str, int]:
    """How many ways the model is spread on one node, by the kinds of `SPREADS`."""
    found = {kind: _first(resolved, names) for kind, names in SPREADS.items()}
    local = resolved.get("data_parallel_size_local")
    if isinstance(local, int) and not isinstance(local, bool):
        found["data"] = local  # the other copies run on other nodes; with none here, only requests are spread from here
    elif resolved.get("data_parallel_rank") is not None:
        found["data"] = 1  # each copy is started on its own
    return found


def of_sizes(resolved: Params) -> int:
    """The product of `sizes`, of which each of several nodes has its part."""
    spread = sizes(resolved)
    copies = spread.pop("data")
    return -(-math.prod(spread.values()) // _first(resolved, ("nnodes",))) * copies


def memory_share(engine: Engine, params: Params) -> float:
    """The share of a GPU's whole memory that must be free for the server to start; 0 where no parameter says so.

    vLLM refuses to start with less than it was given to use; a cache of a fixed size lifts that.
    """
    resolved = engine.resolved(params)
    if resolved.get("kv_cache_memory_bytes") is not None:
        return 0.0
    names = ("gpu_memory_utilization", "mem_fraction_static")
    found = next((resolved[name] for name in names if resolved.get(name) is not None), 0.0)
    return float(found) if isinstance(found, int | float) and 0 <= found <= 1 else 0.0


def _spreads(engine: Engine) -> bool:
    return any(name in engine.parameters for names in SPREADS.values() for name in names)


def _of_layers(resolved: Params) -> int:
    """llama.cpp: the devices it is told, else those that get a share; one where only layers are sent; none left to ``auto``."""
    layers, device = resolved.get("n_gpu_layers"), resolved.get("device")
    if device == "none" or layers == 0:
        return 0
    named = {one.strip() for one in device.split(",")} if isinstance(device, str) and device else set()
    if not named and layers in {_AUTO, None}:
        return 0
    return 1 if resolved.get("split_mode") == "none" else max(1, len(named) or _shares(resolved.get("tensor_split")))


def _shares(value: Value) -> int:
    """Devices that ``tensor_split`` gives a share to."""
    shares = json.loads(value) if isinstance(value, str) else []
    return sum(1 for share in shares if share)


def _first(resolved: Params, names: tuple[str, ...]) -> int:
    values = (resolved.get(name) for name in names if name in resolved)
    return next((value for value in values if isinstance(value, int) and not isinstance(value, bool) and value > 0), 1)
