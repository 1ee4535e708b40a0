"""Sampling parameters that a contract accepts, and sets with exactly one mistake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Literal, overload

from hypothesis import strategies as st

from onpaper.body import Violation
from onpaper.contract import Contract
from onpaper.errors import BadInput, nearest
from onpaper.strategies.bodies import Bodies
from onpaper.strategies.drawing import anew, kept, one_of_many, some_of
from onpaper.strategies.refused import put
from onpaper.strategies.schema import Reader

Params = dict[str, Any]

ALIASES: tuple[tuple[str, ...], ...] = (
    ("max_tokens", "max_completion_tokens", "num_predict", "n_predict", "max_new_tokens"),
    ("seed", "random_seed"),
    ("repetition_penalty", "repeat_penalty"),
    ("typical_p", "typical"),
    ("n", "num_generations"),
)
"""Names for the same thing, the usual one first: providers take one of them, or either, never both at once.
"""

SAMPLING: frozenset[str] = frozenset(
    [
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "top_a",
        "presence_penalty",
        "frequency_penalty",
        "length_penalty",
        "stop",
        "min_tokens",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "repeat_last_n",
        "mirostat",
        "mirostat_eta",
        "mirostat_tau",
        "ignore_eos",
        "stop_token_ids",
        "bad_words",
    ]
) | {name for group in ALIASES for name in group}
"""The names of parameters that steer sampling, as providers and engines call them."""


@dataclass(frozen=True, slots=True)
class WrongSampling:
    """Sampling parameters of which exactly one breaks the contract; the violation points into the body."""

    params: Params
    violation: Violation


@overload
def sampling(
    contract: Contract, *, keys: Iterable[str] | None = None, valid: Literal[True] = True
) -> st.SearchStrategy[Params]: ...
@overload
def sampling(
    contract: Contract, *, keys: Iterable[str] | None = None, valid: Literal[False]
) -> st.SearchStrategy[WrongSampling]: ...
def sampling(
    contract: Contract, *, keys: Iterable[str] | None = None, valid: bool = True
) -> st.SearchStrategy[Any]:
    """Sampling parameters under the contract's own names: a dict of those that are given.

    Every value keeps its bounds and type and every combination its rules; absent, zero and limit values
    come up often. Of several names for one thing only one is given. Shrinks to no parameter, or to the one
    that matters. `keys` narrows the choice, to any keys of the contract's body. Raises BadInput for a key
    that the contract does not take.

    With `valid=False` each is a `WrongSampling`: one violation, named, and the parameters that have it.
    `body_with` makes a whole body of either.

    >>> from hypothesis import given
    >>> from onpaper import Contract
    >>> contract = Contract.load("openai")
    >>> @given(sampling(contract), sampling(contract, valid=False))
    ... def test_the_contract_agrees(params, wrong):
    ...     assert not contract.violations(body_with(contract, params))
    ...     assert wrong.violation in contract.violations(body_with(contract, wrong.params))
    >>> test_the_contract_agrees()
    """
    places = places_of(contract, keys)
    return anew(_valid(contract, places) if valid else _wrong(contract, places))


@lru_cache(maxsize=4096)
def place(contract: Contract, name: str) -> tuple[str, ...] | None:
    """The path of a sampling parameter in the contract's bodies, such as `("options", "top_k")`.

    None when the contract does not take it under this name.
    """
    if name in contract.keys:
        return (name,)
    reader = Reader(contract.schema["$defs"])
    for key, schema in contract.schema["properties"].items():
        if name in SAMPLING and "$ref" in schema:  # parameters in a group of their own, `options`
            for one in reader.alternatives(schema):
                if name in one.rules.get("properties", {}):
                    return (key, name)
    return None


def named_by(contract: Contract, name: str) -> tuple[str, ...]:
    """The names under which the contract takes what a caller calls `name`; none when it does not."""
    group = next((group for group in ALIASES if name in group), (name,))
    return tuple(one for one in group if place(contract, one) is not None)


def places_of(contract: Contract, keys: Iterable[str] | None = None) -> dict[str, tuple[str, ...]]:
    """The parameters and where they stand; all that steer sampling unless `keys` says which."""
    found = {name: place(contract, name) for name in (sorted(SAMPLING) if keys is None else keys)}
    if keys is not None:
        for name, where in found.items():
            if where is None:
                known = contract.keys | {name for name in SAMPLING if place(contract, name)}
                raise BadInput(f"contract {contract.name!r} takes no {name!r}{nearest(name, known)}")
    return {name: where for name, where in found.items() if where is not None}


def body_with(contract: Contract, params: Mapping[str, Any]) -> dict[str, Any]:
    """The smallest request body with these parameters, each where the contract wants it.

    >>> body_with(Contract.load("ollama"), {"top_k": 1})["options"]
    {'top_k': 1}
    """
    body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    for name, value in params.items():
        where = place(contract, name) or (name,)
        if len(where) == 1:
            body[name] = value
        else:
            body.setdefault(where[0], {})[where[1]] = value
    return body


def _strategies(
    contract: Contract, places: Mapping[str, tuple[str, ...]]
) -> dict[str, st.SearchStrategy[Any]]:
    bodies = Bodies.of(contract)
    return {name: bodies.accepted.of(_schema_at(contract, where), name) for name, where in places.items()}


def schema_of(contract: Contract, name: str) -> Any:
    """The JSON Schema of a sampling parameter. Raises BadInput when the contract does not take it."""
    return _schema_at(contract, places_of(contract, [name])[name])


def _schema_at(contract: Contract, where: tuple[str, ...]) -> Any:
    schema = contract.schema["properties"][where[0]]
    if len(where) == 2:
        alternatives = Reader(contract.schema["$defs"]).alternatives(schema)
        found = [
            one.rules["properties"] for one in alternatives if where[1] in one.rules.get("properties", {})
        ]
        schema = found[0][where[1]]
    return schema


def _valid(contract: Contract, places: Mapping[str, tuple[str, ...]], without: str = "") -> Any:
    bodies, values = Bodies.of(contract), _strategies(contract, places)
    some = some_of({name: value for name, value in values.items() if name not in _group(without)}, alias=_group)

    @st.composite
    def params(draw: st.DrawFn) -> Params:
        drawn = draw(some)
        picked, needed = bodies.allowed(list(drawn))
        for name in needed & values.keys() - set(_group(without)):
            if not drawn.get(name):
                drawn[name] = draw(values[name].filter(bool))
        return {
            name: drawn[name]
            for name in picked
            if name in drawn and all(need in places for need in _needs(contract, name))
        }

    return kept(params(), lambda one: None if contract.violations(body_with(contract, one)) else one)


def _needs(contract: Contract, name: str) -> list[str]:
    return [
        rule["needs"] for rule in contract.rules if rule["key"] == name and "needs" in rule
    ]


def _group(name: str) -> tuple[str, ...]:
    return next((group for group in ALIASES if name in group), (name,))


def _wrong(contract: Contract, places: Mapping[str, tuple[str, ...]]) -> Any:
    def judge(params: Params) -> WrongSampling | None:
        violations = contract.violations(body_with(contract, params))
        found = {(one.situation, one.pointer): one for one in violations}
        return WrongSampling(params, next(iter(found.values()))) if len(found) == 1 else None

    return kept(one_of_many(_ways(contract, places)), judge)


def _ways(contract: Contract, places: Mapping[str, tuple[str, ...]]) -> Iterator[st.SearchStrategy[Params]]:
    """A strategy for each way to get a set of parameters wrong."""
    refused, values = Bodies.of(contract).refused, _strategies(contract, places)

    def plus(name: str, value: st.SearchStrategy[Any]) -> st.SearchStrategy[Params]:
        return st.builds(
            lambda params, one: {**params, name: one}, _valid(contract, places, without=name), value
        )

    for name, where in places.items():
        for way in refused.ways(_schema_at(contract, where), name):
            yield plus(name, way)
    for name in (*sorted(SAMPLING - set(places)), "temprature"):
        if place(contract, name) is None and not named_by(contract, name):
            yield plus(name, st.sampled_from((1, 0.5, "x")))
    for rule in contract.rules:
        key, excludes = rule["key"], rule.get("excludes")
        if key in places and excludes in places:
            pair = st.tuples(values[key], values[excludes])
            yield pair.map(partial(_as_params, (key, excludes)))
        elif key in places and rule.get("needs"):
            yield values[key].map(partial(put, key, {}))


def _as_params(names: tuple[str, ...], values: tuple[Any, ...]) -> Params:
    return dict(zip(names, values, strict=True))
