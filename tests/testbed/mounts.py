"""What is mounted below a folder, unmounted before the folder is removed: volumes of pods, small file systems, /proc."""

import subprocess
from pathlib import Path


def unmount(folder: Path) -> None:
    """Unmount everything below *folder*, innermost first."""
    mounted = (Path(line.split()[1]) for line in Path("/proc/mounts").read_text().splitlines())
    for place in sorted(filter(lambda path: path.is_relative_to(folder), mounted), reverse=True):
        subprocess.run(["umount", "--lazy", place], check=False, capture_output=True)
