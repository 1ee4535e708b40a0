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
from hypothesis.stateful import run_state_machine_as_test

from onpaper.strategies.drawing import anew
from onpaper.strategies.properties import Property, Runner
from onpaper.strategies.subject import Subject
from onpaper.suite.verdict import Broken

SHRINKING = 8.0
"""Seconds that are spent on making a failing case smaller."""
STEPS = 12
"""How many steps a state machine takes at most."""


@dataclass(frozen=True)
class Counterexample:
    """The smallest case found that breaks a property, and what was wrong with it.

    The case of a state machine is the tuple of its steps, in words.
    """

    property: Property
    case: Any
    broken: Broken

    def __str__(self) -> str:
        case = "\n".join(self.case) if isinstance(self.case, tuple) else repr(self.case)
        return f"{case}\n{self.broken}"


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
    that a `database` remembers are tried first. About `shrinking` seconds are spent on making a failing case
    smaller. Errors that are not the backend's own are passed on.
    """
    options = settings(
        max_examples=examples or rule.examples,
        stateful_step_count=STEPS,
        database=database,
        deadline=None,
        phases=(Phase.reuse, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        verbosity=Verbosity.quiet,
        print_blob=False,
    )
    failing = _Failing(shrinking)
    try:
        if rule.machine is not None:
            steps: list[str] = []

            def in_time(work: Coroutine[Any, Any, Any]) -> Any:
                if failing.over:
                    work.close()
                    raise _Enough
                return run(work)

            def broke(broken: Broken) -> None:
                failing.note(tuple(steps), broken)

            machine = rule.machine(subject, in_time, steps, broke)
            run_state_machine_as_test(seeded(seed)(machine), settings=options)
        else:
            seeded(seed)(options(_test(rule, subject, run, failing)))()
    except Unsatisfiable:
        return None
    except (Broken, FlakyFailure, _Enough):
        if failing.broken is None:
            raise
        return Counterexample(rule, failing.case, failing.broken)
    return None


def _test(rule: Property, subject: Subject, run: Runner, failing: _Failing) -> Callable[[], None]:
    """The test of one case, for Hypothesis to call."""
    assert rule.cases is not None and rule.judge is not None
    judge = rule.judge

    @given(anew(rule.cases(subject)))
    def try_one(case: Any) -> None:
        if failing.over:
            raise _Enough
        try:
            run(judge(subject, case))
        except Broken as broken:
            failing.note(case, broken)
            raise

    return try_one


class _Enough(BaseException):
    """Ends the shrinking: what was found so far is what is told. Hypothesis lets it through."""


class _Failing:
    """The last case that failed, which is the smallest so far, and the time that is left for a smaller one."""

    def __init__(self, shrinking: float) -> None:
        self._shrinking = shrinking
        self._until = float("inf")
        self.case: Any = None
        self.broken: Broken | None = None

    @property
    def over(self) -> bool:
        return time.monotonic() > self._until

    def note(self, case: Any, broken: Broken) -> None:
        if self.broken is None:
            self._until = time.monotonic() + self._shrinking
        self.case, self.broken = case, broken
