"""What a provider without a contract is asked beside the ordinary cases: its refusals, and each parameter.

Every question is a case like the others and gives a cassette. A parameter is asked for with a value that
should work; where unknown keys are ignored and no effect can be seen, also with a value of a wrong type: a
server that refuses that one looks at the key.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from onpaper.cassettes.cases import CASES, Case
from onpaper.probe.fact import Evidence

BODIES: Mapping[str, Any] = {case.name: case.body for case in CASES}
_OF = {case.name: case for case in CASES}
_HELLO = BODIES["chat"]

FIXED: tuple[Case, ...] = (
    Case("models-no-key", "the list of models without a key", None, path="models", key="none", provoked=True),
    Case("unknown-path", "a path that nobody serves", _HELLO, path="nowhere", provoked=True),
    Case(
        "missing-messages",
        "a body without messages",
        '{"model": "MODEL", "max_tokens": 16}',
        16,
        provoked=True,
    ),
    Case(
        "missing-model",
        "a body without a model",
        json.dumps({**_HELLO, "max_tokens": 16}),
        16,
        provoked=True,
    ),
    Case("empty-messages", "no message at all", {"messages": []}, 16, provoked=True),
    Case("wrong-type", "a text where a number belongs", {**_HELLO, "temperature": "hot"}, 16, provoked=True),
    Case("above-maximum", "a temperature of 99", {**_HELLO, "temperature": 99}, 16, provoked=True),
    Case("below-minimum", "a temperature of -1", {**_HELLO, "temperature": -1}, 16, provoked=True),
    Case(
        "unknown-nested",
        "a member that nobody knows inside a message",
        {"messages": [{**_HELLO["messages"][0], "frobnicate": 1}]},
        16,
        provoked=True,
    ),
)
"""The refusals that a contract has words for and the ordinary cases do not provoke."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A combination that some refuse: `key` without what it `needs`, or beside what it `excludes`."""

    case: str
    key: str
    body: Mapping[str, Any]
    needs: str = ""
    excludes: str = ""

    def question(self) -> Case:
        said = f"{self.key} without {self.needs}" if self.needs else f"{self.key} beside {self.excludes}"
        return Case(self.case, said, {**_HELLO, **self.body}, 16, provoked=True)


RULES: tuple[Rule, ...] = (
    Rule(
        "rule-stream-options", "stream_options", {"stream_options": {"include_usage": True}}, needs="stream"
    ),
    Rule("rule-tool-choice", "tool_choice", {"tool_choice": "auto"}, needs="tools"),
    Rule("rule-parallel-tool-calls", "parallel_tool_calls", {"parallel_tool_calls": True}, needs="tools"),
    Rule("rule-top-logprobs", "top_logprobs", {"top_logprobs": 2}, needs="logprobs"),
    Rule(
        "rule-limits",
        "max_tokens",
        {"max_tokens": 16, "max_completion_tokens": 16},
        excludes="max_completion_tokens",
    ),
)
"""The combinations that OpenAI refuses."""

Effect = Callable[[Evidence, str], bool | None]
"""Whether what a parameter does shows in the answer of a case: yes, no, or None where nobody could tell."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A body key to ask for, added to the request of the ordinary case `base`; `beside` is what it needs."""

    key: str
    value: Any
    wrong: Any = "hot"
    base: str = "chat"
    beside: Mapping[str, Any] = field(default_factory=dict)
    effect: Effect = lambda evidence, case: None

    @property
    def case(self) -> str:
        return "parameter-" + self.key.replace("_", "-")

    @property
    def wrong_case(self) -> str:
        return f"{self.case}-wrong-type"

    def question(self, wrong: bool = False) -> Case:
        """The case that asks for it."""
        base = _OF[self.base]
        value = self.wrong if wrong else self.value
        return Case(
            self.wrong_case if wrong else self.case,
            f"{self.key} = {json.dumps(value)}",
            {**BODIES[self.base], **self.beside, self.key: value},
            min(base.output, 64),
            base.marker,
            provoked=True,
        )


# ---- what can be seen in an answer ----


def _choices(evidence: Evidence, case: str) -> bool | None:
    value = evidence.json(case)
    choices = value.get("choices") if isinstance(value, dict) else None
    return isinstance(choices, list) and len(choices) == 2


def _logprobs(evidence: Evidence, case: str) -> bool | None:
    return bool(evidence.choice(case).get("logprobs"))


def _top_logprobs(evidence: Evidence, case: str) -> bool | None:
    found = evidence.choice(case).get("logprobs")
    content = found.get("content") if isinstance(found, dict) else None
    if not isinstance(content, list) or not content or not isinstance(content[0], dict):
        return False
    return len(content[0].get("top_logprobs") or ()) == 2


def _one_call(evidence: Evidence, case: str) -> bool | None:
    before, now = (len(evidence.message(name).get("tool_calls") or ()) for name in ("parallel-tools", case))
    return None if before < 2 or not now else now == 1


def _function_call(evidence: Evidence, case: str) -> bool | None:
    if not evidence.message("tools").get("tool_calls"):
        return None
    return bool(evidence.message(case).get("function_call"))


def _service_tier(evidence: Evidence, case: str) -> bool | None:
    return True if "service_tier" in (evidence.json(case) or ()) else None


def thoughts(message: Mapping[str, Any]) -> str:
    """What a message reasons, wherever it says so."""
    for name in ("reasoning_content", "reasoning"):
        if isinstance(message.get(name), str) and message[name]:
            return str(message[name])
    content = message.get("content")
    return content.partition("</think>")[0] if isinstance(content, str) and "</think>" in content else ""


