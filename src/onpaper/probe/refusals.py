"""How a provider refuses: the envelope of its errors and the words of each situation, from recordings."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from onpaper.cassettes.recorder import NO_PATH
from onpaper.exchange import Reply
from onpaper.probe.fact import Evidence, Fact, fact, literal
from onpaper.probe.parameters import has_words_of_its_own, probed
from onpaper.probe.questions import RULES

_HIDDEN = re.compile(r"REDACTED\**")

SITUATIONS: dict[str, tuple[str, dict[str, str]]] = {
    "missing_key": ("no-key", {}),
    "wrong_key": ("bad-key", {}),
    "unknown_parameter": ("unknown-parameter", {"frobnicate": "{param}"}),
    "unknown_nested": ("unknown-nested", {"messages[0].frobnicate": "{param}", "frobnicate": "{name}"}),
    "missing_parameter": ("missing-messages", {"messages": "{param}"}),
    "missing_model": ("missing-model", {}),
    "empty_messages": ("empty-messages", {"messages": "{param}"}),
    "invalid_type": ("wrong-type", {"temperature": "{param}", "hot": "{value}"}),
    "above_maximum": ("above-maximum", {"temperature": "{param}", "99": "{value}"}),
    "below_minimum": ("below-minimum", {"temperature": "{param}", "-1": "{value}"}),
    "malformed_json": ("malformed-body", {}),
    "unknown_model": ("unknown-model", {"no-such-model": "{model}"}),
    "unknown_path": ("unknown-path", {}),
    "context_length": ("context-overflow", {}),
}
"""The situations of a contract: the case that provokes each, and what of its words are quotations."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A recorded refusal taken apart: `envelope` is its body with placeholders for its `members`."""

    situation: str
    case: str
    status: int
    content_type: str
    envelope: Any
    members: Mapping[str, Any]


def refusal_facts(evidence: Evidence) -> Iterator[Fact]:
    """The `auth`, `models.unknown` and `errors` sections of a draft."""
    yield from _auth(evidence)
    if evidence.refused("unknown-model") or evidence.answered("unknown-model"):
        yield fact(
            "models.unknown", "refuse" if evidence.refused("unknown-model") else "serve", "unknown-model"
        )
    refusals = list(_refusals(evidence))
    if not refusals:
        return
    usual = _usual(json.dumps(one.envelope) for one in refusals)
    kind = _usual(one.content_type for one in refusals)
    seen = next(one for one in refusals if json.dumps(one.envelope) == usual)
    yield fact("errors.envelope", seen.envelope, seen.case)
    if kind != "application/json":
        yield fact(
            "errors.content_type", kind, next(one.case for one in refusals if one.content_type == kind)
        )
    for one in refusals:
        told: dict[str, Any] = {"status": one.status, **one.members}
        if json.dumps(one.envelope) != usual:
            told["envelope"] = one.envelope
        if one.content_type != kind:
            told["content_type"] = one.content_type
        yield fact(f"errors.{one.situation}", told, one.case)


def _auth(evidence: Evidence) -> Iterator[Fact]:
    if evidence.refused("no-key") or evidence.answered("no-key"):
        yield fact("auth.required", evidence.refused("no-key"), "no-key")
    if evidence.answered("bad-key"):
        yield fact("auth.checked", False, "bad-key")
    if evidence.refused("no-key") and evidence.answered("models-no-key"):
        yield fact("auth.models_open", True, "models-no-key")


def _usual(values: Any) -> str:
    return str(Counter(values).most_common(1)[0][0])


def _refusals(evidence: Evidence) -> Iterator[Refusal]:
    for situation, (case, quotes) in SITUATIONS.items():
        if evidence.refused(case):
            yield _taken_apart(evidence, situation, case, quotes)
    for rule in RULES:
        if evidence.refused(rule.case):
            yield _taken_apart(evidence, "broken_rule", rule.case, {}, "{reason}")
            break
    for one in probed(evidence):
        if one.finding == "refused" and has_words_of_its_own(evidence, one):
            yield _taken_apart(evidence, "unsupported_parameter", one.case, {one.key: "{param}"})
            break


def _taken_apart(
    evidence: Evidence, situation: str, case: str, quotes: Mapping[str, str], words: str = ""
) -> Refusal:
    reply = evidence.reply(case)
    assert reply is not None
    if situation != "unknown_model" and len(evidence.model) > 3:
        quotes = {**quotes, evidence.model: "{model}"}
    if situation == "unknown_path":
        quotes = {**quotes, _path(evidence, case): "{path}", "POST": "{method}"}
    members: dict[str, Any] = {}
    value = _value(reply)
    if isinstance(value, str):
        envelope: Any = "{message}"
        members["message"] = words or _quoting(value, quotes)
    else:
        envelope = _envelope(value, members, reply.status)
        if isinstance(members.get("message"), str):
            members["message"] = words or _quoting(members["message"], quotes)
        if isinstance(members.get("param"), str):
            members["param"] = _quoting(members["param"], quotes)
    kind = reply.header("content-type") or ""
    return Refusal(situation, case, reply.status, kind, envelope, members)


def _path(evidence: Evidence, case: str) -> str:
    cassette = evidence.cassettes[case]
    path = cassette.exchanges[0].request.path
    return path if path.endswith(NO_PATH) else NO_PATH


def _value(reply: Reply) -> Any:
    """The body as JSON, or as text."""
    text = reply.body.decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, (dict, list)) else text


def _envelope(value: Any, members: dict[str, Any], status: int) -> Any:
    """The body as a template; what it says goes into `members`."""
    if isinstance(value, list):
        return [_envelope(value[0], members, status), *map(literal, value[1:])] if value else []
    if not isinstance(value, dict):
        return literal(value)
    template = {}
    for name, item in value.items():
        if name in ("error", "errors") and isinstance(item, (dict, list)) and not members:
            template[name] = _envelope(item, members, status)
        elif name in ("message", "detail", "error") and isinstance(item, str) and "message" not in members:
            members["message"], template[name] = item, "{message}"
        elif (
            name in ("type", "code", "param")
            and name not in members
            and isinstance(item, (str, int, type(None)))
        ):
            template[name] = f"{{{name}}}"
            if item is not None and not isinstance(item, bool):
                members[name] = item
        elif item == status and not isinstance(item, bool):
            template[name] = "{status}"
        else:
            template[name] = literal(item)
    return template


def _quoting(text: str, quotes: Mapping[str, str]) -> str:
    """Words with what they quote put as placeholders, the longest first."""
    text = _HIDDEN.sub("{key}", text)
    for said in sorted(quotes, key=len, reverse=True):
        text = re.sub(rf"(?<![\w-]){re.escape(said)}(?![\w-])", quotes[said], text)
    return text
