"""Running a property in a plain thread: many cases, and the smallest that breaks it."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from random import Random
from typing import Any
from unittest import SkipTest

from hypothesis import HealthCheck, Phase, Verbosity, find, settings
from hypothesis import seed as seeded
from hypothesis.database import ExampleDatabase
from hypothesis.errors import Flaky, NoSuchExample, Unsatisfiable
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
    seed: int | None = 0,
    database: ExampleDatabase | None = None,
    shrinking: float = SHRINKING,
) -> Counterexample | None:
    """The smallest case found that breaks the property, or None when none was found.

    Tries `examples` cases (the property's own number unless given), the same ones for the same `seed`. Without a
    seed they are others each time, and what is found is kept in the `database`. Cases that it holds are tried
    first. About `shrinking` seconds are spent on making a failing case smaller. Errors that are not the
    backend's own are passed on.
    """
    look = _walk if rule.machine is not None else _look
    wanted = examples or rule.examples
    if database is not None and seed is not None:  # a seeded run of Hypothesis leaves the database alone
        replayed = _Looking(rule, subject, run, shrinking, None, _options(wanted, database, Phase.reuse))
        found = _found(look, replayed)
        if found is not None:
            return found
        database = None
    phases = (Phase.reuse, Phase.generate) if seed is None else (Phase.generate,)
    return _found(look, _Looking(rule, subject, run, shrinking, seed, _options(wanted, database, *phases)))


def _options(examples: int, database: ExampleDatabase | None, *phases: Phase) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        database=database,
        deadline=None,
        phases=(*phases, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        verbosity=Verbosity.quiet,
        print_blob=False,
    )


class _Enough(BaseException):
    """Ends the shrinking: what was found so far is what is told. Hypothesis lets it through."""


class _Looking:
    """One run of Hypothesis: what is looked for, the last case that failed, which is the smallest so far, and the
    time that is left for a smaller one."""

    def __init__(
        self,
        rule: Property,
        subject: Subject,
        run: Runner,
        shrinking: float,
        seed: int | None,
        options: settings,
    ) -> None:
        self.rule = rule
        self.subject = subject
        self.seed = seed
        self.options = options
        self._run = run
        self._shrinking = shrinking
        self._until = float("inf")
        self.case: Any = None
        self.broken: Broken | None = None

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine where backends live, if there is time."""
        if time.monotonic() > self._until:
            work.close()
            raise _Enough
        return self._run(work)

    def note(self, case: Any, broken: Broken) -> None:
        if self.broken is None:
            self._until = time.monotonic() + self._shrinking
        self.case, self.broken = case, broken


def _found(look: Callable[[_Looking], None], looking: _Looking) -> Counterexample | None:
    try:
        look(looking)
    except (NoSuchExample, Unsatisfiable, SkipTest):  # the last when there was nothing to replay
        return None
    except (Broken, Flaky, _Enough):
        if looking.broken is None:
            raise
    return None if looking.broken is None else Counterexample(looking.rule, looking.case, looking.broken)


def _look(looking: _Looking) -> None:
    """Look for a case that breaks the rule, and then for smaller ones."""
    rule, subject = looking.rule, looking.subject
    assert rule.cases is not None and rule.judge is not None
    judge = rule.judge

    def breaks(case: Any) -> bool:
        try:
            looking.run(judge(subject, case))
        except Broken as broken:
            looking.note(case, broken)
            return True
        return False

    find(
        anew(rule.cases(subject)),
        breaks,
        settings=looking.options,
        random=None if looking.seed is None else Random(looking.seed),
        database_key=f"{rule.id} {subject.contract.name}".encode(),
    )


def _walk(looking: _Looking) -> None:
    """Look for steps that go wrong, and then for fewer."""
    assert looking.rule.machine is not None
    steps: list[str] = []

    def broke(broken: Broken) -> None:
        looking.note(tuple(steps), broken)

    machine: Any = looking.rule.machine(looking.subject, looking.run, steps, broke)
    if looking.seed is not None:
        machine = seeded(looking.seed)(machine)
    run_state_machine_as_test(machine, settings=looking.options)
