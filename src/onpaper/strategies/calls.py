"""Calls of a backend: parameters, conversations and tools, as far as its contract takes them."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from hypothesis import strategies as st

from onpaper.contract import Contract
from onpaper.strategies.accepted import Accepted
from onpaper.strategies.conversation import messages, tools
from onpaper.strategies.drawing import kept, some_of
from onpaper.strategies.sampling import body_with, named_by, schema_of
from onpaper.strategies.shown import Shown
from onpaper.strategies.subject import BY_CALL, MESSAGES, METHODS, SAMPLED, Kwargs, Subject

WHOLE = ("top_k", "max_tokens")
"""Parameters that the interface takes as whole numbers, whatever the provider takes."""


@dataclass(frozen=True)
class Given(Shown):
    """Parameters of one call: what the constructor was given, and what the call was."""

    method: str
    constructor: Kwargs = field(default_factory=dict)
    call: Kwargs = field(default_factory=dict)

    @property
    def sampling(self) -> Kwargs:
        """What the constructor is given, as a copy that may be kept or changed."""
        return copy.deepcopy(self.constructor)

    @property
    def kwargs(self) -> Kwargs:
        """What the call is given, as a copy that may be kept or changed."""
        return copy.deepcopy(self.call)

    def __repr__(self) -> str:
        made = f"sampling={self.constructor!r}" if self.constructor else ""
        given = "".join(f", {name}={value!r}" for name, value in self.call.items())
        return f"Backend({made}).{self.method}(messages{given})"


USUAL = {
    "max_tokens": (1, 4096),
    "temperature": (0, 2),
    "top_k": (0, 1000),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
}
"""Least and most of what people give. Where a contract names no limit, one that a client keeps is no mistake of it: a real
server has one as well."""


@lru_cache(maxsize=512)
def values_of(contract: Contract, name: str) -> st.SearchStrategy[Any]:
    """What may be given for a parameter of the interface; any number for one the contract does not take."""
    names = named_by(contract, name)
    if not names:
        return st.integers(1, 100)
    schema = schema_of(contract, names[0])
    rules: list[dict[str, Any]] = [schema]
    if name in WHOLE:
        rules.append({"type": "integer"})
    if name in USUAL:
        least, most = USUAL[name]
        rules.append({"minimum": least, "maximum": most})
    values = Accepted(contract.schema["$defs"]).of({"allOf": rules} if len(rules) > 1 else schema, name)
    return values.filter(_stops) if name == "stop" else values


def _stops(value: Any) -> bool:
    """Whether a stop is an ordinary one: an empty text stops nothing, and more than four are not for every client."""
    stops = [value] if isinstance(value, str) else value
    return 0 < len(stops) <= 4 and "" not in stops


def taken(subject: Subject, name: str) -> bool:
    """Whether the contract takes a parameter of the interface, under any name."""
    return bool(named_by(subject.contract, name))


def givens(subject: Subject, *, accepted: bool = False, most: int = 3) -> st.SearchStrategy[Given]:
    """Calls with any parameters of the interface, at `most` so many; with `accepted` only those that the contract takes."""
    values = {name: values_of(subject.contract, name) for name in (*SAMPLED, *BY_CALL)}

    def some(names: list[str]) -> st.SearchStrategy[Kwargs]:
        fit = [name for name in names if taken(subject, name) or (not accepted and name in SAMPLED)]
        return some_of({name: values[name] for name in fit}, most=most)

    constructor = some(subject.sampled)
    return st.one_of(
        [
            st.builds(Given, st.just(one), constructor, some(subject.parameters(one)))
            for one in replying(subject)
        ]
    )


def replying(subject: Subject) -> list[str]:
    """The methods that get a reply, as far as the backend has them."""
    return [method for method in METHODS if subject.has(method)]


def has_parameters(subject: Subject) -> str:
    """Why there are no parameters to judge, or nothing."""
    has = any(subject.parameters(method) for method in METHODS)
    return "" if has else "neither stream() nor complete() takes a parameter of the interface"


def has_constructor(subject: Subject) -> str:
    """Why there is no constructor to judge, or nothing."""
    if not replying(subject):
        return "the backend has neither stream() nor complete()"
    return "" if subject.configurable else "the constructor takes no `sampling`"


@dataclass(frozen=True)
class Sequence(Shown):
    """A call, another one, and the first again, on one backend."""

    first: Given
    between: Given

    def __repr__(self) -> str:
        return f"{self.first!r}, then {self.between!r}, then the first again"


def sequences(subject: Subject) -> st.SearchStrategy[Sequence]:
    """Two calls with parameters that the contract takes; the backend is made for the first."""
    return st.builds(Sequence, bare(subject) | givens(subject, accepted=True), wordy(subject))


def bare(subject: Subject) -> st.SearchStrategy[Given]:
    """Calls without parameters: what another call left behind shows in these most often."""
    return st.sampled_from([Given(method) for method in replying(subject)])


def wordy(subject: Subject) -> st.SearchStrategy[Given]:
    """Calls with as many parameters as there are: these leave most behind. The constructor is given none."""
    given = givens(subject, accepted=True, most=len(SAMPLED) + len(BY_CALL))
    return given.map(lambda one: Given(one.method, {}, one.call))


@dataclass(frozen=True)
class Call(Shown):
    """A whole call: parameters, conversation, tools."""

    given: Given
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None = None

    def __repr__(self) -> str:
        messages = "" if self.messages == MESSAGES else f" with messages = {self.messages!r}"
        tools = f" with tools = {self.tools!r}" if self.tools else ""
        return f"{self.given!r}{messages}{tools}"

    @property
    def arguments(self) -> Kwargs:
        """The keyword arguments of the call, as copies that may be kept or changed."""
        return {**self.given.kwargs, **({} if self.tools is None else {"tools": copy.deepcopy(self.tools)})}


def calls(subject: Subject) -> st.SearchStrategy[Call]:
    """Whole calls that the contract takes."""
    given, history = givens(subject, accepted=True), conversations(subject)
    tooled = (
        "tools" in subject.contract.keys and subject.has("complete") and subject.takes("complete", "tools")
    )
    offered = st.none() | _accepted_tools(subject)

    @st.composite
    def call(draw: st.DrawFn) -> Call:
        one = draw(given)
        return Call(one, draw(history), draw(offered) if tooled and one.method == "complete" else None)

    return call()


def conversations(subject: Subject) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Conversations that the contract takes once a tool call's arguments have the form that it wants."""
    as_objects = subject.contract.get("reply.arguments") == "object"

    def judge(history: list[dict[str, Any]]) -> Any:
        body = body_with(subject.contract, {}) | {"messages": in_form(history, as_objects)}
        return None if subject.contract.violations(body) else history

    return st.builds(copy.deepcopy, st.just(MESSAGES)) | kept(messages(objects=True), judge)


def in_form(history: Iterable[dict[str, Any]], objects: bool) -> list[dict[str, Any]]:
    """A conversation whose tool calls have their arguments as an object, or as text."""
    changed = copy.deepcopy(list(history))
    for message in changed:
        for call in message.get("tool_calls", ()):
            call["function"]["arguments"] = {} if objects else "{}"
    return changed


def _accepted_tools(subject: Subject) -> st.SearchStrategy[list[dict[str, Any]]]:
    def judge(offered: list[dict[str, Any]]) -> Any:
        body = body_with(subject.contract, {}) | {"tools": offered}
        return None if subject.contract.violations(body) else offered

    return kept(tools(), judge)
