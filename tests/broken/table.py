"""The broken backends by name, each with the clauses it is there to break and the words of their blame."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from onpaper.driving.declaration import Declared, declare

from .correct import Correct, CorrectLocal
from .lines import CorrectLines

Client = TypeVar("Client", bound=type[Any])

OPTIONAL = ("done_reason", "tool_calls", "reasoning", "errors", "set_model", "sampling")


@dataclass(frozen=True)
class Subject:
    """A backend to judge. `aims` maps each clause it has to break to words that the clause's message holds.

    `fault` says in one sentence what is wrong with it; `can` are capabilities declared otherwise than usual.
    """

    name: str
    fault: str
    factory: str
    contract: str
    aims: dict[str, str]
    can: dict[str, str]

    def declared(self) -> Declared:
        table = {
            "factory": self.factory,
            "contract": self.contract,
            "env": {"CLIENT_KEY": "{key}", "CLIENT_URL": "{base_url}"},
            "timeouts": {which: {which: 0.15} for which in ("connect", "first_byte", "between")},
            "capabilities": dict.fromkeys(OPTIONAL, "yes") | self.can,
        }
        return declare(self.name, table)


_BROKEN: dict[str, Subject] = {}


def breaks(clause: str, says: str, **can: str) -> Callable[[Client], Client]:
    """Enter a client as broken; `clause` says `says` of it. For each clause that it is there to break."""

    def enter(client: Client) -> Client:
        subject = _subject(client)
        known = _BROKEN.setdefault(subject.name, subject)
        if known.factory != subject.factory:
            raise ValueError(f"two broken backends are called {subject.name}")
        _BROKEN[subject.name] = replace(known, aims={clause: says} | known.aims, can=known.can | can)
        return client

    return enter


def _subject(client: type[Any]) -> Subject:
    fault = (inspect.getdoc(client) or "").partition("\n\n")[0].replace("\n", " ")
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", client.__name__).lower()
    return Subject(name, fault, f"{client.__module__}:{client.__qualname__}", client.provider, {}, {})


CORRECT: dict[str, Subject] = {
    one.contract: one for one in map(_subject, (Correct, CorrectLocal, CorrectLines))
}
"""The correct clients, by the contract that judges them."""


@lru_cache(maxsize=1)
def broken() -> dict[str, Subject]:
    """Every broken backend by its name."""
    package = __name__.rpartition(".")[0]
    for module in sorted(one.name for one in pkgutil.iter_modules([str(Path(__file__).parent / "faults")])):
        importlib.import_module(f"{package}.faults.{module}")
    return dict(sorted(_BROKEN.items()))
