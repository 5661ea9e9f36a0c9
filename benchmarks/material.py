"""What is pulled: a model of a few big shards, valid safetensors of random bytes, and thousands of small files."""

import json
import os
import random
import struct
from pathlib import Path

SHARDS = 4
_BLOCK_BYTES = 1 << 22


def model(folder: Path, size_bytes: int) -> Path:
    """A Hugging Face folder of `SHARDS` shards, *size_bytes* and a little more."""
    folder.mkdir(parents=True)
    weights = {}
    for number in range(1, SHARDS + 1):
        name = f"model-{number:05}-of-{SHARDS:05}.safetensors"
        _shard(folder / name, f"block.{number}", size_bytes // SHARDS)
        weights[f"block.{number}"] = name
    index = {"metadata": {"total_size": size_bytes // SHARDS * SHARDS}, "weight_map": weights}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"], "model_type": "llama"}))
    return folder


def small(folder: Path, files: int) -> Path:
    """*files* files of 2 to 64 KB, the same sizes in every run, in directories of 500."""
    sizes = random.Random(5)
    for number in range(files):
        place = folder / f"part-{number // 500:03}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:06}.bin").write_bytes(os.urandom(sizes.randint(2_000, 64_000)))
    return folder


def measure(folder: Path) -> tuple[int, int]:
    """How many files, and bytes."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return len(sizes), sum(sizes)


def _shard(path: Path, tensor: str, size_bytes: int) -> None:
    head = json.dumps({tensor: {"dtype": "U8", "shape": [size_bytes], "data_offsets": [0, size_bytes]}}).encode()
    block = os.urandom(min(_BLOCK_BYTES, size_bytes))
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        for begin in range(0, size_bytes, len(block)):
            file.write(block[: size_bytes - begin])
