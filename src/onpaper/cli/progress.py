"""Telling how the asking goes: a line for each case, and on a terminal a bar that says how far it is."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from onpaper.cli import console

if TYPE_CHECKING:
    from onpaper.cassettes import Cassette

MARKS = {
    "done": ("✓", "green"),
    "failed": ("✗", "bold red"),
    "skipped": ("–", "dim"),
    "changed": ("~", "yellow"),
}


class Telling:
    """Prints a line for each case as it is done; nothing but the bar when `quiet`. A context manager."""

    def __init__(self, total: int, quiet: bool = False) -> None:
        self._quiet = quiet
        self._console = console(stderr=quiet or not sys.stdout.isatty())
        columns = (TextColumn("asking"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(
            *columns, console=self._console, transient=True, disable=not self._console.is_terminal
        )
        self._task = self._bar.add_task("", total=total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def step(self) -> None:
        """One more request is answered."""
        self._bar.advance(self._task)

    def line(self, mark: str, name: str, text: str) -> None:
        """One line: what came of the case `name`."""
        if self._quiet:
            return
        sign, style = MARKS[mark]
        said = (
            Text(f"{sign} ", style)
            .append(f"{name:32} ", "default")
            .append(text.replace("\n", " "), "default")
        )
        target = self._console if sys.stdout.isatty() else console()
        target.print(said)
        if not sys.stdout.isatty():
            sys.stdout.flush()


def shown(cassette: Cassette) -> str:
    """A recording in a few words: status, size, chunks, how it ended."""
    replies = [exchange.reply for exchange in cassette.exchanges if exchange.reply]
    return "; ".join(
        f"{one.status}  {len(one.body):6} bytes in {len(one.chunks):3} chunks, {one.end}" for one in replies
    )
