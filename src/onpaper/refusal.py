"""What a strict provider refuses in a request body: the situation of its contract, and what its words may
quote.

No I/O and no bytes: `onpaper.wire.complaint` puts a refusal into the provider's words.
"""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from onpaper import validators
from onpaper.body import Violation
from onpaper.contract import Contract

TYPES = {
    str: "string",
    bool: "bool",
    int: "number",
    float: "number",
    list: "array",
    dict: "object",
    type(None): "null",
}
"""What Go's JSON decoder calls the types, as servers written in it quote them."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A situation of the contract, and the values that its message and envelope may quote."""

    situation: str
    quoted: Mapping[str, Any] = field(default_factory=dict)


def refusal(contract: Contract, body: Any, policy: str = "", raw: bytes | None = None) -> Refusal | None:
    """The first thing that the provider refuses in a body, or None when it takes it.

    `raw` is the body as it came; without it, it is as a gateway writes it anew. `policy` is what the request says about
    unknown keys where the provider lets it (`drop`, `pass-through`).
    """
    for violation in sorted(contract.violations(body), key=_order):
        if violation.situation == "unknown_parameter":
            if _unknown(contract, violation, policy) != "refuse":
                continue
        elif _tolerates(contract, violation) or _takes_null(contract, violation, body):
            continue
        return Refusal(_situation(contract, violation), quotes(contract, violation, body, raw))
    if contract.get("body.turns") == "alternate" and not _alternates(body):
        return Refusal("broken_turns")
    return None


def _alternates(body: Any) -> bool:
    """Whether after the system's messages the model speaks every other time."""
    turns = [message["role"] == "assistant" for message in body["messages"] if message["role"] != "system"]
    return all(one != other for one, other in itertools.pairwise(turns))


def _order(violation: Violation) -> tuple[int, str]:
    """Providers look for missing keys first, then for unknown ones, then at values."""
    order = {"missing_parameter": 0, "unsupported_parameter": 1, "unknown_parameter": 1}
    return order.get(violation.situation, 2), violation.pointer


def _unknown(contract: Contract, violation: Violation, policy: str) -> str:
    nested = _is_nested(violation)
    if not nested and contract.get("body.unknown_header") and policy in ("drop", "pass-through"):
        return "ignore"
    own = contract.get("body.unknown_nested") if nested else None
    return str(own or contract.get("body.unknown", "refuse"))


def _is_nested(violation: Violation) -> bool:
    return "/" in violation.pointer[1:]


def _tolerates(contract: Contract, violation: Violation) -> bool:
    """Whether a value outside its range or type is taken all the same: `clamp` means its range only."""
    policy = contract.get("body.values", "refuse")
    if violation.situation == "empty_array" and violation.param != "messages":
        return policy == "ignore" or takes_empty(contract, violation)
    if violation.situation in ("above_maximum", "below_minimum"):
        return policy in ("clamp", "ignore")
    return policy == "ignore" and violation.situation not in ("missing_parameter", "unsupported_parameter")


def takes_empty(contract: Contract, violation: Violation) -> bool:
    """Whether a value is an empty list that the provider takes as if its key were left out."""
    empty = violation.situation == "empty_array" and violation.param != "messages"
    return empty and contract.get("body.empty_arrays") == "accept"


def _takes_null(contract: Contract, violation: Violation, body: Any) -> bool:
    """Whether a value is a null that counts as if its key were left out: a key that is needed has no such null."""
    if violation.value is not None or violation.situation not in ("invalid_type", "invalid_value"):
        return False
    where = re.sub(r"\[\d+\]", "[]", violation.param)
    if contract.get("body.nulls", "accept") != "accept" or where in contract.get("body.not_null", ()):
        return False
    *above, key = [step.replace("~1", "/").replace("~0", "~") for step in violation.pointer.split("/")[1:]]
    rest = holder = copy.deepcopy(body)
    for step in above:
        holder = holder[int(step) if isinstance(holder, list) else step]
    if not isinstance(holder, dict) or key not in holder:
        return False
    del holder[key]
    return all(
        one.situation != "missing_parameter" or one.param != violation.param for one in contract.violations(rest)
    )


def _situation(contract: Contract, violation: Violation) -> str:
    """The situation of the contract that a violation is: the closest one that it has words for."""
    finer = violation.situation
    if finer == "missing_parameter" and violation.param == "model":
        finer = "missing_model"
    elif finer == "unknown_parameter" and _is_nested(violation):
        finer = "unknown_nested"
    elif finer == "empty_array" and violation.param == "messages":
        finer = "empty_messages"
    elif violation.keyword in ("enum", "const"):
        finer = "unlisted_value"
    elif violation.pointer == "/" and violation.keyword == "type":
        finer = "not_an_object"
    for situation in (finer, violation.situation):
        if contract.get(f"errors.{situation}"):
            return situation
    return "invalid_value"


