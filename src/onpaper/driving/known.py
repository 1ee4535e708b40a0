"""Known failures: a clause that is known to be broken is still judged, and the list is red as soon as it is wrong.

| | the clause is broken | the clause is kept |
|---|---|---|
| listed | `known`; red when the entry has expired | red: the entry has to go |
| not listed | as it is | as it is |

What is wrong with a list is red whatever the clause's level.
"""

from __future__ import annotations

import datetime
import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from onpaper.datafile import day
from onpaper.driving.verdict import Verdict


@dataclass(frozen=True, slots=True)
class KnownFailure:
    """A clause that a backend, or a real server, is known to break.

    It is broken in each of the cases that `case` names or matches as a glob; without one, somewhere.
    """

    clause: str
    reason: str
    case: str | None = None
    source: str = ""
    expires: datetime.date | None = None
    """The last day on which it is excused."""

    @classmethod
    def read(cls, value: Mapping[str, Any], where: str) -> KnownFailure:
        """An entry from its table. Raises BadInput for a date that is none."""
        expires = day(value.get("expires"), f"{where}: expires")
        return cls(value["clause"], value["reason"], value.get("case"), value.get("source", ""), expires)

    def matches(self, case: str) -> bool:
        """Whether it is about this case."""
        return self.case in (None, case) or fnmatch.fnmatchcase(case, self.case or "*")

    def covers(self, verdict: Verdict) -> bool:
        """Whether it is about this verdict."""
        return verdict.clause == self.clause and self.matches(verdict.case)

    def expired(self, today: datetime.date | None = None) -> bool:
        """Whether its last day has passed."""
        return self.expires is not None and self.expires < (today or datetime.date.today())


def apply_known(entries: Iterable[KnownFailure], found: Verdict, today: datetime.date | None = None) -> Verdict:
    """A verdict with the known failures applied; an entry for the very case comes before a glob, that before one for all
    cases, and one that holds before one that has expired."""
    covering = (one for one in entries if one.covers(found))
    entry = min(covering, key=lambda one: (one.case is None, one.case != found.case, one.expired(today)), default=None)
    if entry is None:
        return found
    if found.verdict == "broken":
        if entry.expired(today):
            said = f"the known failure expired on {entry.expires} ({entry.reason}); {found.message}"
            return replace(found, level="must", message=said)
        source = f" ({entry.source})" if entry.source else ""
        return replace(found, verdict="known", message=f"{entry.reason}{source} — {found.message}")
    if found.verdict == "kept" and entry.case is not None:
        what = "remove the entry" if entry.case == found.case else "remove or narrow the entry"
        said = f"listed as a known failure ({entry.reason}), and it passes: {what}"
        return replace(found, level="must", verdict="broken", message=said, source="")
    return found
