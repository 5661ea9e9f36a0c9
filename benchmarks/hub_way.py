"""What people do for hf://: `snapshot_download` of huggingface_hub into a folder.

HF_ENDPOINT=… python benchmarks/hub_way.py REPOSITORY TARGET
"""

import sys

from huggingface_hub import snapshot_download

if __name__ == "__main__":
    snapshot_download(sys.argv[1], local_dir=sys.argv[2])