def quotes(contract: Contract, violation: Violation, body: Any, raw: bytes | None) -> dict[str, Any]:
    """What a provider's words may quote of a violation; the names are those of the placeholders in a
    contract."""
    where = _parts(violation.param)
    name = str(where[-1]) if where else ""
    if raw is None:
        raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    steps = [str(step) for step in where]
    kind, words = validators.pydantic(violation)
    return {
        "param": violation.param,
        "name": name,
        "inside": ".".join(str(part) for part in where[:-1]) or None,
        "at_inside": f" at '{_dotted(where[:-1])}'" if where[:-1] else "",
        "loc": ["body", *where],
        "dotted": ".".join(steps),
        "place": ".".join(["body", *steps]),
        "arrows": " -> ".join(["body", *steps]),
        "role": _role(where, body),
        "title": name[:1].upper() + name[1:],
        "camel": re.sub(r"_(\w)", lambda found: found[1].upper(), name),
        "value": violation.value
        if isinstance(violation.value, str)
        else json.dumps(violation.value, ensure_ascii=False),
        "number": f"{violation.value:g}" if isinstance(violation.value, float) else str(violation.value),
        "brief": _brief(violation.value),
        "json_value": violation.value,
        "json_type": TYPES.get(type(violation.value), "object"),
        "json_body": body,
        "members": len(body) if isinstance(body, dict) else 0,
        "reason": validators.plain(violation),
        "expected": validators.expected(violation, contract.get("errors.types", {})),
        "got": validators.got(violation),
        "allowed": validators.allowed(violation, contract.get("errors.allowed", {})),
        "pydantic_kind": kind,
        "pydantic": words,
        "serde": validators.serde(violation),
        "nlohmann": validators.nlohmann(violation),
        "limit": violation.limit,
        "range": _range(violation.schema),
        "minimum": violation.schema.get("minimum"),
        "maximum": violation.schema.get("maximum"),
        "rule_code": violation.code,
        "hint": _hint(name, contract),
        "column": column(raw),
        "instead": _instead(name, contract),
        "item": re.sub(r"(\[\d+\]).*", r"\1", violation.param),
    }


def column(raw: bytes) -> int:
    """Where a JSON text ends: the bytes of its last line, as serde_json counts them."""
    return len(raw.rstrip(b" \t\r\n").rpartition(b"\n")[2])


def _parts(param: str) -> list[str | int]:
    """`messages[2].name` as `["messages", 2, "name"]`."""
    return [int(part) if part.isascii() and part.isdigit() else part for part in re.split(r"[.\[\]]+", param) if part]


def _dotted(parts: list[str | int]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".")


def _range(schema: Mapping[str, Any]) -> str:
    """The bounds of a number in words."""
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"between {low} and {high}"
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    bounds = (("at least", low), ("at most", high), (">", above), ("<", below))
    return " and ".join(f"{word} {bound}" for word, bound in bounds if bound is not None)


def _brief(value: Any) -> str:
    """A value as text, a list or an object by its length."""
    if isinstance(value, (list, dict)):
        return f"<{type(value).__name__} of {len(value)} items>"
    return str(value)


def unparsed(contract: Contract, body: bytes) -> str:
    """The situation of a body that is not JSON."""
    return "empty_body" if not body.strip() and contract.get("errors.empty_body") else "malformed_json"


def _role(where: list[str | int], body: Any) -> str:
    try:
        return str(body["messages"][where[1]]["role"]) if where[0] == "messages" else ""
    except (LookupError, TypeError):
        return ""


def _hint(name: str, contract: Contract) -> str:
    """The accepted key that is nearest, if one or two edits lead to it."""
    near = sorted((_distance(name, key), key) for key in contract.keys)
    return f", did you mean '{near[0][1]}'?" if near and near[0][0] <= 2 else ""


def _instead(name: str, contract: Contract) -> str:
    """The key that the provider takes in place of one that it refuses."""
    other = contract.get("body.instead", {}).get(name)
    return f" Use '{other}' instead." if other else ""


def _distance(left: str, right: str) -> int:
    """The edit distance of Levenshtein."""
    row = list(range(len(right) + 1))
    for number, one in enumerate(left, 1):
        before, row[0] = row[0], number
        for at, other in enumerate(right, 1):
            before, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, before + (one != other))
    return row[-1]
