"""A run as a person reads it: progress while it goes, a matrix, and for each broken promise what to do."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import Console, Group
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from onpaper.clauses import register
from onpaper.driving.verdict import Verdict
from onpaper.report.summary import about_the_list, cells, is_red, line, paste, red, topics, unjudged

MARKS = {"kept": ("✓", "green"), "broken": ("✗", "bold red"), "known": ("k", "yellow"), "not-applicable": ("–", "dim")}
SHOWN = 20
"""How many broken promises are shown in full."""


@contextlib.contextmanager
def progress(console: Console) -> Iterator[tuple[Callable[[int], Any] | None, Callable[[str], Any]]]:
    """A progress display on a terminal, nothing elsewhere; yields `expect(count)`, None where nobody looks, and
    `advance(text)`."""
    if not console.is_terminal:
        yield None, lambda text: None
        return
    columns = (TextColumn("judging"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield (
            lambda count: bar.update(task, total=count),
            lambda text: bar.update(task, advance=1, description=escape(text)),
        )


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


def _show_matrix(console: Console, verdicts: Sequence[Verdict]) -> None:
    """The matrix, or, where a terminal is too narrow for it, a line for each clause and backend."""
    table = cells(verdicts)
    backends = list(dict.fromkeys(one.backend for one in verdicts))
    columns = [max(len(name), *(_cell(row.get(name, Counter())).cell_len for row in table.values())) for name in backends]
    if max(map(len, table), default=0) + sum(width + 3 for width in columns) <= console.width:
        console.print(matrix(verdicts))
        return
    for name, row in table.items():
        console.print(Text(name, "bold"), overflow="fold")
        for backend, counts in row.items():
            console.print(Text(f"  {backend} ").append_text(_cell(counts)), overflow="fold")


def failures(verdicts: Sequence[Verdict], strict: bool, boxed: bool = True) -> Group:
    """Each broken promise: what broke, the rule, its source, the bytes, what to do.

    First come those that the most other verdicts name as the reason why they do not apply.
    """
    named = Counter((one.backend, word) for one in verdicts if one.verdict != "kept" for word in set(one.message.split()))

    def order(one: Verdict) -> tuple[bool, int]:
        return not is_red(one, strict), -named[one.backend, one.clause]

    broken = sorted((one for one in verdicts if one.verdict == "broken"), key=order)
    seen: dict[tuple[str, str], list[Verdict]] = {}
    for one in broken:
        seen.setdefault((one.backend, one.clause), []).append(one)
    shown = [_said(group, strict, boxed) for group in list(seen.values())[:SHOWN]]
    panels: list[Any] = [part for parts in shown for part in parts]
    if len(seen) > SHOWN:
        panels.append(Text(f"… and {len(seen) - SHOWN} more clauses; --json gives them all", "dim"))
    return Group(*panels)


def _said(group: list[Verdict], strict: bool, boxed: bool) -> Iterator[Any]:
    """A broken promise, in a box, or (a box would cut its bytes off) as lines of any length."""
    first = group[0]
    clause = register().get(first.clause)
    body = Text()

    def say(name: str, text: str) -> None:
        said = text if boxed else text.replace("\n", "\n" + 8 * " ")
        body.append(f"{name:8}", "bold").append(said + "\n")

    if about_the_list(first):
        clause = None
    if clause is not None:
        say("rule", clause.rule)
        if clause.why:
            say("why", clause.why)
    say("found", first.message)
    if clause is not None and clause.fix:
        say("to do", " ".join(clause.fix.split()))
    if first.source:
        say("source", first.source)
    cases = ", ".join(one.case for one in group[:6]) + (f" and {len(group) - 6} more" if len(group) > 6 else "")
    say("cases", cases)
    body.rstrip()
    style = "red" if is_red(first, strict) else "yellow"
    title = f"{first.backend}: {first.clause} ({first.level})"
    if boxed:
        yield Panel(body, title=escape(title), title_align="left", border_style=style)
    else:
        yield from (Text(f"✗ {title}", style), body, Text())


def report(console: Console, verdicts: Sequence[Verdict], strict: bool, seconds: float, quiet: bool = False, whole: bool = True) -> None:
    """Print a run, of the `whole` suite or of chosen clauses."""
    if not quiet:
        _show_matrix(console, verdicts)
        console.print()
    if any(one.verdict == "broken" for one in verdicts):
        console.print(failures(verdicts, strict, boxed=console.is_terminal))
        block = paste(verdicts)
        if block and not quiet:
            said = "To accept these for now, in pyproject.toml beside the declaration (the reason is what was found: write down why it may stay):"
            console.print(f"\n{said}\n", style="dim")
            console.print(Text(block, "dim"), soft_wrap=True)  # a line that is cut in two cannot be pasted
    for name, reason in unjudged(verdicts).items():
        said = f"nothing of {name} was judged, which proves nothing: no clause applied, most often because {reason} (all reasons: --json)"
        console.print(Text(said, "red" if red(verdicts, strict, whole) else "yellow"))
    style = "bold red" if red(verdicts, strict, whole) else "bold green"
    console.print(Text(f"{line(verdicts)} in {seconds:.1f} s", style))
    if console.is_terminal and not quiet:
        console.print("✓ kept  ✗ broken  k known failure  – not applicable (the reasons: --json)", style="dim")
