"""Where the test bed keeps what it makes: all of it under ``.testbed`` of this checkout."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / ".testbed"
BIN = STATE / "bin"
IMAGES = STATE / "images"
DOCKER = STATE / "docker"
CLUSTER = STATE / "cluster"
PIDS = CLUSTER / "pid"
