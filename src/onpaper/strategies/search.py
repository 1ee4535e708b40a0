"""Running a property in a plain thread: many cases, and the smallest that breaks it."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import seed as seeded
from hypothesis.database import ExampleDatabase
from hypothesis.errors import FlakyFailure, Unsatisfiable

from onpaper.strategies.properties import Property
from onpaper.strategies.subject import Subject
from onpaper.suite.verdict import Broken

Runner = Callable[[Coroutine[Any, Any, None]], None]
"""Runs a coroutine to its end where backends live, such as `asyncio.Runner().run`."""

SHRINKING = 8.0
"""Seconds that are spent on making a failing case smaller."""


@dataclass(frozen=True)
class Counterexample:
    """The smallest case found that breaks a property, and what was wrong with it."""

    property: Property
    case: Any
    broken: Broken
    tried: int

    def __str__(self) -> str:
        return f"{self.case!r}\n{self.broken}"


def search(
    rule: Property,
    subject: Subject,
    run: Runner,
    *,
    examples: int | None = None,
    seed: int = 0,
    database: ExampleDatabase | None = None,
    shrinking: float = SHRINKING,
) -> Counterexample | None:
    """The smallest case found that breaks the property, or None when none was found.

    Tries `examples` cases (the property's own number unless given), the same ones for the same `seed`. Cases
    that a `database` remembers are tried first. Errors that are not the backend's own are passed on.
    """
    state = _State(shrinking)

    @seeded(seed)
    @settings(
        max_examples=examples or rule.examples,
        database=database,
        deadline=None,
        phases=(Phase.reuse, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        verbosity=Verbosity.quiet,
        print_blob=False,
    )
    @given(rule.cases(subject))
    def try_one(case: Any) -> None:
        if not state.wanted(case):
            return
        try:
            run(rule.judge(subject, case))
        except Broken as broken:
            state.failed(case, broken)
            raise

    try:
        try_one()
    except Unsatisfiable:
        return None
    except (Broken, FlakyFailure):
        if state.broken is None:
            raise
        return Counterexample(rule, state.case, state.broken, state.tried)
    return None


class _State:
    """The last case that failed; once the time for shrinking is over, no other case is tried."""

    def __init__(self, shrinking: float) -> None:
        self._shrinking = shrinking
        self._until = float("inf")
        self.case: Any = None
        self.broken: Broken | None = None
        self.tried = 0

    def wanted(self, case: Any) -> bool:
        self.tried += self.broken is None
        return time.monotonic() < self._until or repr(case) == repr(self.case)

    def failed(self, case: Any, broken: Broken) -> None:
        if self.broken is None:
            self._until = time.monotonic() + self._shrinking
        self.case, self.broken = case, broken
