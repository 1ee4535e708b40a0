"""A run as a person reads it: progress while it goes, a matrix, and for each broken promise what to do."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console, Group
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from onpaper.clauses import register
from onpaper.driving.verdict import Verdict
from onpaper.report.summary import cells, is_red, line, paste, red, topics, unjudged

MARKS = {"kept": ("✓", "green"), "broken": ("✗", "bold red"), "known": ("k", "yellow"), "not-applicable": ("–", "dim")}
SHOWN = 20
"""How many broken promises are shown in full."""


@contextlib.contextmanager
def progress(console: Console, total: int) -> Iterator[Any]:
    """A progress display on a terminal, nothing elsewhere; yields `advance(text)`."""
    if not console.is_terminal:
        yield lambda text: None
        return
    columns = (TextColumn("judging"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda text: bar.update(task, advance=1, description=escape(text))


def _cell(counts: Counter[str]) -> Text:
    text = Text()
    for name in ("broken", "known", "kept", "not-applicable"):
        if counts[name] and (name != "not-applicable" or len(counts) == 1):
            mark, style = MARKS[name]
            shown = f"{mark}{counts[name]}" if sum(counts.values()) > 1 else mark
            text.append(shown + " ", style)
    return text


def matrix(verdicts: Sequence[Verdict], whole: bool = True) -> Table:
    """Clause × backend with counts; only topics when `whole` is false."""
    backends = list(dict.fromkeys(one.backend for one in verdicts))
    table = Table(show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("clause" if whole else "topic", no_wrap=True)
    for backend in backends:
        table.add_column(backend, justify="left", no_wrap=True)
    topic = ""
    for name, row in (cells if whole else topics)(verdicts).items():
        if whole and name.partition("/")[0] != topic:
            if topic:
                table.add_section()
            topic = name.partition("/")[0]
        table.add_row(name, *(_cell(row.get(backend, Counter())) for backend in backends))
    return table


def failures(verdicts: Sequence[Verdict], strict: bool) -> Group:
    """Each broken promise: what broke, the rule, its source, the bytes, what to do."""
    broken = sorted((one for one in verdicts if one.verdict == "broken"), key=lambda one: not is_red(one, strict))
    seen: dict[tuple[str, str], list[Verdict]] = {}
    for one in broken:
        seen.setdefault((one.backend, one.clause), []).append(one)
    panels: list[Any] = [_panel(group, strict) for group in list(seen.values())[:SHOWN]]
    if len(seen) > SHOWN:
        panels.append(Text(f"… and {len(seen) - SHOWN} more clauses; --json gives them all", "dim"))
    return Group(*panels)


def _panel(group: list[Verdict], strict: bool) -> Panel:
    first = group[0]
    clause = register().get(first.clause)
    body = Text()
    if clause is not None:
        body.append("rule    ", "bold").append(clause.rule + "\n")
        if clause.why:
            body.append("why     ", "bold").append(clause.why + "\n")
    body.append("found   ", "bold").append(first.message + "\n")
    if clause is not None:
        body.append("to do   ", "bold").append((" ".join(clause.fix.split()) or f"see onpaper explain {clause.id}") + "\n")
    body.append("source  ", "bold").append(first.source + "\n")
    cases = ", ".join(one.case for one in group[:6]) + (f" and {len(group) - 6} more" if len(group) > 6 else "")
    body.append("cases   ", "bold").append(cases)
    style = "red" if is_red(first, strict) else "yellow"
    return Panel(body, title=f"{first.backend}: {first.clause} ({first.level})", title_align="left", border_style=style)


def report(console: Console, verdicts: Sequence[Verdict], strict: bool, seconds: float, quiet: bool = False) -> None:
    """Print a run."""
    if not quiet:
        console.print(matrix(verdicts))
        console.print()
    if any(one.verdict == "broken" for one in verdicts):
        console.print(failures(verdicts, strict))
        if not quiet:
            console.print("\nTo accept these for now, in pyproject.toml (write down why):\n", style="dim")
            console.print(Text(paste(verdicts), "dim"))
    for name in unjudged(verdicts):
        console.print(Text(f"nothing of {name} was judged, which proves nothing: no clause applied (the reasons: --json)", "red"))
    style = "bold red" if red(verdicts, strict) else "bold green"
    console.print(Text(f"{line(verdicts)} in {seconds:.1f} s", style))
    if console.is_terminal and not quiet:
        console.print("✓ kept  ✗ broken  k known failure  – not applicable (the reasons: --json)", style="dim")
