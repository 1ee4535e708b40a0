"""What a provider is asked when it is recorded: one `Case` for each thing that a client has to understand.

A case says what to send and what it may cost; it names no provider. The prompts work on any model. Each also
has a `marker` for the lab's scripted model, which answers every marker with a known text (see `recipes/`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from onpaper.cassettes.cassette import CassetteError
from onpaper.errors import nearest

Key = Literal["right", "wrong", "none"]
LIMITS = frozenset({"max_tokens", "max_completion_tokens"})
"""The members that bound the tokens of a reply."""


@dataclass(frozen=True, slots=True)
class Case:
    """One request to record.

    `body` holds the members of the JSON body beside `model`, or is exact text when the request is to be
    malformed, or None for a GET. `path` says which of the provider's paths is asked. `output` is the number
    of tokens that the reply may have at most. A `provoked` request is meant to be refused, and costs nothing
    where it is. `marker` is the scripted model's, in front of the prompt. `scripted` cases make sense with
    that model only.
    """

    name: str
    summary: str
    body: Mapping[str, Any] | str | None
    output: int = 0
    marker: str = ""
    path: Literal["chat", "models", "nowhere"] = "chat"
    key: Key = "right"
    model: str = ""
    provoked: bool = False
    scripted: bool = False

    def content(self, model: str, limit_key: str = "max_tokens", scripted: bool = False) -> bytes:
        """The body as it is sent, in bytes.

        `model` is the model's name, `limit_key` the member that bounds the reply's tokens (`max_tokens` or
        `max_completion_tokens`, as the provider has it); with `scripted` the marker goes in.
        """
        if self.body is None:
            return b""
        if isinstance(self.body, str):
            return self.body.replace("MODEL", self.model or model).encode("utf-8")
        body: dict[str, Any] = {"model": self.model or model, **self.body}
        if scripted and self.marker:
            body["messages"] = _marked(body["messages"], self.marker)
        if self.output and LIMITS.isdisjoint(body):
            body[limit_key] = self.output
        return json.dumps(body, ensure_ascii=False).encode("utf-8")

    @property
    def tokens(self) -> int:
        """More tokens than the case can cost, in and out: no token is shorter than a byte."""
        return len(self.content("")) + self.output if self.path == "chat" else 0


@dataclass(frozen=True, slots=True)
class Bill:
    """What recording some cases may cost, in requests and in tokens at most.

    `refused` is the part of the tokens that is due only if the server accepts what it is meant to refuse.
    """

    requests: int
    tokens: int
    refused: int


def bill(cases: Iterable[Case]) -> Bill:
    """The bill for recording these cases once."""
    cases = tuple(cases)
    refused = sum(case.tokens for case in cases if case.provoked)
    return Bill(len(cases), sum(case.tokens for case in cases), refused)


def select(names: Iterable[str] = (), context: int | None = None, scripted: bool = False) -> tuple[Case, ...]:
    """The cases of these names in the order of the list; with no name, all that can be asked.

    `context` is the size of the model's context window in tokens; without it the case that overflows it is
    left out. With `scripted` the cases for the scripted model are included. Raises CassetteError for an
    unknown name.
    """
    known = {case.name: case for case in CASES}
    if context:
        known["context-overflow"] = _overflow(context)
    wanted = tuple(names) or tuple(name for name, case in known.items() if scripted or not case.scripted)
    for name in wanted:
        if name == "context-overflow" and not context:
            raise CassetteError("the case 'context-overflow' needs the size of the context window in tokens")
        if name not in known:
            raise CassetteError(f"there is no case {name!r}{nearest(name, known, listed='')}")
    return tuple(case for name, case in known.items() if name in wanted)


def _user(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def _marked(messages: list[dict[str, Any]], marker: str) -> list[dict[str, Any]]:
    """The messages with the marker in front of the last one, which the model looks at."""
    *before, last = messages
    return [*before, {**last, "content": f"[[{marker}]] {last['content']}"}]


_USAGE: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
_WEATHER: dict[str, Any] = {
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "description": "The weather in a city now.",
                "parameters": {
                    "type": "object",
                    "properties": {"city": {"type": "string"}},
                    "required": ["city"],
                },
            },
        }
    ]
}
_HELLO = {"messages": _user("Say hello in one short sentence.")}
_PARIS = {"messages": _user("What is the weather in Paris? Use the tool."), **_WEATHER}
_TWO_CITIES = {
    "messages": _user("What is the weather in Oslo and in Paris? Use the tool for each."),
    **_WEATHER,
}
_THINK = {"messages": _user("What is six times seven? Think first, then answer in a few words.")}
_SCHEMA = {
    "name": "verdict",
    "strict": True,
    "schema": {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}},
        "required": ["ok"],
        "additionalProperties": False,
    },
}
_JSON = {"messages": _user('Answer with the JSON object {"ok": true} and nothing else.')}
_COUNT = {"messages": _user("Repeat exactly: alpha beta gamma delta epsilon zeta")}
_UNICODE = {"messages": _user("Repeat exactly: café and 🎉 party 日本 end")}
_AFTER_TOOL = {
    "messages": [
        {"role": "user", "content": "What is the weather in Paris?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ],
    **_WEATHER,
}
_NAMED = {"tool_choice": {"type": "function", "function": {"name": "get_weather"}}}

CASES: tuple[Case, ...] = (
    Case("models", "the list of models", None, path="models"),
    Case("chat", "a plain reply", _HELLO, 64, "chat"),
    Case("chat-stream", "a stream without usage", {**_HELLO, "stream": True}, 64, "chat"),
    Case("stream-usage", "a stream with usage", {**_HELLO, **_USAGE}, 64, "chat"),
    Case("tools", "a tool call", _PARIS, 128, "tool"),
    Case("tool-stream", "a tool call in a stream", {**_PARIS, **_USAGE}, 128, "tool"),
    Case("parallel-tools", "two tool calls in one reply", _TWO_CITIES, 192, "tools2"),
    Case("parallel-tool-stream", "two tool calls in a stream", {**_TWO_CITIES, **_USAGE}, 192, "tools2"),
    Case(
        "text-then-tool-stream",
        "text before a tool call",
        {**_PARIS, **_USAGE},
        192,
        "pretool",
        scripted=True,
    ),
    Case("named-tool-choice", "a tool that must be called", {**_PARIS, **_NAMED}, 128, "tool"),
    Case("tool-result", "a stream after a tool's result", {**_AFTER_TOOL, **_USAGE}, 64),
    Case("json-output", "a JSON object", {**_JSON, "response_format": {"type": "json_object"}}, 64, "json"),
    Case(
        "json-schema",
        "JSON by a schema",
        {**_JSON, "response_format": {"type": "json_schema", "json_schema": _SCHEMA}},
        64,
        "json",
    ),
    Case(
        "sampling",
        "the usual sampling parameters",
        {
            **_HELLO,
            "temperature": 0,
            "top_p": 0.9,
            "presence_penalty": 0.1,
            "frequency_penalty": 0.1,
            "seed": 7,
        },
        64,
        "chat",
    ),
    Case("stop", "a stop sequence", {**_COUNT, "stop": ["gam"]}, 64, "count"),
    Case("stop-stream", "a stop sequence in a stream", {**_COUNT, "stop": ["gam"], **_USAGE}, 64, "count"),
    Case("max-tokens", "a reply cut by its limit", _COUNT, 5, "loop"),
    Case("max-tokens-stream", "a stream cut by its limit", {**_COUNT, **_USAGE}, 5, "loop"),
    Case("unicode", "letters beyond ASCII", _UNICODE, 64, "utf8"),
    Case("unicode-stream", "letters beyond ASCII in a stream", {**_UNICODE, **_USAGE}, 64, "utf8"),
    Case(
        "escapes-stream", "line ends and framing in text", {**_HELLO, **_USAGE}, 64, "escapes", scripted=True
    ),
    Case("empty-stream", "a stream without text", {**_HELLO, **_USAGE}, 64, "empty", scripted=True),
    Case("reasoning", "thoughts and an answer", _THINK, 256, "think"),
    Case("reasoning-stream", "thoughts and an answer in a stream", {**_THINK, **_USAGE}, 256, "think"),
    Case("bad-key", "a key that is wrong", _HELLO, 16, key="wrong", provoked=True),
    Case("no-key", "no key at all", _HELLO, 16, key="none", provoked=True),
    Case("unknown-parameter", "a member nobody knows", {**_HELLO, "frobnicate": 1}, 16, provoked=True),
    Case(
        "engine-parameters",
        "members of the local engines, which a cloud does not know",
        {**_THINK, "top_k": 5, "chat_template_kwargs": {"enable_thinking": False}},
        256,
        "think",
        provoked=True,
    ),
    Case(
        "unsupported-parameter",
        "a member that only some models take",
        {**_HELLO, "verbosity": "low"},
        16,
        provoked=True,
    ),
    Case("unknown-model", "a model nobody has", _HELLO, 16, model="no-such-model", provoked=True),
    Case(
        "unknown-model-stream",
        "a stream from a model nobody has",
        {**_HELLO, "stream": True},
        16,
        model="no-such-model",
        provoked=True,
    ),
    Case("malformed-body", "JSON that ends too early", '{"model": "MODEL", "messages": [', provoked=True),
)
"""All cases but the overflow of the context window, which depends on its size. In the order of recording."""


def _overflow(context: int) -> Case:
    """A prompt of a few more one-token words than the context window holds."""
    prompt = {"messages": _user(" hello" * (context + context // 32 + 16))}
    return Case("context-overflow", "a prompt that is too long", prompt, 16, provoked=True)
