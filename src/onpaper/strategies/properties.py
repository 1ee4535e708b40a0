"""Properties: rules about a backend that hold for every case a strategy can draw.

Each is a plain value with a strategy for its cases and a coroutine that judges one, so that anything can
run it: the plugin, `onpaper fuzz`, or a test of one's own (see `search`).
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from onpaper.driving.verdict import Broken
from onpaper.strategies.subject import Subject

Judge = Callable[[Subject, Any], Coroutine[Any, Any, None]]
Runner = Callable[[Coroutine[Any, Any, Any]], Any]
"""Runs a coroutine to its end where backends live, such as `asyncio.Runner().run`."""
Machine = Callable[[Subject, Runner, list[str], Callable[[Broken], None]], type[RuleBasedStateMachine]]


def _always(subject: Subject) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Property:
    """A rule that holds for every case.

    `cases` gives the strategy for a subject, `judge` raises `Broken` for a case that breaks the rule.
    `applies` says in a sentence why there is nothing to judge, or nothing. `examples` is how many cases a
    normal run tries. A property of any order of calls has a `machine` instead of cases (see
    `machine.machine`). `socket` tells whether what it is about, connections and their faults, needs one.
    """

    id: str
    rule: str
    fix: str
    source: str
    cases: Callable[[Subject], st.SearchStrategy[Any]] | None = None
    judge: Judge | None = None
    applies: Callable[[Subject], str] = _always
    examples: int = 30
    machine: Machine | None = None
    socket: bool = False


_REGISTER: dict[str, Property] = {}


def holds_for(
    cases: Callable[[Subject], st.SearchStrategy[Any]],
    *,
    name: str,
    source: str,
    applies: Callable[[Subject], str] = _always,
    examples: int = 30,
    socket: bool = False,
) -> Callable[[Judge], Judge]:
    """Register a coroutine as the judge of a property; its docstring is the rule, then how a client is put
    right."""

    def register(judge: Judge) -> Judge:
        rule, _, fix = inspect.cleandoc(judge.__doc__ or "").partition("\n\n")
        enter(Property(name, " ".join(rule.split()), fix.strip(), source, cases, judge, applies, examples, socket=socket))
        return judge

    return register


def enter(rule: Property) -> None:
    """Register a property."""
    _REGISTER[rule.id] = rule


def properties() -> dict[str, Property]:
    """Every property by its id."""
    for module in ("on_requests", "on_replies", "machine"):
        importlib.import_module(f"onpaper.strategies.{module}")
    return dict(sorted(_REGISTER.items()))
