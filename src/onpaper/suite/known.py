"""Entries of a backend's list of known failures that are wrong by themselves: of no clause or case, expired, or needed no
more."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence

from onpaper.clauses import case_id, nearest_clause, register
from onpaper.driving.declaration import Declared
from onpaper.driving.known import KnownFailure
from onpaper.driving.verdict import Verdict
from onpaper.errors import nearest


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
    if entry.case is not None and not any(map(entry.matches, cases)):
        yield f"the known failures list case {entry.case!r} of {entry.clause}{nearest(entry.case, cases, listed=f'onpaper explain {entry.clause}')}"
        return
    found = {one.verdict for one in verdicts if entry.covers(one)}
    if "broken" in found:
        return  # red by itself
    if entry.expired(today):
        yield f"the known failure expired on {entry.expires} ({entry.reason}): remove the entry, or renew it"
    elif complete and entry.case is None and "kept" in found and "known" not in found:
        yield f"listed as a known failure ({entry.reason}), and every case passes: remove the entry"
