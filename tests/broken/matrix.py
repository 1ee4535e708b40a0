"""The kill matrix: every broken subject judged by every clause.

`python tests/broken` prints it, and fails when

- a broken subject breaks nothing, or not what it is there to break,
- a clause is broken by no subject,
- a correct subject is blamed.

It takes some seconds for each subject, though little is waited for; a broken one is judged only by those properties
that it is there for. `python tests/broken NAME … --write` renews some rows. The tests judge a subject by the clauses that it is there for.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from onpaper.clauses import register
from onpaper.suite.judge import Judge, judge_exchange, plan

from . import table
from .exchanges import table as exchanges

KEPT = Path(__file__).resolve().parents[2] / "docs" / "kill-matrix.md"


@dataclass(frozen=True)
class Row:
    """One subject and the clauses that blame it; `aims` are those that should."""

    name: str
    fault: str
    contract: str
    aims: tuple[str, ...]
    broken: tuple[str, ...]

    @property
    def missed(self) -> list[str]:
        return [clause for clause in self.aims if clause not in self.broken]

    @property
    def also(self) -> list[str]:
        return [clause for clause in self.broken if clause not in self.aims]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the matrix, or with --write keep it in docs/. Gives 1 when it has a hole."""
    parser = argparse.ArgumentParser(
        prog="python tests/broken", description="Judge every broken subject by every clause."
    )
    parser.add_argument("subjects", nargs="*", help="judge these only")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)"
    )
    parser.add_argument(
        "--write", action="store_true", help=f"keep the matrix in docs/{KEPT.name}; of named subjects, their rows"
    )
    given = parser.parse_args(arguments)
    names = given.subjects or [*table.broken(), *exchanges.broken()]
    unknown = [name for name in names if name not in table.broken() and name not in exchanges.broken()]
    if unknown:
        parser.error(f"no broken subject is called {unknown[0]!r}")
    backends = list(
        _in_processes(_broken_row, [name for name in names if name in table.broken()], given.jobs)
    )
    wires = [_wire_row(wire) for name, wire in exchanges.broken().items() if name in names]
    correct = list(_in_processes(_correct_row, list(table.CORRECT), given.jobs))
    correct += map(_wire_row, exchanges.CORRECT)
    if given.write:
        kept = _kept() if given.subjects else {}
        rows = kept | {row.name: row for row in (*backends, *wires)}
        KEPT.write_text("\n".join(_drawn(_of(rows, table.broken()), _of(rows, exchanges.broken()), correct)) + "\n", "utf-8")
    else:
        print("\n".join(_drawn(backends, wires, correct)))
    holes = list(_holes([*backends, *wires], correct, whole=not given.subjects))
    for hole in holes:
        print(hole, file=sys.stderr)
    return 1 if holes else 0


def _in_processes(judge: Callable[[str], Row], names: Sequence[str], jobs: int) -> Iterator[Row]:
    with ProcessPoolExecutor(max(1, min(jobs, len(names) or 1)), mp_context=get_context("spawn")) as pool:
        for number, row in enumerate(pool.map(judge, names), 1):
            print(f"{number}/{len(names)} {row.name}: {len(row.broken)} broken", file=sys.stderr, flush=True)
            yield row


def _broken_row(name: str) -> Row:
    return _judged(table.broken()[name])


def _correct_row(contract: str) -> Row:
    return _judged(table.CORRECT[contract])


def _judged(subject: table.Subject) -> Row:
    """Judge a backend by everything; a clause that is broken in one case is not asked again."""
    logging.getLogger().addHandler(logging.NullHandler())
    warnings.simplefilter("ignore")
    found: dict[str, None] = {}
    hasty = {"patience": 0.25, "attempts": 1} if subject.aims else {}
    with Judge(**hasty) as judge:
        for item in plan(subject.declared()):
            if subject.aims and item.clause.kind == "property" and item.clause.id not in subject.aims:
                continue  # a property takes longer than all single cases, and shows the same faults once more
            if item.clause.id not in found and judge.verdict(item).verdict == "broken":
                found[item.clause.id] = None
    return Row(
        subject.name, subject.fault, subject.contract, tuple(sorted(subject.aims)), tuple(sorted(found))
    )


