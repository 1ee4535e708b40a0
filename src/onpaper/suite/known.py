"""Known failures of a backend: still judged, and red as soon as the list is wrong.

| | the clause is broken | the clause is kept |
|---|---|---|
| listed | `known`; red when the entry has expired | red: the entry has to go |
| not listed | as it is | as it is |

An entry that names no clause or no case is red too. What is wrong with the list is red whatever the clause's level.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import replace

from onpaper.clauses import case_id, nearest_clause, register
from onpaper.driving.declaration import Declared, KnownFailure
from onpaper.driving.verdict import Verdict
from onpaper.errors import nearest


def apply_known(declared: Declared, found: Verdict, today: datetime.date | None = None) -> Verdict:
    """A verdict with the declaration's known failures applied; an entry for the very case comes before one for all."""
    entries = [one for one in declared.known_failures if one.clause == found.clause and one.case in (None, found.case)]
    entry = next(iter(sorted(entries, key=lambda one: one.case is None)), None)
    if entry is None:
        return found
    if found.verdict == "broken" and not expired(entry, today):
        return replace(found, verdict="known", message=f"{entry.reason} — {found.message}")
    if found.verdict == "broken":
        said = f"the known failure expired on {entry.expires} ({entry.reason}); {found.message}"
        return replace(found, level="must", message=said)
    if found.verdict == "kept" and entry.case is not None:
        said = f"listed as a known failure ({entry.reason}), and it passes: remove the entry"
        return replace(found, level="must", verdict="broken", message=said)
    return found


def expired(entry: KnownFailure, today: datetime.date | None = None) -> bool:
    """Whether an entry's last day has passed."""
    return entry.expires is not None and entry.expires < (today or datetime.date.today())


def stale_failures(
    declared: Declared, verdicts: Sequence[Verdict], complete: bool, today: datetime.date | None = None
) -> list[Verdict]:
    """Red verdicts for the entries themselves: of no clause or case, expired, or (after a whole run) needed no more."""
    return [
        Verdict(declared.name, entry.clause, entry.case or "known-failures", "must", "broken", said)
        for entry in declared.known_failures
        for said in _stale(entry, declared, verdicts, complete, today)
    ]


def _stale(
    entry: KnownFailure,
    declared: Declared,
    verdicts: Sequence[Verdict],
    complete: bool,
    today: datetime.date | None,
) -> Iterator[str]:
    clauses = register()
    if entry.clause not in clauses:
        yield f"the known failures list {entry.clause!r}, which is no clause{nearest_clause(entry.clause)}"
        return
    cases = {case_id(case) for case in clauses[entry.clause].cases(declared.contract)}
    if entry.case is not None and entry.case not in cases:
        yield f"the known failures list case {entry.case!r} of {entry.clause}{nearest(entry.case, cases, listed=f'onpaper explain {entry.clause}')}"
        return
    found = {one.verdict for one in verdicts if one.clause == entry.clause and entry.case in (None, one.case)}
    if "broken" in found:
        return  # red by itself
    if expired(entry, today):
        yield f"the known failure expired on {entry.expires} ({entry.reason}): remove the entry, or renew it"
    elif complete and entry.case is None and "kept" in found and "known" not in found:
        yield f"listed as a known failure ({entry.reason}), and every case passes: remove the entry"
