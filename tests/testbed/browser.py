"""A real browser: Chromium from the system's packages."""

import os
import shutil
import subprocess
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")


def program() -> Path | None:
    """Where a Chromium is, None where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found:
        return Path(found)
    return _MAC if _MAC.exists() else None


def prepare() -> list[str]:
    """Install it where that is ours to do (Debian, as root); a sentence on what was found."""
    if program() is None and shutil.which("apt-get") and os.geteuid() == 0:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], env=environment, check=True)
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", "chromium"], env=environment, check=True, stdout=subprocess.DEVNULL
        )
    return [f"chromium: {program() or 'not found; install it with the packages of this system'}"]