def _wire_row(wire: exchanges.Wire) -> Row:
    verdicts = judge_exchange(wire.exchange, wire.view, wire.name, "exchange")
    found = tuple(sorted(one.clause for one in verdicts if one.verdict == "broken"))
    return Row(wire.name, wire.fault, wire.contract, tuple(sorted(wire.aims)), found)


def _holes(rows: Iterable[Row], correct: Iterable[Row], whole: bool) -> Iterator[str]:
    rows = list(rows)
    for row in rows:
        if not row.broken:
            yield f"{row.name}: no clause notices it"
        for clause in row.missed:
            yield f"{row.name}: {clause} does not blame it"
    for row in correct:
        for clause in row.broken:
            yield f"{row.name} is correct, and {clause} blames it"
    noticed = {clause for row in rows for clause in row.broken}
    for clause in sorted(set(register()) - noticed) if whole else ():
        yield f"{clause}: no subject breaks it"


def _of(rows: Mapping[str, Row], subjects: Iterable[str]) -> list[Row]:
    """The rows of some subjects, in their order."""
    return [rows[name] for name in subjects if name in rows]


def _kept() -> dict[str, Row]:
    """The rows that docs/ holds, of the subjects that there still are."""
    known = table.broken() | exchanges.broken()
    found = {}
    for line in KEPT.read_text("utf-8").splitlines():
        name, *cells = (cell.strip() for cell in line.strip("| ").split(" | "))
        subject = known.get(name.strip("`"))
        if subject is not None and len(cells) == 3:
            broken = (*_named(cells[1]), *_named(cells[2]))
            aims = tuple(sorted(subject.aims))
            found[subject.name] = Row(subject.name, subject.fault, subject.contract, aims, tuple(sorted(broken)))
    return found


# ---- drawing ---------------------------------------------------------------------------------------------

HEAD = """\
# The kill matrix

A clause that cannot fail proves nothing. Each row is a client or an exchange that is broken in one place,
judged by every clause: first what it is there to break, then what else it breaks.
`python tests/broken --write` writes this file, and fails when a broken subject is noticed by no clause, when
a clause is broken by no subject, or when a correct subject is blamed. `tests/test_every_clause_can_fail.py`
holds each subject to the words in which it is blamed.
"""


def _drawn(backends: Sequence[Row], wires: Sequence[Row], correct: Sequence[Row]) -> Iterator[str]:
    rows = (*backends, *wires)
    killers = Counter(clause for row in rows for clause in row.broken)
    aims = Counter(clause for row in rows for clause in row.aims)
    sound = ", ".join(f"`{row.name}`" for row in correct if not row.broken)
    yield HEAD
    yield f"{len(killers)} clauses are broken by {len(backends)} backends and {len(wires)} exchanges,"
    yield f"{sum(killers.values())} times in all. Correct, and blamed for nothing: {sound}."
    yield ""
    yield from _table("Broken backends", backends)
    yield from _table("Broken exchanges", wires)
    yield "## Clauses"
    yield ""
    yield "How many subjects break each clause, and how many of them are there to do so."
    yield ""
    yield "| topic | clauses |"
    yield "|---|---|"
    for topic in sorted({clause.partition("/")[0] for clause in killers}):
        own = [clause.partition("/")[2] for clause in sorted(killers) if clause.startswith(f"{topic}/")]
        counted = (f"{name} {killers[f'{topic}/{name}']} ({aims[f'{topic}/{name}']})" for name in own)
        yield f"| {topic} | {', '.join(counted)} |"


def _table(title: str, rows: Sequence[Row]) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    yield "| subject | what is wrong with it | breaks, as it should | breaks besides |"
    yield "|---|---|---|---|"
    for row in rows:
        yield f"| `{row.name}` | {row.fault} | {_listed(row.aims)} | {_listed(row.also)} |"
    yield ""


def _listed(clauses: Iterable[str]) -> str:
    """Clauses by topic: `sse/bom, no-space; stream/text`."""
    topics: dict[str, list[str]] = {}
    for clause in clauses:
        topic, _, name = clause.partition("/")
        topics.setdefault(topic, []).append(name)
    return "; ".join(f"{topic}/{', '.join(names)}" for topic, names in topics.items()) or "—"


def _named(listed: str) -> list[str]:
    """The clauses of such a list."""
    groups = [group.partition("/") for group in listed.split("; ") if "/" in group]
    return [f"{topic}/{name}" for topic, _, names in groups for name in names.split(", ")]
