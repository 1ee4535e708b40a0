"""Contracts of providers with few public recordings: they name their sources; what they play reads back."""

from __future__ import annotations

import json

import pytest

from onpaper.answer import Provider
from onpaper.contract import Contract
from onpaper.exchange import Request
from onpaper.mock import Mock
from onpaper.wire.reading import Reading, read_reply, read_stream

NAMES = [
    *("alibaba", "bedrock", "bifrost", "charm-hyper", "copilot", "deepinfra", "doubleword", "featherless"),
    *("gpustack", "llamacpp", "lmstudio", "mistralrs", "mlx-lm", "moonshot", "musistudio-llms", "perplexity"),
    *("portkey", "sglang", "sglang-router", "smg", "transformers-serve", "venice", "vertex", "watsonx"),
]
PLAYED = [
    name for stem in NAMES for name in (stem, *(f"{stem}@{one}" for one in Contract.load(stem).variants))
]
CALL = {"name": "get_weather", "arguments": ['{"city": ', '"Oslo"}']}
EACH = pytest.mark.parametrize("name", PLAYED)
OTHER = {"name": "get_time", "arguments": ['{"zone": ', '"CET"}']}


def streamed_and_not(test):
    """A test for every contract, streamed and in one piece."""
    for one in (pytest.mark.parametrize("stream", [True, False], ids=["stream", "reply"]), EACH):
        test = one(test)
    return test


def play(name: str, say: dict, stream: bool, **body: object) -> bytes:
    """The bytes of a reply that a provider gives when a mock says this."""
    contract = Contract.load(name)
    provider = Provider(contract, Mock.of({"about": "one reply", "reply": [say]}), strict=False)
    asked = {"model": "a-model", "messages": [{"role": "user", "content": "hi"}], "stream": stream, **body}
    if stream:
        asked.setdefault("stream_options", {"include_usage": True})
    path = contract.chat_path.replace("{project}", "p").replace("{location}", "l")
    return provider(Request("POST", path, (), json.dumps(asked).encode())).body


def reading(name: str, say: dict, stream: bool) -> Reading:
    contract = Contract.load(name)
    body = play(name, say, stream)
    return read_stream([body], contract.usage_paths) if stream else read_reply(body, contract.usage_paths)


@EACH
def test_every_fact_has_a_dated_source_with_an_address_or_says_that_it_is_not_verified(name):
    contract = Contract.load(name)
    for path, _ in contract.facts():
        file, source = contract.source_of(path)
        assert source is not None, f"{file}: no source covers {path}"
        assert source["date"] and (source.get("url") or source.get("verified") is False), f"{file}: {path}"


@pytest.mark.parametrize("name", NAMES)
def test_every_source_is_about_something_that_the_contract_says_itself(name):
    own = Contract.load(name).own
    for path in own["sources"]:
        value = own
        for key in path.split(".") if path else ():
            assert isinstance(value, dict) and key in value, (
                f"{name}: sources names {path}, which it does not say"
            )
            value = value[key]


@streamed_and_not
def test_a_text_reads_back_with_its_counts_and_its_end(name, stream):
    found = reading(name, {"text": ["Hel", "lo, ", "wörld \u2028"]}, stream)
    assert found.text == "Hello, wörld \u2028"
    assert found.finish == "stop" and not found.problems and found.error is None
    assert found.usage is not None and (found.usage.prompt, found.usage.completion) == (11, 7)


@streamed_and_not
def test_a_text_of_one_piece_reads_back(name, stream):
    assert reading(name, {"text": ["x"]}, stream).text == "x"


@streamed_and_not
@pytest.mark.parametrize("calls", [[CALL], [CALL, OTHER]], ids=["one call", "two calls"])
@pytest.mark.parametrize("text", [[], ["Let me ", "look."]], ids=["alone", "after text"])
def test_tool_calls_read_back_with_ids_of_their_own(name, stream, calls, text):
    found = reading(name, {"tool_calls": calls, "text": text}, stream)
    assert found.text == "".join(text)
    assert [(one.name, one.decoded) for one in found.tool_calls] == [
        (call["name"], json.loads("".join(call["arguments"]))) for call in calls
    ]
    ids = [one.id for one in found.tool_calls]
    assert all(ids) and len(set(ids)) == len(ids)
    assert found.finish == "tool_calls"


@streamed_and_not
def test_reasoning_never_reaches_the_text_except_where_the_provider_puts_it_there_in_tags(name, stream):
    contract = Contract.load(name)
    found = reading(name, {"reasoning": ["I think ", "so."], "text": ["Yes", "."]}, stream)
    if contract.get("reply.reasoning", "field") == "tags":
        assert found.text == "<think>I think so.</think>Yes."
    else:
        assert found.text == "Yes."


REASONING = sorted(
    set(PLAYED)
    - {
        "bifrost",
        "bedrock",
        "copilot",
        "deepinfra",
        "featherless",
        "perplexity",
        "perplexity@2025",
        "portkey",
    }
    - {"vertex", "watsonx"}
)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "reply"])
@pytest.mark.parametrize("name", REASONING)
def test_reasoning_reads_back_where_the_provider_shows_it(name, stream):
    assert (
        reading(name, {"reasoning": ["I think ", "so."], "text": ["Yes."]}, stream).reasoning == "I think so."
    )


@streamed_and_not
def test_a_refusal_is_not_lost(name, stream):
    found = reading(name, {"refusal": ["I ", "will not."]}, stream)
    assert found.refusal + found.text == "I will not."


ALWAYS_COUNTED = {
    *("bifrost", "mistralrs", "moonshot", "moonshot@k3"),
    *("perplexity", "perplexity@2025", "transformers-serve"),
}


@EACH
def test_a_stream_that_was_not_asked_for_counts_has_them_only_where_the_provider_always_sends_them(name):
    body = play(name, {"text": ["a", "b"]}, stream=True, stream_options=None)
    found = read_stream([body], Contract.load(name).usage_paths)
    assert found.text == "ab"
    assert (found.usage is not None) == (name in ALWAYS_COUNTED)


@streamed_and_not
def test_a_reply_that_was_cut_by_its_length_says_so(name, stream):
    assert reading(name, {"text": ["a ", "b"], "finish": "length"}, stream).finish == "length"


# An error as a line of its own is no event: a strict reader sees a stream that stops short.
NO_EVENT = {"gpustack", "llamacpp@b6500"}


@EACH
def test_an_error_in_a_stream_is_an_error_or_an_unfinished_stream_and_never_a_success(name):
    failing = {"text": ["a ", "b"], "error_after": {"situation": "server_error", "pieces": 1}}
    body = play(name, failing, stream=True)
    found = read_stream([body], Contract.load(name).usage_paths)
    assert found.text == "a "
    if name in NO_EVENT:
        assert b"error: {" in body and found.error is None
        assert found.finish is None
    else:
        assert found.error is not None and found.error.message
        assert not found.complete
