"""The clauses: one rule, one stable id, one function. This module is the register; each topic is a module beside it.

A clause judges a request or a reply (a pure function of an exchange) or a backend (it drives one). Its docstring is
the rule in one sentence; the rest of the docstring says how a client is put right.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from onpaper.contract import Contract
from onpaper.driving.play import Play
from onpaper.errors import nearest

Kind = Literal["request", "reply", "backend", "property"]
Level = Literal["must", "should"]

INTERFACE = "https://github.com/fluxions-ai/vui/pull/18"
"""The source of rules that the backend interface itself makes."""

WHATWG = "https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation"
OPENAI = "https://platform.openai.com/docs/api-reference/chat"
NDJSON = "https://github.com/ollama/ollama/blob/main/docs/api.md"


@dataclass(frozen=True, slots=True)
class Case:
    """One case of a clause that plays nothing in particular."""

    id: str
    value: Any = None


@dataclass(frozen=True, slots=True)
class Clause:
    """A rule and how it is judged.

    `covers` are numbers of the catalogue of behaviours that the suite was made from; `policy` marks a choice of this project where
    no standard decides; `protocol` limits the clause to providers that speak `sse` or `ndjson`. A `timed` clause measures time, which a
    busy machine takes from anybody: it is judged again before it blames.
    """

    id: str
    kind: Kind
    level: Level
    rule: str
    fix: str
    why: str
    source: str
    covers: tuple[int, ...]
    cases: Callable[[Contract], tuple[Any, ...]]
    judge: Callable[..., Any]
    policy: bool = False
    protocol: str | None = None
    timed: bool = False
    everything: bool = False
    """Whether it also looks at all that the other clauses caused."""

    @property
    def topic(self) -> str:
        return self.id.partition("/")[0]


_REGISTER: dict[str, Clause] = {}
ONCE = (Case("once"),)
EVERYTHING = Case("everything-else")
"""The last case of each request clause: every exchange that any other clause caused."""


def clause(
    name: str,
    *,
    source: str,
    covers: Sequence[int] = (),
    why: str = "",
    level: Level = "must",
    kind: Kind = "backend",
    cases: Sequence[Any] | Callable[[Contract], tuple[Any, ...]] = ONCE,
    policy: bool = False,
    protocol: str | None = None,
    timed: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as the judge of a clause."""

    def register(judge: Callable[..., Any]) -> Callable[..., Any]:
        rule, _, fix = inspect.cleandoc(judge.__doc__ or "").partition("\n\n")
        if not rule:
            raise ValueError(f"clause {name} has no rule: its docstring is the rule")
        of_contract = cases if callable(cases) else lambda _: tuple(cases)
        everything = not callable(cases) and EVERYTHING in cases
        enter(name, kind, level, " ".join(rule.split()), fix.strip(), why, source, covers, of_contract, judge, policy, protocol, timed, everything)
        return judge

    return register


def enter(
    name: str,
    kind: Kind,
    level: Level,
    rule: str,
    fix: str,
    why: str,
    source: str,
    covers: Sequence[int],
    cases: Callable[[Contract], tuple[Any, ...]],
    judge: Callable[..., Any],
    policy: bool = False,
    protocol: str | None = None,
    timed: bool = False,
    everything: bool = False,
) -> None:
    """Enter a clause into the register. Raises ValueError when its name is taken."""
    if name in _REGISTER:
        raise ValueError(f"two clauses are called {name}")
    _REGISTER[name] = Clause(name, kind, level, rule, fix, why, source, tuple(covers), cases, judge, policy, protocol, timed, everything)


@lru_cache(maxsize=1)
def register() -> dict[str, Clause]:
    """Every clause by its id, topics in alphabetical order."""
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda one: one.name):
        importlib.import_module(f"{__name__}.{module.name}")
    return dict(sorted(_REGISTER.items()))


def nearest_clause(name: str, *, topics: bool = False) -> str:
    """The tail of a message about a clause (or topic) that there is none of: the nearest, and where all are listed."""
    known = {one.topic for one in register().values()}
    return f"{nearest(name, {*register(), *(known if topics else ())}, known)} `onpaper list clauses` shows every clause."


@dataclass(frozen=True, slots=True)
class View:
    """What a clause knows beside the exchange: the contract, and the client's key if it is known to have one."""

    contract: Contract
    key: str | None = None
    key_known: bool = False


def case_id(case: Any) -> str:
    """The id of a case: a play's, or its own."""
    return case.id if isinstance(case, (Case, Play)) else str(case)
