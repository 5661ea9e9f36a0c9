"""A bar for a person who waits: how far it is, and beside it in words how far, how fast, how long still."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress


class Bar:
    """Drawn on stderr from the first `draw` until `close`; then nothing is left of it."""

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def draw(self, title: str, *, done_bytes: int, total_bytes: int, state: str) -> None:
        """Draw it anew; *title* is that of the first time."""
        if self._progress is None:
            self._progress = _begun(title)
        self._progress.update(self._progress.task_ids[0], completed=done_bytes, total=total_bytes, state=state)

    def close(self) -> None:
        """Leave the terminal as it was; idempotent."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def _begun(title: str) -> "Progress":
    from rich.console import Console  # only who watches needs it
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"))
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    progress.start()
    progress.add_task(title, state="")
    return progress
