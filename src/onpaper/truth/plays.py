"""All that a contract can say, as exchanges: a fixed set of mocks and requests, answered by it and its
variants.

The set is provider-neutral: text, tools, reasoning, refusal, errors before and inside a stream, usage asked
for or not, several choices; and the requests that a strict provider refuses.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from onpaper.answer import UNKNOWN_MODEL, Provider
from onpaper.contract import Contract
from onpaper.exchange import Chunk, Exchange, Reply, Request
from onpaper.mock import Call, Mock, Say, Trouble

KEY = "sk-onpaper"
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}
ADD, SUM = Call("add", ('{"a":', " 1}")), Call("sum", ('{"b":', " 2}"))
NO_ARGUMENTS, EMPTY_ARGUMENTS = Call("now", ("{}",)), Call("now", ("",))

SAYS: dict[str, Say] = {
    "text": Say(text=("Hel", "lo", "!")),
    "one piece": Say(text=("Hello",)),
    "no text": Say(),
    "length": Say(text=("Hel", "lo"), finish="length"),
    "content filter": Say(text=("Hel", "lo"), finish="content_filter"),
    "refusal": Say(refusal=("I ", "cannot.")),
    "tool": Say(tool_calls=(ADD,)),
    "tool without arguments": Say(tool_calls=(NO_ARGUMENTS,)),
    "tool with empty arguments": Say(tool_calls=(EMPTY_ARGUMENTS,)),
    "tools": Say(tool_calls=(ADD, SUM)),
    "text and tool": Say(text=("Let ", "me"), tool_calls=(ADD,)),
    "reasoning": Say(reasoning=("So", ", "), text=("Hel", "lo")),
    "reasoning and tool": Say(reasoning=("So", ", "), tool_calls=(ADD,)),
    "reasoning, text and tool": Say(reasoning=("So", ", "), text=("Let ", "me"), tool_calls=(ADD,)),
    "reasoning alone": Say(reasoning=("So", ", ")),
    "reasoning cut short": Say(reasoning=("So", ", "), finish="length"),
    "tool cut short": Say(tool_calls=(Call("add", ('{"a":',)),), finish="length"),
    "no usage": Say(text=("Hel", "lo"), usage=None),
    "error in a stream": Say(text=("Hel", "lo"), error=Trouble("server_error", pieces=1)),
    "error at the start of a stream": Say(text=("Hel", "lo"), error=Trouble("server_error", pieces=0)),
}

STREAMED: tuple[dict[str, Any], ...] = (
    {"stream": False},
    {"stream": True},
    {"stream": True, "stream_options": {"include_usage": True}},
    {"stream": True, "stream_options": {"include_usage": True, "continuous_usage_stats": True}},
)
ASKED: tuple[dict[str, Any], ...] = (
    {},
    {"n": 2},
    {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "add"}}},
    {"response_format": {"type": "json_object"}},
)


def played(contract: Contract) -> Iterator[Exchange]:
    """Every exchange of the set, with the contract and each of its variants."""
    for one in (contract, *(contract.variant(name) for name in contract.variants)):
        yield from _replies(one)
        yield from _refusals(one)


def request(
    contract: Contract, body: Any, *, path: str = "", key: str = KEY, method: str = "POST"
) -> Request:
    """A request as a client of that provider sends it; the key in the provider's own header."""
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    headers = ((contract.auth_header, contract.auth_value(key)),) if key else ()
    return Request(method, path or _filled(contract.chat_path), headers, raw)


def answered(provider: Provider, asked: Request, source: str = "") -> Exchange:
    """The exchange of a request and the script of its answer."""
    script = provider(asked)
    reply = Reply(script.status, script.headers, (Chunk(0.0, script.body),), script.end)
    return Exchange(asked, reply, source=source or provider.contract.name)


def _filled(path: str) -> str:
    return path.replace("{model}", "gpt-4o-mini") if "{" in path else path


def _replies(contract: Contract) -> Iterator[Exchange]:
    for say in SAYS.values():
        provider = Provider(contract, Mock("truth", "", (say,)), strict=False)
        for model in provider.models[:2]:
            for extra in ASKED if model == provider.models[0] else ({},):
                for streamed in STREAMED:
                    body = {
                        "model": model,
                        "messages": [{"role": "user", "content": "hi"}],
                        **extra,
                        **streamed,
                    }
                    yield answered(provider, request(contract, body))


def _refusals(contract: Contract) -> Iterator[Exchange]:
    good = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
    strict = Provider(contract, Mock("truth", "", (Say(text=("Hi",)),)), key=KEY)
    for body in bad_bodies(contract, good):
        yield answered(strict, request(contract, body))
    yield answered(strict, request(contract, good, key=""))
    yield answered(strict, request(contract, good, key="sk-wrong"))
    yield answered(strict, request(contract, good, path="/no/such/path"))
    yield answered(strict, request(contract, None, path=_filled(contract.models_path), method="GET"))
    for situation in contract.get("errors", {}):
        if isinstance(contract.get(f"errors.{situation}.status"), int):
            say = Say(error=Trouble(situation, retry_after=2 if situation == "rate_limit" else None))
            yield answered(
                Provider(contract, Mock("truth", "", (say,)), strict=False), request(contract, good)
            )


def bad_bodies(contract: Contract, good: dict[str, Any]) -> Iterator[Any]:
    """Bodies that break a contract, one way each: bytes for what is not JSON."""
    yield b'{"model": '
    yield {key: value for key, value in good.items() if key != "messages"}
    yield {key: value for key, value in good.items() if key != "model"}
    yield good | {"messages": []}
    yield good | {"messages": "hi"}
    yield good | {"messages": [{"role": "nobody", "content": "hi"}]}
    yield good | {"messages": [*good["messages"], {"role": "assistant", "content": "x", "mood": "fine"}]}
    yield good | {"no_such_parameter": 1}
    yield good | {"temperature": "hot"}
    yield good | {"temperature": 99.0}
    yield good | {"temperature": -1}
    yield good | {"stream_options": {"include_usage": True}}
    yield good | {"tool_choice": "auto"}
    yield good | {"model": UNKNOWN_MODEL}
    yield from (good | {key: 1} for key in sorted(contract.unsupported))
