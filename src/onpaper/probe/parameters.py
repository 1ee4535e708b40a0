"""Which body keys a provider takes, refuses or ignores, as its recorded answers show it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from onpaper.contract import Contract
from onpaper.probe.fact import Evidence, Fact, fact
from onpaper.probe.questions import ORDINARY, PARAMETERS, RULES, Effect, Parameter
from onpaper.wire.reading import fault_of

Finding = Literal["acted upon", "accepted", "ignored", "refused", "unclear"]
"""`acted upon`: its effect was seen; `accepted`: taken, and nothing speaks against it; `ignored`: no effect
where one would show, or neither value nor type matters; `unclear`: the server failed, which shows nothing."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What came of one key, the recording that shows it, and why."""

    key: str
    finding: Finding
    case: str
    why: str

    @property
    def taken(self) -> bool:
        return self.finding in ("acted upon", "accepted", "ignored")


def probed(evidence: Evidence) -> list[Probed]:
    """What is known of each key that was asked for, in the order of asking."""
    found: dict[str, Probed] = {}
    for key, case, effect in ORDINARY:
        asked = evidence.asked(case)
        if isinstance(asked, dict) and key in asked:
            found[key] = _judged(evidence, key, case, effect, None)
    for parameter in PARAMETERS:
        if evidence.reply(parameter.case) is not None:
            found[parameter.key] = _judged(
                evidence, parameter.key, parameter.case, parameter.effect, parameter
            )
    return list(found.values())


def _judged(evidence: Evidence, key: str, case: str, effect: Effect, parameter: Parameter | None) -> Probed:
    reply = evidence.reply(case)
    if evidence.refused(case):
        return Probed(key, "refused", case, f"answered with {reply.status if reply else 0}")
    if not evidence.answered(case):
        return Probed(key, "unclear", case, f"answered with {reply.status if reply else 0}")
    seen = effect(evidence, case)
    if seen is not None:
        if seen:
            return Probed(key, "acted upon", case, "its effect shows")
        return Probed(key, "ignored", case, "it has no effect where one would show")
    if evidence.refused("unknown-parameter"):
        return Probed(key, "accepted", case, "taken where an unknown key is refused; no effect can be seen")
    if parameter is not None and evidence.refused(parameter.wrong_case):
        return Probed(key, "accepted", case, f"a value of another type is refused ({parameter.wrong_case})")
    if parameter is not None and evidence.answered(parameter.wrong_case):
        return Probed(key, "ignored", parameter.wrong_case, "neither its value nor its type matters")
    return Probed(key, "accepted", case, "taken; no effect can be seen")


def parameter_facts(evidence: Evidence, base: Contract) -> Iterator[Fact]:
    """The `body` section of a draft that extends `base`."""
    findings = probed(evidence)
    if evidence.refused("unknown-parameter") or evidence.answered("unknown-parameter"):
        policy = "refuse" if evidence.refused("unknown-parameter") else "ignore"
        yield fact("body.unknown", policy, "unknown-parameter")
    if evidence.refused("unknown-nested") or evidence.answered("unknown-nested"):
        policy = "refuse" if evidence.refused("unknown-nested") else "ignore"
        yield fact("body.unknown_nested", policy, "unknown-nested")
    yield from _values(evidence)
    yield from _required(evidence)
    known = base.get("body.keys", {})
    unsupported = [
        one for one in findings if one.finding == "refused" and has_words_of_its_own(evidence, one)
    ]
    strict = evidence.refused("unknown-parameter")  # elsewhere an unknown key is ignored without being listed
    ignored = [one for one in findings if one.finding == "ignored" and (strict or one.key in known)]
    if unsupported:
        yield _listed("unsupported", unsupported, "with the value that was sent: ", verified=False)
    if ignored:
        guessed = any(one.case.endswith("-wrong-type") for one in ignored)
        yield _listed("ignored", ignored, verified=not guessed)
    for one in findings:
        if one.finding == "refused" and one not in unsupported and one.key in known:
            yield Fact(("body", "keys", one.key), False, one.case, one.why)
        elif one in ignored or one.finding in ("accepted", "acted upon"):
            schema = known.get(one.key) or {"type": _kind(_asked(evidence, one))}
            bounds = "; bounds as in the base, not probed" if one.key in known and len(schema) > 1 else ""
            yield Fact(("body", "keys", one.key), schema, one.case, one.why + bounds)
    yield from _rules(evidence, {one.key for one in findings if one.taken})


def _values(evidence: Evidence) -> Iterator[Fact]:
    """What happens to a value of another type, or out of range."""
    if evidence.answered("wrong-type"):
        yield fact("body.values", "ignore", "wrong-type")
    elif (
        evidence.refused("wrong-type")
        and evidence.answered("above-maximum")
        and evidence.answered("below-minimum")
    ):
        yield fact("body.values", "clamp", "above-maximum", "-1 is taken too")
    elif evidence.refused("wrong-type") and evidence.refused("above-maximum"):
        yield fact("body.values", "refuse", "above-maximum")


def _required(evidence: Evidence) -> Iterator[Fact]:
    cases = {"model": "missing-model", "messages": "missing-messages"}
    if all(evidence.refused(case) or evidence.answered(case) for case in cases.values()):
        required = [key for key, case in cases.items() if evidence.refused(case)]
        yield fact("body.required", required, "missing-model", "and missing-messages")


def _rules(evidence: Evidence, taken: set[str]) -> Iterator[Fact]:
    """The combinations that are refused although each of their keys is taken, with the words of it."""
    asked = [rule for rule in RULES if {rule.key, rule.needs or rule.excludes} <= taken]
    clear = [rule for rule in asked if evidence.refused(rule.case) or evidence.answered(rule.case)]
    if not clear:
        return
    held = [
        {"key": rule.key, **({"needs": rule.needs} if rule.needs else {"excludes": rule.excludes})}
        | {"message": words_of(evidence, rule.case)}
        for rule in clear
        if evidence.refused(rule.case)
    ]
    yield fact("body.rules", held, clear[0].case, ", ".join(rule.case for rule in clear[1:]))


def _listed(name: str, found: list[Probed], note: str = "", verified: bool = True) -> Fact:
    note += ", ".join(one.case for one in found)
    return fact(f"body.{name}", [one.key for one in found], found[0].case, note, verified)


def has_words_of_its_own(evidence: Evidence, one: Probed) -> bool:
    """Whether the refusal of a key is not the one that an unknown key gets: then the key is known."""
    if evidence.answered("unknown-parameter"):
        return True
    return shape_of_words(evidence, one.case) != shape_of_words(evidence, "unknown-parameter")


def shape_of_words(evidence: Evidence, case: str) -> tuple[int, str]:
    """Status and words of a refusal, with the names of the keys that were sent taken out."""
    words = words_of(evidence, case)
    asked = evidence.asked(case)
    for key in sorted(asked if isinstance(asked, dict) else (), key=len, reverse=True):
        words = words.replace(key, "{param}")
    reply = evidence.reply(case)
    return (reply.status if reply else 0), words


def words_of(evidence: Evidence, case: str) -> str:
    """What a refusal says."""
    reply = evidence.reply(case)
    body = reply.body if reply else b""
    fault = fault_of(_value(body))
    return fault.message if fault else body.decode("utf-8", "replace")


def _value(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _asked(evidence: Evidence, one: Probed) -> Any:
    asked = evidence.asked(one.case)
    return asked.get(one.key) if isinstance(asked, Mapping) else None


def _kind(value: Any) -> str:
    """The JSON Schema type of a value."""
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return kinds.get(type(value), "object")
