"""How good are generated request bodies?

Run: `python benchmarks/generation.py [--contract openai] [--examples 500] [--keys]`.

For each generator: milliseconds an example (of processor time), how many the contract's schema takes (all
of the valid ones, none of the others), and how much of the schema was reached: keys, limits, and branches
(types, listed values, alternatives). With `--keys` also what was never reached. schemathesis is measured
beside ours where it is installed.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import jsonschema_rs
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from onpaper import strategies
from onpaper.contract import Contract

Goal = tuple[str, str, str]
"""`(kind, path, what)`: `("limit", "/temperature", "maximum 2")`."""

LIMITS: dict[str, Callable[[Any], Any]] = {
    "minimum": lambda value: value,
    "maximum": lambda value: value,
    "minLength": len,
    "maxLength": len,
    "minItems": len,
    "maxItems": len,
    "minProperties": len,
    "maxProperties": len,
}
TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
}


class Coverage:
    """What of a schema values can reach, and what given values do reach. Knows nothing of any generator."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self.goals = set(self._reach(schema, "", None, set()))

    def reached(self, value: Any) -> set[Goal]:
        """The goals that a value reaches."""
        return set(self._reach(self._schema, "", (value,), set())) & self.goals

    def _reach(self, schema: Any, path: str, held: tuple[Any] | None, inside: set[str]) -> Iterator[Goal]:
        """Goals below a schema: all of them, or with a value held in a tuple those that it reaches."""
        if not isinstance(schema, Mapping):
            return
        if "$ref" in schema:
            name = str(schema["$ref"]).removeprefix("#/$defs/")
            if held is None and name in inside:  # a schema within itself: its goals are there already
                return
            yield from self._reach(self._schema["$defs"][name], path, held, inside | {name})
        yield from self._plain(schema, path, held)
        for keyword in ("allOf", "anyOf", "oneOf"):
            for number, part in enumerate(schema.get(keyword, ())):
                yield from self._reach(
                    part, f"{path}" if keyword == "allOf" else f"{path}|{number}", held, inside
                )
        if "if" in schema:
            for branch, wanted in (("then", True), ("else", False)):
                if branch in schema and (held is None or self._holds(schema["if"], held[0]) is wanted):
                    yield "branch", path, f"{branch} of {_short(schema['if'])}"
                    yield from self._reach(schema[branch], path, held, inside)
        yield from self._below(schema, path, held, inside)

    def _plain(self, schema: Mapping[str, Any], path: str, held: tuple[Any] | None) -> Iterator[Goal]:
        for name, measure in LIMITS.items():
            if name in schema and (held is None or _measured(measure, held[0]) == schema[name]):
                yield "limit", path, f"{name} {schema[name]}"
        for value in schema.get("enum", ()):
            if held is None or held[0] == value:
                yield "branch", path, f"is {value!r}"
        names = schema.get("type", ())
        for name in () if isinstance(names, str) else names:
            if held is None or TYPES[name](held[0]):
                yield "branch", path, f"type {name}"

    def _below(
        self, schema: Mapping[str, Any], path: str, held: tuple[Any] | None, inside: set[str]
    ) -> Iterator[Goal]:
        for key, value in schema.get("properties", {}).items():
            if held is None:
                yield "key", f"{path}/{key}", "given"
                yield from self._reach(value, f"{path}/{key}", None, inside)
            elif isinstance(held[0], dict) and key in held[0]:
                yield "key", f"{path}/{key}", "given"
                yield from self._reach(value, f"{path}/{key}", (held[0][key],), inside)
        further = schema.get("additionalProperties")
        if isinstance(further, Mapping):
            known = schema.get("properties", {})
            given = held[0] if held is not None and isinstance(held[0], dict) else {}
            others = [(item,) for key, item in given.items() if key not in known]
            for one in [None] if held is None else others:
                yield from self._reach(further, f"{path}/*", one, inside)
        if "items" in schema:
            items = held[0] if held is not None and isinstance(held[0], list) else ()
            for one in [None] if held is None else [(item,) for item in items]:
                yield from self._reach(schema["items"], f"{path}/*", one, inside)

    def _holds(self, condition: Any, value: Any) -> bool:
        return bool(_validator(_frozen(condition)).is_valid(value))


def _measured(measure: Callable[[Any], Any], value: Any) -> Any:
    try:
        return measure(value)
    except TypeError:
        return None


