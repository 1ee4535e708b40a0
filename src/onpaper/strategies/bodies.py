"""Whole request bodies: everything that a contract accepts, and everything that it refuses in one place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Literal, overload

from hypothesis import strategies as st

from onpaper.body import Violation
from onpaper.contract import Contract
from onpaper.strategies.accepted import Accepted, renamed
from onpaper.strategies.conversation import paired
from onpaper.strategies.drawing import anew, kept, one_of_many, some_of
from onpaper.strategies.refused import UNKNOWN, Refused, put, without

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class WrongBody:
    """A request body that breaks the contract in exactly one place."""

    body: Body
    violation: Violation


@overload
def request_bodies(contract: Contract, *, valid: Literal[True] = True) -> st.SearchStrategy[Body]: ...
@overload
def request_bodies(contract: Contract, *, valid: Literal[False]) -> st.SearchStrategy[WrongBody]: ...
def request_bodies(contract: Contract, *, valid: bool = True) -> st.SearchStrategy[Any]:
    """Bodies of chat requests, over every key, limit and branch of the contract's schema and its
    combination rules.

    With `valid=False` each is a `WrongBody`: one violation, named, and the body that has it.

    >>> from hypothesis import given
    >>> from onpaper import Contract
    >>> contract = Contract.load("openai")
    >>> @given(request_bodies(contract), request_bodies(contract, valid=False))
    ... def test_a_contract_tells_good_from_bad(good, bad):
    ...     assert contract.violations(good) == []
    ...     assert bad.violation in contract.violations(bad.body)
    >>> test_a_contract_tells_good_from_bad()
    """
    bodies = Bodies.of(contract)
    return anew(bodies.valid() if valid else bodies.wrong())


class Bodies:
    """The strategies of one contract's bodies, made once."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        schema = contract.schema
        self.schemas: Mapping[str, Any] = schema["properties"]
        self.required: tuple[str, ...] = tuple(schema["required"])
        self.rules: tuple[Mapping[str, Any], ...] = contract.rules
        self.accepted = Accepted(schema["$defs"])
        self.refused = Refused(self.accepted)
        self._drafted: dict[str, st.SearchStrategy[Body]] = {}
        self._objects = contract.get("reply.arguments") == "object"

    @staticmethod
    @lru_cache(maxsize=64)
    def of(contract: Contract) -> Bodies:
        """The one for a contract."""
        return Bodies(contract)

    def value(self, key: str) -> st.SearchStrategy[Any]:
        """What the contract accepts under a key."""
        if key == "messages":
            return self.accepted.of(self.schemas[key], key).map(
                lambda some: paired(some, objects=self._objects)
            )
        return self.accepted.of(self.schemas[key], key)

    def valid(self) -> st.SearchStrategy[Body]:
        """Bodies without a violation, with up to eight keys beyond what is required and needed by them."""
        return kept(self._drafts(), lambda body: None if self.contract.violations(body) else body)

    def _drafts(self, without: str = "") -> st.SearchStrategy[Body]:
        """Bodies that keep the rules as far as keys go; the schema has not judged them yet."""
        if without not in self._drafted:
            required = {key: self.value(key) for key in self.required}
            further = [key for key in self.schemas if key not in self.required and key != without]
            optional = some_of({key: self.value(key) for key in further})
            filled = {key: self.value(key).filter(bool) for key in self.schemas}

            @st.composite
            def draft(draw: st.DrawFn) -> Body:
                drawn = {key: draw(value) for key, value in required.items()} | draw(optional)
                keys, needed = self.allowed(list(drawn))
                for key in needed:
                    if not drawn.get(key):
                        drawn[key] = draw(filled[key])
                return self._coherent(draw, {key: drawn[key] for key in keys})

            self._drafted[without] = draft()
        return self._drafted[without]

    def allowed(self, keys: list[str]) -> tuple[list[str], set[str]]:
        """The keys that may stand together, with those that they need; and which must not be empty."""
        kept, needed = list(keys), set[str]()
        for rule in self.rules:
            key = rule["key"]
            if key not in kept:
                continue
            if "excludes" in rule and rule["excludes"] in kept and key not in self.required:
                kept.remove(key)
            elif "needs" in rule:
                if rule["needs"] not in self.schemas:
                    kept.remove(key)
                    continue
                needed.add(rule["needs"])
                if rule["needs"] not in kept:
                    kept.append(rule["needs"])
        return kept, needed

    @staticmethod
    def _coherent(draw: st.DrawFn, body: Body) -> Body:
        """The body with tools of different names, and a choice that is among them."""
        offered = body.get("tools")
        if isinstance(offered, list):
            taken = [tool.get("function", {}).get("name") for tool in offered]
            body["tools"] = [
                renamed(tool, number) if taken.index(taken[number]) < number else tool
                for number, tool in enumerate(offered)
            ]
            chosen = body.get("tool_choice")
            if isinstance(chosen, dict) and isinstance(chosen.get("function"), dict):
                named = [one for one in tool_choice_names(body["tools"]) if one]
                body["tool_choice"] = (
                    {**chosen, "function": {"name": draw(st.sampled_from(named))}} if named else "auto"
                )
        return body

    # ---- broken in one place -----------------------------------------------------------------------------

    def wrong(self) -> st.SearchStrategy[WrongBody]:
        """Bodies with exactly one violation, each way to get one equally likely for each key."""
        return self.judged(one_of_many(self._ways()), WrongBody)

    def judged(self, broken: st.SearchStrategy[Body], made: Any) -> st.SearchStrategy[Any]:
        """Those of the bodies that have exactly one violation, as `made(body, violation)`."""

        def named(body: Body) -> Any:
            found = {(one.situation, one.pointer): one for one in self.contract.violations(body)}
            return made(body, next(iter(found.values()))) if len(found) == 1 else None

        return kept(broken, named)

    def _ways(self) -> Iterator[st.SearchStrategy[Body]]:
        for key in self.schemas:
            yield from self.broken(key)
        for key in self.required:
            yield self._drafts().map(partial(without, key))
        if self.contract.get("body.unknown"):
            yield st.builds(partial(put, UNKNOWN), self._drafts(), st.just(1))
        for rule in self.rules:
            yield from self.breaking(rule)

    def broken(self, key: str) -> Iterator[st.SearchStrategy[Body]]:
        """Bodies with a value that the contract does not accept under a key: a strategy for each way."""

        def with_broken(body: Body, value: Any) -> Body:
            body = {name: body[name] for name in body if name not in self._tied(key, value)}
            for rule in self.rules:
                if rule["key"] == key and "needs" in rule and not body.get(rule["needs"]):
                    body[rule["needs"]] = self._some(rule["needs"])
            return {**body, key: value}

        for way in self.refused.ways(self.schemas[key], key):
            yield st.builds(with_broken, self._drafts(without=key), way)

    def _tied(self, key: str, value: Any) -> set[str]:
        """Keys that cannot stand beside a key with that value."""
        tied = {rule["key"] for rule in self.rules if rule.get("excludes") == key}
        tied |= {rule["excludes"] for rule in self.rules if rule["key"] == key and "excludes" in rule}
        return tied | (
            {rule["key"] for rule in self.rules if rule.get("needs") == key} if not value else set()
        )

    def _some(self, key: str) -> Any:
        """A simple value under a key that others need."""
        simple = {"tools": [{"type": "function", "function": {"name": "look_up"}}]}
        return simple.get(key, True)

    def breaking(self, rule: Mapping[str, Any]) -> Iterator[st.SearchStrategy[Body]]:
        """Bodies that break a rule about combinations."""
        key, needs, excludes = rule["key"], rule.get("needs"), rule.get("excludes")
        if key not in self.schemas:
            return
        if needs:
            dependent = {one["key"] for one in self.rules if one.get("needs") == needs} | {needs}

            def alone(body: Body, value: Any) -> Body:
                return {name: body[name] for name in body if name not in dependent} | {key: value}

            yield st.builds(alone, self._drafts(without=needs), self.value(key))
        if excludes and excludes in self.schemas:

            def beside(body: Body, value: Any, other: Any) -> Body:
                return {**body, key: value, excludes: other}

            yield st.builds(beside, self._drafts(), self.value(key), self.value(excludes))


def tool_choice_names(offered: list[Any]) -> list[str]:
    """The names of the offered functions."""
    return [tool["function"]["name"] for tool in offered if isinstance(tool.get("function"), dict)]
