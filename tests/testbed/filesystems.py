"""Small real file systems, mounted for a test: of a kind and size, on a loop device.

A process of its own unmounts each, also when the test's is killed.
"""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.testbed import require

_KEEPER = 'mount "$@" || exit; echo mounted; read -r _; for last; do :; done; umount -l "$last"'


@contextmanager
def mounted(place: Path, *options: str) -> Iterator[Path]:
    """*place* as ``mount *options* place`` makes it."""
    place.mkdir(exist_ok=True)
    keeper = subprocess.Popen(
        ["sh", "-c", _KEEPER, "keeper", *options, str(place)], text=True, start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    said = keeper.stdout.readline()
    try:
        if not said:
            require("mount", False, f"cannot mount here: {keeper.stderr.read().strip()}")
        yield place
    finally:
        keeper.communicate()


def image(path: Path, size_bytes: int, argv: Sequence[str]) -> Path:
    """An image at *path* with the file system that *argv* (``mkfs.ext4 …``) makes."""
    with path.open("wb") as file:
        file.truncate(size_bytes)
    try:
        made = subprocess.run([*argv, str(path)], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        require(argv[0], False, "not installed (make testbed installs it where it may)")
    require(argv[0], made.returncode == 0, made.stderr.strip())
    return path