def _frozen(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


@lru_cache(maxsize=4096)
def _validator(schema: str) -> Any:
    return jsonschema_rs.validator_for(json.loads(schema))


def _short(condition: Mapping[str, Any]) -> str:
    ((key, rule),) = condition.get("properties", {"type": {"const": condition.get("type")}}).items()
    return f"{key} {rule.get('const')!r}"


@dataclass
class Measured:
    """What one generator did."""

    name: str
    examples: int = 0
    seconds: float = 0.0
    taken: int = 0
    reached: set[Goal] = field(default_factory=set)
    violations: Counter[str] = field(default_factory=Counter)


def measure(name: str, drawn: st.SearchStrategy[Any], contract: Contract, examples: int) -> Measured:
    """Draw so many bodies and judge them; the first ones, which load tables, are not counted in the time."""
    bodies: list[Any] = []

    def draw(count: int) -> None:
        @seed(7)
        @settings(
            max_examples=count,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(drawn)
        def keep(body: Any) -> None:
            bodies.append(body)

        keep()

    draw(20)
    bodies.clear()
    start = time.process_time()
    draw(examples)
    result = Measured(name, len(bodies), time.process_time() - start)
    coverage = Coverage(contract.schema)
    for body in bodies:
        try:
            body = json.loads(json.dumps(body, allow_nan=False))
            found = {one.situation for one in contract.violations(body)}
        except (TypeError, ValueError):  # bytes, or what else JSON has no form for
            found = {"not JSON"}
        result.taken += not found
        result.reached |= coverage.reached(body)
        result.violations.update(found)
    return result


def generators(contract: Contract) -> Iterator[tuple[str, st.SearchStrategy[Any]]]:
    """Our generators and, where it is installed, schemathesis's, each by its name."""
    yield "onpaper, valid", strategies.request_bodies(contract)
    wrong = strategies.request_bodies(contract, valid=False)
    yield "onpaper, wrong", wrong.map(lambda one: one.body)
    try:
        import schemathesis  # type: ignore[import-not-found]
    except ImportError:
        return
    operation = schemathesis.openapi.from_dict(openapi(contract))["/chat"]["POST"]
    modes = schemathesis.GenerationMode
    for mode, name in ((modes.POSITIVE, "valid"), (modes.NEGATIVE, "wrong")):
        yield f"schemathesis, {name}", operation.as_strategy(generation_mode=mode).map(lambda case: case.body)


def openapi(contract: Contract) -> dict[str, Any]:
    """The contract's schema as an OpenAPI 3.1 description of one operation."""

    def moved(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: item.replace("#/$defs/", "#/components/schemas/") if key == "$ref" else moved(item)
                for key, item in value.items()
                if key not in ("$defs", "$schema")
            }
        return [moved(item) for item in value] if isinstance(value, list) else value

    content = {"application/json": {"schema": moved(contract.schema)}}
    operation = {
        "requestBody": {"required": True, "content": content},
        "responses": {"200": {"description": "ok"}},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": contract.name, "version": "1"},
        "paths": {"/chat": {"post": operation}},
        "components": {"schemas": moved(contract.schema["$defs"])},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--contract", default="openai")
    parser.add_argument("--examples", type=int, default=500)
    parser.add_argument("--keys", action="store_true", help="list what was never reached")
    chosen = parser.parse_args()
    contract = Contract.load(chosen.contract)
    goals = Coverage(contract.schema).goals
    table = Table(title=f"{chosen.examples} bodies for {contract.name}")
    kinds = ("key", "limit", "branch")
    columns = ("generator", "ms an example", "taken", *(f"{kind}s" for kind in ("key", "limit")), "branches")
    for column in (*columns, "kinds of violation"):
        table.add_column(column, justify="left" if column == "generator" else "right")
    missed: dict[str, set[Goal]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, drawn in generators(contract):
            one = measure(name, drawn, contract, chosen.examples)
            missed[name] = goals - one.reached
            counts = [
                f"{sum(goal[0] == kind for goal in one.reached)}/{sum(goal[0] == kind for goal in goals)}"
                for kind in kinds
            ]
            pace, taken = f"{one.seconds / one.examples * 1000:.2f}", f"{one.taken}/{one.examples}"
            table.add_row(name, pace, taken, *counts, str(len(one.violations)))
    console = Console()
    console.print(table)
    if chosen.keys:
        for name, goals_missed in missed.items():
            console.print(f"{name}: never reached {len(goals_missed)}")
            for kind, path, what in sorted(goals_missed):
                console.print(f"  {kind} {path} {what}", highlight=False, markup=False)


if __name__ == "__main__":
    main()
