"""Verdicts counted: what makes a run red, and the counts of each clause and backend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from onpaper import tomltext
from onpaper.driving.verdict import Verdict


def is_red(verdict: Verdict, strict: bool) -> bool:
    """Whether a verdict alone makes the run red: a broken `must`, and with `strict` a broken `should`."""
    return verdict.verdict == "broken" and (verdict.level == "must" or strict)


def red(verdicts: Sequence[Verdict], strict: bool, whole: bool = True) -> bool:
    """Whether a run is red. A run that judged nothing of one of its backends is, or, where it was not the `whole`
    suite, nothing at all: chosen clauses need not apply to every backend.
    """
    judged = any(one.verdict != "not-applicable" for one in verdicts)
    return not judged or (whole and bool(unjudged(verdicts))) or any(is_red(one, strict) for one in verdicts)


def unjudged(verdicts: Iterable[Verdict]) -> dict[str, str]:
    """The backends of which nothing was judged, each with the commonest reason why no clause applied."""
    reasons: dict[str, Counter[str]] = {}
    judged = set()
    for one in verdicts:
        reasons.setdefault(one.backend, Counter())[one.message] += 1
        if one.verdict != "not-applicable":
            judged.add(one.backend)
    return {name: counts.most_common(1)[0][0] for name, counts in reasons.items() if name not in judged}


def cells(verdicts: Iterable[Verdict]) -> dict[str, dict[str, Counter[str]]]:
    """Counts of verdicts by clause, then backend."""
    table: dict[str, dict[str, Counter[str]]] = {}
    for one in verdicts:
        table.setdefault(one.clause, {}).setdefault(one.backend, Counter())[one.verdict] += 1
    return dict(sorted(table.items()))


def topics(verdicts: Iterable[Verdict]) -> dict[str, dict[str, Counter[str]]]:
    """Counts of verdicts by topic, then backend."""
    table: dict[str, dict[str, Counter[str]]] = {}
    for one in verdicts:
        table.setdefault(one.clause.partition("/")[0], {}).setdefault(one.backend, Counter())[one.verdict] += 1
    return dict(sorted(table.items()))


def line(verdicts: Sequence[Verdict]) -> str:
    """One line: how many of each."""
    counts = Counter(one.verdict for one in verdicts)
    return ", ".join(f"{counts[name]} {name}" for name in ("kept", "broken", "known", "not-applicable") if counts[name]) or "nothing judged"


def about_the_list(verdict: Verdict) -> bool:
    """Whether a verdict says that the list of known failures is wrong: that no source backs, nor one more entry puts right."""
    return verdict.verdict == "broken" and not verdict.source


def paste(verdicts: Sequence[Verdict]) -> str:
    """The `known-failures` block for what is broken, ready to paste into pyproject.toml; empty when there is none."""
    blocks: dict[tuple[str, str], str] = {}
    for one in verdicts:
        if one.verdict == "broken" and not about_the_list(one) and (one.backend, one.clause) not in blocks:
            reason = tomltext.text(" ".join(one.message.partition("\n")[0].split())[:100])
            table = f"tool.onpaper.backends.{tomltext.key(one.backend)}.known-failures"
            blocks[one.backend, one.clause] = f'[[{table}]]\nclause = "{one.clause}"\nreason = {reason}\n'
    return "\n".join(blocks.values())
