"""Running a property in a plain thread: many cases, and the smallest that breaks it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Coroutine, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import seed as seeded
from hypothesis.configuration import set_hypothesis_home_dir, storage_directory
from hypothesis.database import ExampleDatabase
from hypothesis.errors import Flaky, Unsatisfiable
from hypothesis.internal.conjecture import providers
from hypothesis.stateful import run_state_machine_as_test

from onpaper.driving.verdict import Broken
from onpaper.strategies.drawing import anew
from onpaper.strategies.properties import Property, Runner
from onpaper.strategies.subject import Subject

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

    Tries `examples` cases (the property's own number unless given), the same ones for the same `seed`. What
    is found is kept in the `database`, and what it holds is tried first. About `shrinking` seconds are
    spent on making a failing case smaller. Errors that are not the backend's own are passed on, and so is
    `Enough` of the runner where nothing was found.
    """
    looking = _Looking(rule, subject, run, shrinking)
    options = settings(
        max_examples=examples or rule.examples,
        stateful_step_count=STEPS,
        database=database and _Shelf(database, f"{rule.id} {subject.contract.name} "),
        deadline=None,
        phases=(Phase.reuse, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        verbosity=Verbosity.quiet,
        print_blob=False,
    )
    try:
        with _storage_elsewhere(), _same_cases_everywhere():
            (_look if rule.machine is None else _walk)(looking, seed, options)
    except Unsatisfiable:
        return None
    except (Broken, Flaky, Enough):
        if looking.broken is None:
            raise
    return None if looking.broken is None else Counterexample(rule, looking.case, looking.broken)


@contextlib.contextmanager
def _storage_elsewhere() -> Iterator[None]:
    """Keep what Hypothesis remembers of Unicode and of sources out of the project it is run in, where a person who has
    never heard of it would wonder. What a test of the person's own keeps stays where it was."""
    before = storage_directory(intent_to_write=False)
    before = getattr(before, "path", before)  # it was the path itself in earlier versions
    cache = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    if not os.environ.get("HYPOTHESIS_STORAGE_DIRECTORY"):
        set_hypothesis_home_dir(Path(cache, "onpaper", "hypothesis"))
    try:
        yield
    finally:
        set_hypothesis_home_dir(before)


@contextlib.contextmanager
def _same_cases_everywhere() -> Iterator[None]:
    """Draw the same cases whatever else is loaded. Hypothesis mixes in constants that it finds in the modules of the project
    that it runs in, so that an edit there, or another order of tests, would change what is found; it has no setting for
    that. What a person's own tests draw stays as it was.
    """
    usual = {name: getattr(providers, name) for name in _NO_CONSTANTS}
    for name, value in _NO_CONSTANTS.items():
        setattr(providers, name, value)
    try:
        yield
    finally:
        for name, value in usual.items():
            setattr(providers, name, value)


_NO_CONSTANTS: dict[str, Any] = {}
"""What Hypothesis asks for constants, and where it remembers those that fit, of a project that has none."""
if hasattr(providers, "_get_local_constants") and hasattr(providers, "CONSTANTS_CACHE"):
    _none = providers.Constants()
    _NO_CONSTANTS["_get_local_constants"] = lambda: _none
    _NO_CONSTANTS["CONSTANTS_CACHE"] = type(providers.CONSTANTS_CACHE)(1024)


class _Shelf(ExampleDatabase):
    """One property's part of a database: Hypothesis would keep the cases of all of them under one key."""

    def __init__(self, database: ExampleDatabase, name: str) -> None:
        super().__init__()
        self._database = database
        self._name = name.encode()

    def save(self, key: bytes, value: bytes) -> None:
        self._database.save(self._name + key, value)

    def fetch(self, key: bytes) -> Iterable[bytes]:
        return self._database.fetch(self._name + key)

    def delete(self, key: bytes, value: bytes) -> None:
        self._database.delete(self._name + key, value)


class Enough(BaseException):
    """Ends a search: what was found so far is what is told. A runner may raise it; Hypothesis lets it through."""


class _Looking:
    """One run of Hypothesis: what is looked for, the last case that failed, which is the smallest so far,
    and the time that is left for a smaller one."""

    def __init__(self, rule: Property, subject: Subject, run: Runner, shrinking: float) -> None:
        self.rule = rule
        self.subject = subject
        self._run = run
        self._shrinking = shrinking
        self._until = float("inf")
        self.case: Any = None
        self.broken: Broken | None = None

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine where backends live, if there is time."""
        if time.monotonic() > self._until:
            work.close()
            raise Enough
        return self._run(work)

    def note(self, case: Any, broken: Broken) -> None:
        if self.broken is None:
            self._until = time.monotonic() + self._shrinking
        self.case, self.broken = case, broken


def _look(looking: _Looking, seed: int, options: settings) -> None:
    """Look for a case that breaks the rule, and then for smaller ones."""
    rule, subject = looking.rule, looking.subject
    assert rule.cases is not None and rule.judge is not None
    judge = rule.judge

    @options  # outside of the seed, which would take the database away
    @seeded(seed)
    @given(anew(rule.cases(subject)))
    def try_one(case: Any) -> None:
        try:
            looking.run(judge(subject, case))
        except Broken as broken:
            looking.note(case, broken)
            raise

    try_one()


def _walk(looking: _Looking, seed: int, options: settings) -> None:
    """Look for steps that go wrong, and then for fewer."""
    assert looking.rule.machine is not None
    steps: list[str] = []

    def broke(broken: Broken) -> None:
        looking.note(tuple(steps), broken)

    machine = looking.rule.machine(looking.subject, looking.run, steps, broke)
    run_state_machine_as_test(seeded(seed)(machine), settings=options)
