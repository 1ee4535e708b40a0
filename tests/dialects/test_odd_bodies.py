"""Bodies at the edge of JSON: what providers call malformed, what they measure, and that replies are always UTF-8."""

from __future__ import annotations

from dataclasses import replace

import pytest

from onpaper import Contract, folders
from onpaper.answer import Provider
from onpaper.mock import Mock, Say
from onpaper.script import Script
from onpaper.truth.plays import KEY, request
from onpaper.wire.dialect import Asked, Speaker
from onpaper.wire.voice import compact

NAMES = folders.names("contracts")
HI = '"messages": [{"role": "user", "content": "hi"}]'
NO_JSON = {
    "NaN": f'{{"model": "m", "temperature": NaN, {HI}}}',
    "infinity": f'{{"model": "m", "temperature": -Infinity, {HI}}}',
    "a number beyond all doubles": f'{{"model": "m", "temperature": 1e999, {HI}}}',
    "300 arrays": f'{{"model": "m", "stop": {"[" * 300 + "]" * 300}, {HI}}}',
    "100,000 arrays": f'{{"model": "m", "stop": {"[" * 100_000 + "]" * 100_000}, {HI}}}',
}
HALF = {
    "model": rf'{{"model": "\ud800", {HI}}}',
    "a key": rf'{{"model": "m", "\ud800": 1, {HI}}}',
    "the text": r'{"model": "m", "messages": [{"role": "\udc00", "content": "\ud800"}]}',
}


def ask(name: str, body: str, *, strict: bool = True, say: Say | None = None) -> Script:
    mock = Mock("said", "", (say or Say(text=("Hi",)),))
    contract = Contract.load(name)
    return Provider(contract, mock, strict=strict, key=KEY)(request(contract, body.encode()))


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON)
@pytest.mark.parametrize("name", NAMES)
def test_what_a_parser_does_not_take_is_malformed(name: str, body: str) -> None:
    cut = ask(name, '{"model": ')
    refused = ask(name, body)
    assert (refused.status, refused.headers) == (cut.status, cut.headers)
    assert refused.status >= 400


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON)
def test_with_refusals_off_it_is_answered_all_the_same(body: str) -> None:
    assert ask("openai", body, strict=False).status == 200


@pytest.mark.parametrize("body", HALF.values(), ids=HALF)
@pytest.mark.parametrize("name", NAMES)
def test_half_a_surrogate_pair_makes_no_reply_that_is_not_utf_8(name: str, body: str) -> None:
    streamed = body.replace("{", '{"stream": true, ', 1)
    for script in (ask(name, body), ask(name, streamed), ask(name, streamed, strict=False)):
        assert script.problem == ""
        script.body.decode("utf-8")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", ["openai", "ollama"])
def test_half_a_surrogate_pair_in_a_mock_goes_out_as_an_escape(name: str, stream: bool) -> None:
    say = Say(text=("a\ud83d", "\ude00b"))
    body = Speaker(Contract.load(name), Asked(stream=stream)).script(say).body.decode("utf-8")
    halves = ('"a\\ud83d"', '"\\ude00b"') if stream else ('"a\\ud83d\\ude00b"',)
    assert all(half in body for half in halves)


@pytest.mark.parametrize(
    "raw",
    [
        '{"model":"google/gemma-2b","stream":true,"options":{"chatCompletion":true}}',
        '{ "model":"google/gemma-2b", "stream":true, "x":"\u00fc", "options":{"a":1.50} }  ',
        '{\n "model":"m"\n}\n',
        '{"model": "m", "messages": [',
    ],
)
def test_a_column_is_counted_in_the_bytes_that_came(raw: str) -> None:
    """recorded: 75 for the first one"""
    last = raw.strip().rpartition("\n")[2]
    assert ask("tgi", raw).body.decode().endswith(f" at line 1 column {len(last.encode())}")


def test_a_reply_holds_no_nan() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        compact({"usage": float("nan")})


STRANGE = {
    "a key that is a digit to Unicode": f'{{"model": "m", "²": 1, {HI}}}',
    "a choice that is no object": f'{{"model": "m", "tool_choice": {{"function": "f"}}, "tools": ["x"], {HI}}}',
    "a tool that is no object": f'{{"model": "m", "tool_choice": "required", "tools": ["x", {{"function": {{"name": "f"}}}}], {HI}}}',
}


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("body", STRANGE.values(), ids=STRANGE)
def test_an_odd_body_is_refused_or_answered_and_never_the_gateways_own_failure(body: str, strict: bool) -> None:
    assert ask("openai", body, strict=strict).status in ((400,) if strict else (200,))


def test_a_client_that_gives_its_key_the_right_way_does_not_inherit_the_refusal_of_one_that_did_not() -> None:
    contract = Contract.load("azure")
    provider = Provider(contract, Mock("said", "", (Say(text=("Hi",)),)), key=KEY)
    body = f'{{"model": "m", {HI}}}'.encode()
    wrong, right = (replace(request(contract, body), headers=((name, KEY), ("content-type", "application/json"))) for name in ("authorization", "api-key"))
    assert provider(wrong).status == 401
    assert [provider(right).status for _ in range(20)] == [200] * 20
