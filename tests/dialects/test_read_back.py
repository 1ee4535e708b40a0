"""What a mock says comes back the same from every contract and variant, as far as the provider shows it."""



from __future__ import annotations

import json
from typing import Any

import pytest

from onpaper import Contract, folders
from onpaper.answer import Provider
from onpaper.mock import Mock, Say
from onpaper.truth.plays import SAYS, answered, request
from onpaper.wire import reading


def contracts() -> list[Contract]:
    plain = [Contract.load(name, project=None) for name in folders.names("contracts")]
    return [one for contract in plain for one in (contract, *map(contract.variant, contract.variants))]


ALL = contracts()
ASKED: tuple[dict[str, Any], ...] = (
    {"stream": False},
    {"stream": True},
    {"stream": True, "stream_options": {"include_usage": True}},
    {"stream": True, "n": 2},
)


def read(contract: Contract, say: Say, **asked: Any) -> reading.Reading:
    body = {"model": "some-model", "messages": [{"role": "user", "content": "hi"}], **asked}
    exchange = answered(Provider(contract, Mock("said", "", (say,)), strict=False), request(contract, body))
    assert exchange.reply is not None
    chunks = [chunk.data for chunk in exchange.reply.chunks]
    if contract.protocol == "ndjson":
        return reading.read_lines(chunks)
    if asked["stream"]:
        return reading.read_stream(chunks, contract.usage_paths)
    return reading.read_reply(b"".join(chunks), contract.usage_paths)


def reasoning_mode(contract: Contract, streamed: bool) -> str:
    """How a reply of that contract carries its reasoning."""
    own = contract.get("reply.reasoning", "field")
    if streamed and contract.protocol == "sse":
        mode = contract.get("stream.reasoning", own)
        shown = {*contract.get("stream.delta", {}), *contract.get("stream.reasoned", {})}
        return mode if mode == "tags" or shown & {"reasoning", "opening_reasoning"} else "hidden"
    if own == "field" and "{reasoning}" not in json.dumps(contract.get("reply.message", {})):
        return "hidden"
    return str(own)


def shows_refusals(contract: Contract) -> bool:
    """Whether a whole reply has its refusal where the API has it, or in its text, and not in a corner of its own."""
    return contract.get("reply.refusal", "missing") == "missing" or "refusal" in contract.get(
        "reply.message", {}
    )


@pytest.mark.parametrize("contract", ALL, ids=lambda one: one.name)
@pytest.mark.parametrize("asked", ASKED, ids=["whole", "stream", "stream+usage", "stream+n"])
def test_text_reasoning_and_refusals_are_read_back(contract: Contract, asked: dict[str, Any]) -> None:
    for name, say in SAYS.items():
        if say.error is not None or say.tool_calls:
            continue
        found = read(contract, say, **asked)
        mode = "hidden" if not say.reasoning else reasoning_mode(contract, asked["stream"])
        thought = "".join(say.reasoning)
        text = (f"<think>{thought}</think>" if mode == "tags" else "") + "".join(say.text)
        refusal = "".join(say.refusal) if asked["stream"] or shows_refusals(contract) else ""
        assert found.text + found.refusal == text + refusal, name
        assert found.reasoning == (thought if mode in ("field", "parts") else ""), name
        assert not found.problems and found.error is None, name


@pytest.mark.parametrize("contract", ALL, ids=lambda one: one.name)
@pytest.mark.parametrize("asked", ASKED, ids=["whole", "stream", "stream+usage", "stream+n"])
def test_tool_calls_are_read_back(contract: Contract, asked: dict[str, Any]) -> None:
    for name, say in SAYS.items():
        if not say.tool_calls or say.finish == "length":
            continue
        found = read(contract, say, **asked)
        said = [(call.name, json.loads("".join(call.arguments) or "{}")) for call in say.tool_calls]
        assert [(call.name, call.decoded) for call in found.tool_calls] == said, name
        assert found.text.endswith("".join(say.text)), name


@pytest.mark.parametrize("contract", ALL, ids=lambda one: one.name)
def test_the_finish_is_the_providers_word(contract: Contract) -> None:
    for streamed in (False, True):
        words = contract.get("reply.finish", {}) | (contract.get("stream.finish", {}) if streamed else {})
        for ending in ("stop", "length", "content_filter"):
            found = read(contract, Say(text=("Hi",), finish=ending), stream=streamed)
            shown = contract.get("stream.finishes", True) or not streamed
            assert found.finish == ((words.get(ending, ending) or None) if shown else None)


@pytest.mark.parametrize("contract", ALL, ids=lambda one: one.name)
def test_usage_is_read_back_where_the_provider_shows_it(contract: Contract) -> None:
    say = Say(text=("Hel", "lo"), usage={"prompt": 13, "completion": 5})
    shown = contract.protocol == "ndjson" or bool(contract.get("reply.usage"))
    prompt = None if contract.name == "ollama@cached" else 13
    counts = reading.Usage(prompt, 5) if shown else None
    assert read(contract, say, stream=False).usage == counts
    asked = read(contract, say, stream=True, stream_options={"include_usage": True}).usage
    usage = contract.get("stream.usage", {})
    in_paths = any("usage" in path for path in usage.get("paths", ()))
    never = usage.get("when") == "never" and not in_paths
    assert asked == (None if never or not contract.get("stream.usage.template", shown) else counts)


@pytest.mark.parametrize("contract", ALL, ids=lambda one: one.name)
def test_no_usage_is_invented_when_the_mock_has_none(contract: Contract) -> None:
    for asked in ASKED:
        assert read(contract, SAYS["no usage"], **asked).usage in (None, reading.Usage())


@pytest.mark.parametrize("contract", ALL, ids=lambda one: one.name)
def test_an_error_inside_a_stream_never_looks_complete(contract: Contract) -> None:
    for name in ("error in a stream", "error at the start of a stream"):
        found = read(contract, SAYS[name], stream=True)
        if contract.get("stream.error.field", "data") == "data":
            assert not found.complete
        else:  # a line that is no field of an event stream: a reader that follows the standard cannot see it
            assert found.error is None
