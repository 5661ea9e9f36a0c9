"""`python -m lading.testing FOLDER`: a tiny valid model to try things with, no download.

FOLDER/tiny-llama is a Hugging Face model, FOLDER/tiny-llama-gguf the same weights as GGUF.
"""

import argparse
from pathlib import Path

from lading.testing import tiny_llama


def main() -> None:
    """Write both models."""
    parser = argparse.ArgumentParser(prog="python -m lading.testing", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--preset", choices=sorted(tiny_llama.PRESETS), default="2m")
    given = parser.parse_args()
    tiny_llama.write_huggingface(given.folder / "tiny-llama", preset=given.preset, shards=2)
    tiny_llama.write_gguf(given.folder / "tiny-llama-gguf" / "tiny-llama.gguf", preset=given.preset)


if __name__ == "__main__":
    main()
