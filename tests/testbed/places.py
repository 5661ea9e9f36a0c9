"""Where the test bed keeps what it makes: all of it under ``.testbed`` of this checkout."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / ".testbed"
BIN = STATE / "bin"
IMAGES = STATE / "images"
DOCKER = STATE / "docker"
#: A cluster's own state; another folder only where a test starts a second one, in a network of its own.
CLUSTER = Path(os.environ.get("LADING_TEST_CLUSTER") or STATE / "cluster")
PIDS = CLUSTER / "pid"
