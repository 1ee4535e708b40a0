"""The exchanges by name: correct ones, and broken ones with the clauses that they are there to break."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field

from onpaper.clauses import View
from onpaper.contract import Contract
from onpaper.exchange import Exchange

from .parts import (
    COUNTS,
    DONE,
    HEL,
    KEY,
    LAST_LINE,
    LO,
    STOP,
    TOO_MANY,
    UNCOUNTED,
    calling,
    completion,
    line,
    lines,
    listed,
    stream,
    whole,
)


@dataclass(frozen=True)
class Wire:
    """An exchange to judge. `aims` maps each clause that it has to break to words of the clause's message."""

    name: str
    exchange: Exchange
    contract: str = "litellm"
    fault: str = ""
    aims: dict[str, str] = field(default_factory=dict)

    @property
    def view(self) -> View:
        return View(Contract.load(self.contract), KEY, True)


TWO_CALLS = [
    {"id": f"call_{name}", "type": "function", "function": {"name": name, "arguments": "{}"}} for name in "fg"
]
CORRECT = (
    Wire("a_stream", stream(HEL, LO, STOP, COUNTS, DONE)),
    Wire("a_stream_that_nobody_counts", stream(HEL, LO, STOP, DONE, asked=UNCOUNTED)),
    Wire("a_stream_without_a_sentinel", stream(HEL, LO, STOP, COUNTS), "perplexity"),
    Wire("a_streamed_tool_call", calling("get_time", '{"zone": "CET"}')),
    Wire("a_reply_in_one_piece", whole(completion())),
    Wire("two_tool_calls", whole(completion(message={"role": "assistant", "content": None, "tool_calls": TWO_CALLS}, finish_reason="tool_calls"))),
    Wire("a_refusal", whole(TOO_MANY, status=429, retry_after="7")),
    Wire("a_model_list", listed({"object": "list", "data": [{"id": "m", "object": "model"}]})),
    Wire("a_stream_of_lines", lines(line("Hel"), line("lo"), LAST_LINE), "ollama"),
    Wire("a_model_list_of_names", listed({"models": [{"name": "m"}]}, "/api/tags"), "ollama"),
)

_BROKEN: dict[str, Wire] = {}

Made = Callable[[], Exchange]


def breaks(clause: str, says: str, contract: str = "litellm") -> Callable[[Made], Made]:
    """Enter what a function makes as broken; its docstring says what is wrong with it."""

    def enter(make: Made) -> Made:
        name = make.__name__
        if name in _BROKEN:
            raise ValueError(f"two broken exchanges are called {name}")
        _BROKEN[name] = Wire(name, make(), contract, inspect.getdoc(make) or "", {clause: says})
        return make

    return enter


def broken() -> dict[str, Wire]:
    """Every broken exchange by its name."""
    from . import replies, requests  # noqa: F401

    return dict(sorted(_BROKEN.items()))