def _no_thoughts(evidence: Evidence, case: str) -> bool | None:
    return None if not thoughts(evidence.message("reasoning")) else not thoughts(evidence.message(case))


def _limited(evidence: Evidence, case: str) -> bool | None:
    value = evidence.json(case)
    usage = value.get("usage") if isinstance(value, dict) else None
    count = usage.get("completion_tokens") if isinstance(usage, dict) else None
    if evidence.choice(case).get("finish_reason") == "length":
        return True
    return count <= _OF["max-tokens"].output if isinstance(count, int) else None


def _stopped(evidence: Evidence, case: str) -> bool | None:
    text = evidence.message(case).get("content")
    if not isinstance(text, str) or "alpha" not in text:
        return None
    return "gam" not in text


def _is_json(evidence: Evidence, case: str) -> bool | None:
    try:
        return isinstance(json.loads(str(evidence.message(case).get("content"))), dict)
    except ValueError:
        return False


def _called(evidence: Evidence, case: str) -> bool | None:
    return True if evidence.message(case).get("tool_calls") else None


def _must_call(evidence: Evidence, case: str) -> bool | None:
    return bool(evidence.message(case).get("tool_calls"))


def _streams(evidence: Evidence, case: str) -> bool | None:
    reply = evidence.reply(case)
    return reply is not None and "event-stream" in (reply.header("content-type") or "")


def _counts(evidence: Evidence, case: str) -> bool | None:
    asked, unasked = (evidence.reply(name) for name in (case, "chat-stream"))
    if asked is None or unasked is None:
        return None
    shown = b'"completion_tokens"' in asked.body
    return None if shown and b'"completion_tokens"' in unasked.body else shown


ORDINARY: tuple[tuple[str, str, Effect], ...] = (
    ("max_tokens", "max-tokens", _limited),
    ("max_completion_tokens", "max-tokens", _limited),
    ("stop", "stop", _stopped),
    ("tools", "tools", _called),
    ("tool_choice", "named-tool-choice", _must_call),
    ("response_format", "json-output", _is_json),
    ("stream", "chat-stream", _streams),
    ("stream_options", "stream-usage", _counts),
)
"""Parameters that an ordinary case asks for: key, case, effect. Of the two limits the case has one."""

_COUNT = {"messages": BODIES["max-tokens"]["messages"]}
_THINKING = {"type": "disabled"}
_FUNCTIONS = [tool["function"] for tool in BODIES["tools"]["tools"]]

PARAMETERS: tuple[Parameter, ...] = (
    Parameter("temperature", 0.5),
    Parameter("top_p", 0.9),
    Parameter("presence_penalty", 0.1),
    Parameter("frequency_penalty", 0.1),
    Parameter("seed", 7),
    Parameter("n", 2, effect=_choices),
    Parameter("logit_bias", {"1": -1}),
    Parameter("logprobs", True, effect=_logprobs),
    Parameter("top_logprobs", 2, beside={"logprobs": True}, effect=_top_logprobs),
    Parameter("max_tokens", 5, beside=_COUNT, effect=_limited),
    Parameter("max_completion_tokens", 5, beside=_COUNT, effect=_limited),
    Parameter("parallel_tool_calls", False, base="parallel-tools", effect=_one_call),
    Parameter(
        "functions", _FUNCTIONS, beside={"messages": BODIES["tools"]["messages"]}, effect=_function_call
    ),
    Parameter("user", "onpaper", wrong={}),
    Parameter("safety_identifier", "onpaper", wrong={}),
    Parameter("prompt_cache_key", "onpaper", wrong={}),
    Parameter("metadata", {"probe": "1"}),
    Parameter("store", False),
    Parameter("service_tier", "auto", wrong={}, effect=_service_tier),
    Parameter("reasoning_effort", "low", wrong={}),
    Parameter("verbosity", "low", wrong={}),
    Parameter("modalities", ["text"]),
    Parameter("prediction", {"type": "content", "content": "Hello"}),
    Parameter("top_k", 5),
    Parameter("min_p", 0.05),
    Parameter("repetition_penalty", 1.05),
    Parameter("chat_template_kwargs", {"enable_thinking": False}, base="reasoning", effect=_no_thoughts),
    Parameter("enable_thinking", False, base="reasoning", effect=_no_thoughts),
    Parameter("thinking", _THINKING, base="reasoning", effect=_no_thoughts),
    Parameter("reasoning", {"effort": "low"}, base="reasoning"),
    Parameter("include_reasoning", False, base="reasoning", effect=_no_thoughts),
)
"""The keys that are asked for one by one: OpenAI's, and those of engines and other clouds."""


def questions(limit_key: str) -> Iterator[Case]:
    """Everything to ask beside the ordinary cases; `limit_key` is the limit that those use."""
    yield from FIXED
    yield from (rule.question() for rule in RULES)
    yield from (parameter.question() for parameter in PARAMETERS if parameter.key != limit_key)


def follow_ups(evidence: Evidence) -> Iterator[Case]:
    """What to ask again with a wrong type: keys taken where unknown ones are, that show no effect."""
    if not evidence.answered("unknown-parameter"):
        return
    for parameter in PARAMETERS:
        if evidence.answered(parameter.case) and parameter.effect(evidence, parameter.case) is None:
            yield parameter.question(wrong=True)
