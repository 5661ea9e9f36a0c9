"""HTML as strings: everything that comes from outside goes through `text`; markup is only what this package writes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape


def text(value: object) -> str:
    """*value* as text that no browser takes for markup; control characters become visible."""
    shown = "".join(char if char in "\n\t" or ord(char) >= 32 else "�" for char in str(value))
    return escape(shown, quote=True)


def tag(name: str, *children: str, **attributes: object) -> str:
    """An element; children are markup already. ``class_`` is ``class``, ``_`` is ``-``, True alone, None and False left out."""
    written = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        plain = key.rstrip("_").replace("_", "-")
        written.append(f" {plain}" if value is True else f' {plain}="{text(value)}"')
    return f"<{name}{''.join(written)}>{''.join(children)}</{name}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell: *markup* is shown, *sort* is what the column is ordered by, *number* aligns it right."""

    markup: str
    sort: str | float | None = None
    number: bool = False
    class_: str = ""


def cell(value: object, *, sort: str | float | None = None, number: bool = False, class_: str = "") -> Cell:
    """A cell of text."""
    return Cell(markup=text(value), sort=sort, number=number, class_=class_)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a table; *class_* marks the winner and the defaults."""

    cells: Sequence[Cell]
    class_: str = ""


def table(columns: Sequence[str | tuple[str, bool]], rows: Iterable[Row], *, name: str, sorts: bool = True) -> str:
    """A table that scrolls by itself, sorts by its heads and copies as TSV. A column is its name, or (name, right-aligned)."""
    heads = [(column, False) if isinstance(column, str) else column for column in columns]
    made = [
        tag(
            "th",
            tag("button", text(head), type="button") if sorts else text(head),
            scope="col",
            class_="number" if right else None,
        )
        for head, right in heads
    ]
    body = [_row(row) for row in rows]
    inner = tag(
        "table", tag("thead", tag("tr", *made)), tag("tbody", *body), id=name, class_="sorts" if sorts else None
    )
    return tag("div", inner, class_="scroll", tabindex="0", role="region", aria_label=f"table {name}") + copier(
        name, "copy as TSV"
    )


def copier(target: str, words: str) -> str:
    """A button that copies the element *target*; hidden until the script runs."""
    return tag(
        "div", tag("button", text(words), type="button", class_="copy", data_from=target, hidden=True), class_="tools"
    )


def _row(row: Row) -> str:
    cells = [
        tag(
            "td", one.markup, class_=" ".join(filter(None, ["number" if one.number else "", one.class_])) or None,
            data_value=one.sort,
        )
        for one in row.cells
    ]  # fmt: skip
    return tag("tr", *cells, class_=row.class_ or None)


def pre(words: str, *, name: str | None = None, wrap: bool = False) -> str:
    """Preformatted text."""
    return tag("pre", tag("code", text(words), id=name), class_="wrap" if wrap else None, tabindex="0")


def figure(*markup: str, caption: str = "") -> str:
    """Charts with a caption; *caption* is text."""
    return tag("figure", *markup, tag("figcaption", text(caption)) if caption else "")


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """A line of facts: name, value."""
    return tag(
        "dl", *(tag("div", tag("dt", text(name)), tag("dd", text(value))) for name, value in pairs), class_="facts"
    )


def details(summary: str, *inside: str, name: str | None = None, class_: str = "") -> str:
    """Something to open; *summary* is markup."""
    return tag("details", tag("summary", summary), tag("div", *inside, class_="inside"), id=name, class_=class_ or None)
