"""What small file systems of our own need: programs that make them, and the library that a file system in Python is made with."""

import shutil

from tests.testbed import packages

_PACKAGES = ("e2fsprogs", "libfuse3-3", "xfsprogs")


def prepare() -> list[str]:
    """Install what is missing, where that can be done; a sentence on what is there."""
    if packages.can_install():
        packages.install(_PACKAGES)
    made = [name for name in ("mkfs.ext4", "mkfs.xfs") if shutil.which(name)]
    return [f"small file systems: {', '.join(made) or 'none can be made'}"]
