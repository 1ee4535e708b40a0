"""Rows of text as there is room for them: a table on a terminal, one below the other on a narrow one, lines in a pipe.

Nothing is ever cut off.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

LEAST = 16
"""The least that a column after the first gets; text that is folded more narrowly cannot be read."""
MOST = 40
"""How far a column of a pipe is filled up, so that one long value does not move those of every line."""


def show(console: Console, columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """Print rows under the names of their columns."""
    cells = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]
    widths = [max(len(name), *(row[at].cell_len for row in cells), 0) for at, name in enumerate(columns)]
    if not console.is_terminal:
        for row in ([Text(name) for name in columns], *cells):
            console.print(_line(row, widths), soft_wrap=True)
    elif widths[0] + sum(min(width, LEAST) + 3 for width in widths[1:]) <= console.width:
        table = Table(show_edge=False, pad_edge=False, header_style="bold")
        for at, name in enumerate(columns):
            table.add_column(name, overflow="fold", no_wrap=not at, min_width=min(widths[at], LEAST))
        for row in cells:
            table.add_row(*row)
        console.print(table)
    else:
        for row in cells:
            console.print(row[0], style="bold", overflow="fold")
            for name, cell in zip(columns[1:], row[1:], strict=True):
                if cell:
                    console.print(Text(f"  {name + ': ' if name else ''}", "dim").append_text(_one_line(cell)), overflow="fold")


def _line(row: Sequence[Text], widths: Sequence[int]) -> Text:
    line = Text()
    for at, cell in enumerate(map(_one_line, row)):
        line.append_text(cell)
        line.append(" " * (2 + max(0, (widths[at] if not at else min(widths[at], MOST)) - cell.cell_len)))
    line.rstrip()
    return line


def _one_line(cell: Text) -> Text:
    return Text("; ").join(cell.split("\n"))
