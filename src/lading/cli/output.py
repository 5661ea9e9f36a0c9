"""What every command says, and where: data to stdout, talk to stderr.

``--format human`` draws tables and progress for a terminal, and only plain result lines when piped. ``--format json``
prints one JSON document per line to stdout: the events as they happen, then the result. ``--quiet`` leaves the result.
"""

import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from lading.errors import InvalidInput

if TYPE_CHECKING:  # events bring schemas of half the program: `lading ls` does without
    from pydantic import BaseModel

    from lading.events import Event


#: What a terminal would obey, what turns the direction of a line, and what cannot be written at all.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
LONG_TABLE = 100  # rows; rich takes about a millisecond for each


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Common:
    """Options of every command."""

    format: Annotated[Literal["human", "json"], Parameter(group="Output")] = "human"
    """Tables for people, or one JSON document per line."""
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative=(), group="Output")] = False
    """Only the result: no progress, no hints."""
    debug: Annotated[bool, Parameter(negative=(), group="Output")] = False
    """Show the traceback of an error."""


def shown(text: str) -> str:
    """*text* as a terminal may have it: names and messages of a cluster or a file system are other people's."""
    return _OBEYED.sub(lambda found: ascii(found[0])[1:-1], text)


class Output:
    """Where one command's words go.

    Args:
        common: The command's options.
        live: Renders an event on a terminal (a progress bar, a table that grows); called only for people who watch.
    """

    def __init__(self, common: Common | None = None, *, live: "Callable[[Event], None] | None" = None) -> None:
        self.common = common or Common()
        self.live = live

    @property
    def json(self) -> bool:
        """Whether a program reads this."""
        return self.common.format == "json"

    @property
    def watched(self) -> bool:
        """Whether a person watches stderr: progress is drawn only then."""
        return not self.json and not self.common.quiet and sys.stderr.isatty()

    @property
    def asks(self) -> bool:
        """Whether a person can be asked."""
        return not self.json and sys.stdin.isatty()

    def event(self, event: "Event") -> None:
        """Tell an event: a line of JSON, or to the live view, or nothing."""
        if self.json:
            print(event.model_dump_json(exclude_none=True), flush=True)
        elif self.live is not None and self.watched:
            self.live(event)

    def result(self, document: "BaseModel | dict[str, Any]", human: str | None = None) -> None:
        """The command's answer: *document* for programs, *human* for people (else the document as indented JSON)."""
        plain = document if isinstance(document, dict) else _plain(document)
        if self.json:
            print(json.dumps(plain), flush=True)
        else:
            print(shown(human) if human is not None else json.dumps(plain, indent=2))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> None:
        """Aligned columns on stdout for people (tab-separated when piped); *right* names the right-aligned ones."""
        rows = [[shown(cell) for cell in row] for row in rows]
        if not sys.stdout.isatty():
            for row in [list(columns), *rows]:
                print("\t".join(row))
            return
        if len(rows) > LONG_TABLE:
            print("\n".join(_aligned(columns, rows, right)))
            return
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="dim")
        for column in columns:
            table.add_column(column, justify="right" if column in right else "left", no_wrap=column in right)
        for row in rows:
            table.add_row(*row)
        Console(highlight=False, markup=False, emoji=False).print(table)

    def say(self, sentence: str) -> None:
        """A sentence for a person, on stderr."""
        if not self.json and not self.common.quiet:
            print(shown(sentence), file=sys.stderr)

    def warn(self, sentence: str) -> None:
        """What must not go unheard, on stderr: whoever reads stdout, and however quiet it is to be."""
        print(f"warning: {shown(sentence)}", file=sys.stderr)

    def next(self, command: str) -> None:
        """Suggest the next command, with the user's own arguments; only where a person watches."""
        if self.watched:
            print(f"next: {shown(command)}", file=sys.stderr)

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask before something is destroyed.

        Raises:
            InvalidInput: Nobody can be asked and ``--yes`` was not given, or the answer was no.
        """
        if yes:
            return
        if not self.asks:
            raise InvalidInput(f"{question} Nobody can be asked here.", hint="add --yes")
        print(f"{shown(question)} [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise InvalidInput("not confirmed; nothing was done")


def _plain(document: "BaseModel") -> dict[str, Any]:
    from lading.spec.base import dump

    return dump(document)


def _aligned(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> Iterable[str]:
    """The lines of a table whose columns are as wide as their widest cell; nothing is wrapped."""
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    for row in [columns, *rows]:
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        ]
        yield " ".join(cells).rstrip()
