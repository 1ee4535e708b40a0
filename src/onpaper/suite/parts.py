"""How the work on one backend is cut into parts, each for one process, and how their verdicts come together again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from onpaper.clauses import EVERYTHING, Clause
from onpaper.driving.declaration import Declared
from onpaper.driving.verdict import Verdict
from onpaper.suite.judge import Item, plan

SEVERITY = ("not-applicable", "kept", "broken")


def parts(clauses: Iterable[Clause]) -> list[str]:
    """The parts that these clauses are in, about the longest first."""
    sizes = Counter(map(_part_of, clauses))
    return sorted(sizes, key=lambda part: (not part.startswith("timed"), part != "recorded", not part.startswith("property"), -sizes[part]))


def waits(part: str) -> bool:
    """Whether the clauses of a part mostly wait, for time-outs and for others."""
    return part.startswith("timed") or part == "connection"


def _part_of(clause: Clause) -> str:
    """The timed clauses are two parts, recordings are one, which loads them, each property is, and what is left of a topic."""
    if clause.id.endswith("/recorded"):
        return "recorded"
    if clause.timed:
        return "timed connection" if clause.topic == "connection" else "timed"
    return clause.id if clause.kind == "property" else clause.topic


def items_of(part: str, declared: Declared, patterns: Sequence[str]) -> list[Item]:
    """The items of a part. What looks at everything that was driven belongs to each part that drives for it."""
    if part.startswith("property/"):
        return plan(declared, (part,))
    items = plan(declared, patterns, lambda one: one.everything or _part_of(one) == part)
    return [item for item in items if item.case is EVERYTHING or _part_of(item.clause) == part]


def merged(found: Iterable[Verdict]) -> list[Verdict]:
    """One verdict for each item, the worst that a part gave."""
    worst: dict[str, Verdict] = {}
    for one in found:
        before = worst.get(one.id)
        if before is None or SEVERITY.index(one.verdict) > SEVERITY.index(before.verdict):
            worst[one.id] = one
    return list(worst.values())
