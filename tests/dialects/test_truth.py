"""The measure itself: what counts as a feature, and how a contract is held against recordings."""



from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from onpaper import BadInput, Contract
from onpaper.exchange import Chunk, Exchange, Headers, Reply, Request
from onpaper.truth import Recording, Truth, compare, features, of, read_folder
from onpaper.truth.plays import SAYS, played
from onpaper.truth.shapes import shape


def exchange(
    body: bytes | str | list[Any], *, status: int = 200, stream: bool = True, headers: Headers = ()
) -> Exchange:
    if isinstance(body, list):
        body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in body)
    raw = body.encode() if isinstance(body, str) else body
    asked = Request("POST", "/v1/chat/completions", (), json.dumps({"model": "m", "stream": stream}).encode())
    return Exchange(asked, Reply(status, headers, (Chunk(0.0, raw),)))


def chunk(delta: Any, finish: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "id": "x",
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **more,
    }


def values(found: frozenset[tuple[str, str]], axis: str) -> set[str]:
    return {value for name, value in found if name == axis}


def test_a_shape_keeps_keys_and_kinds_and_drops_words() -> None:
    assert (
        shape({"b": "secret", "a": [1, {"c": None}], "e": "", "d": True})
        == "{a: [number | {c: null}], b: text, d: true/false, e: ''}"
    )
    assert (
        shape({"object": "chat.completion", "arguments": {"city": "Oslo"}})
        == "{arguments: object, object: 'chat.completion'}"
    )


def test_no_word_of_a_reply_is_a_feature() -> None:
    found = features(exchange([chunk({"content": "my secret"}), chunk({}, "stop")]))
    assert "secret" not in str(found)


def test_framing_is_read_from_the_bytes() -> None:
    found = features(exchange(': ping - 2026\r\n\r\ndata:{"choices": []}\r\n\r\ndata:[DONE]\r\n\r\n'))
    assert values(found, "line end") == {"CRLF"}
    assert values(found, "data line") == {"data:"}
    assert values(found, "comment") == {"ping - 0"}
    assert values(found, "end of a stream") == {"[DONE]"}


def test_framing_is_no_feature_of_a_recording_that_lost_it() -> None:
    assert not values(features(exchange([chunk({})]), framed=False), "line end")


def test_first_and_last_deltas_have_axes_of_their_own() -> None:
    found = features(
        exchange([chunk({"role": "assistant"}), chunk({"content": "a"}), chunk({"content": ""}, "stop")])
    )
    assert values(found, "delta of the opening") == {"{role: 'assistant'}"}
    assert values(found, "delta of the piece") == {"{content: text}"}
    assert values(found, "delta of the closing") == {"{content: ''}"}
    assert values(found, "finish of the opening") == {"null"}
    assert values(found, "finish of the closing") == {"text: stop"}


@pytest.mark.parametrize(
    ("where", "chunks"),
    [
        ("closing", [chunk({}), chunk({}, "stop", usage={"prompt_tokens": 1})]),
        ("usage", [chunk({}), chunk({}, "stop"), {"choices": [], "usage": {"prompt_tokens": 1}}]),
        ("after", [chunk({}), chunk({}, "stop"), chunk({}, usage={"prompt_tokens": 1})]),
        ("again", [chunk({}), chunk({}, "stop"), chunk({}, "stop", usage={"prompt_tokens": 1})]),
        (
            "every chunk",
            [chunk({}, usage={"prompt_tokens": 1}), chunk({}, "stop", usage={"prompt_tokens": 1})],
        ),
    ],
)
def test_the_place_of_usage_is_named(where: str, chunks: list[Any]) -> None:
    assert values(features(exchange(chunks)), "place of usage") == {where}


def test_odd_places_of_usage_are_found() -> None:
    found = features(exchange([chunk({}, "stop", x_other={"usage": {"prompt_tokens": 1}})]))
    assert values(found, "usage in x_other") == {"{prompt_tokens: number}"}


def test_tool_fragments_are_told_apart() -> None:
    calls = [
        {"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}},
        {"index": 0, "function": {"arguments": "{}"}},
    ]
    found = features(exchange([chunk({"tool_calls": [call]}) for call in calls]))
    assert values(found, "tool fragment") == {
        "first: {function: {arguments: '', name: text}, id: text, index: number}",
        "next: {function: {arguments: text}, index: number}",
    }


def test_an_error_has_its_status_and_the_shape_of_its_body() -> None:
    found = features(exchange('{"error": {"message": "no", "code": null}}', status=404))
    assert values(found, "error") == {"404 {error: {code: null, message: text}}"}
    assert values(features(exchange("Not found", status=404)), "error") == {"404 text"}


def test_an_error_inside_a_stream_is_named_with_its_event() -> None:
    found = features(exchange('event: error\ndata: {"error": {"message": "no"}}\n\n'))
    assert "event error: {error: {message: text}}" in values(found, "error in a stream")


def test_the_identity_of_a_stream_is_a_feature() -> None:
    other = chunk({}) | {"id": "y"}
    assert values(features(exchange([chunk({}), other])), "id of a chunk") == {"changes"}
    assert values(features(exchange([chunk({}), chunk({})])), "id of a chunk") == {"constant"}


def test_headers_of_limits_are_features_by_name() -> None:
    found = features(
        exchange("{}", stream=False, headers=(("X-RateLimit-Limit-Requests", "5"), ("date", "x")))
    )
    assert values(found, "header") == {"x-ratelimit-limit-requests"}


def test_lines_have_features_too() -> None:
    lines = '{"model":"m","created_at":"x","message":{"role":"assistant","content":"a"},"done":false}\n'
    found = features(
        exchange(
            lines
            + '{"model":"m","created_at":"x","message":{"content":""},"done":true,"done_reason":"stop"}\n'
        )
    )
    assert values(found, "finish") == {"stop"}
    assert values(found, "line") == {
        "piece: {created_at, done, message, model}",
        "closing: {created_at, done, done_reason, message, model}",
    }


def test_a_contract_covers_what_it_plays_itself() -> None:
    contract = Contract.load("groq")
    truth = compare(contract, [Recording("groq", one) for one in played(contract)])
    assert (truth.covered, truth.backed) == (100.0, 100.0)
    assert not truth.rows_of("missing") and not truth.rows_of("unseen")


def test_what_a_contract_cannot_say_is_missing_with_its_count() -> None:
    odd = exchange([chunk({"speech": "a"}), chunk({}, "stop")])
    truth = compare(Contract.load("openai"), [Recording("openai", odd), Recording("openai", odd)])
    missing = {(row.axis, row.value): row.recordings for row in truth.rows_of("missing")}
    assert missing["delta of the opening", "{speech: text}"] == 2
    assert 0 < truth.covered < 100


def test_what_only_a_variant_can_say_names_the_variant() -> None:
    truth = compare(Contract.load("deepseek"), [])
    by = {row.value: row.played_by for row in truth.rows if row.axis == "comment"}
    assert by == {"keep-alive": ("deepseek@queued",)}


def test_nothing_seen_is_nothing_missing() -> None:
    assert Truth("x", 0, ()).covered == 100.0


def test_every_kind_of_reply_is_played() -> None:
    said = {exchange.source for exchange in played(Contract.load("openai"))}
    assert said == {"openai", *(f"openai@{name}" for name in Contract.load("openai").variants)}
    assert len(SAYS) > 15


def test_a_folder_with_a_manifest_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.sse").write_text("data: [DONE]\n\n")
    entry = {
        "file": "a.sse", "provider": "tgi(hf-inference)", "status": 200, "fidelity": "raw", "kind": "stream",
        "url": "https://host.invalid/v1/chat/completions", "response_headers": None, "request_body": {"stream": True},
    }  # fmt: skip
    (tmp_path / "manifest.json").write_text(json.dumps([entry]))
    found = read_folder(tmp_path)
    assert [one.exchange.source for one in of(Contract.load("tgi"), found)] == ["a.sse"]
    assert of(Contract.load("openai"), found) == []


def test_recordings_of_another_path_are_not_the_contracts(tmp_path: Path) -> None:
    mine = exchange([chunk({})])
    assert of(Contract.load("openai"), {"openai": [Recording("openai", mine)]})
    other = Exchange(Request("POST", "/v1/embeddings"), mine.reply)
    assert of(Contract.load("openai"), {"openai": [Recording("openai", other)]}) == []


def test_a_folder_without_recordings_says_what_it_should_hold(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"holds no recordings: neither a manifest\.json nor"):
        read_folder(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(BadInput, match="is not a manifest of recordings"):
        read_folder(tmp_path)


def test_the_cassettes_of_this_project_are_read_by_the_contract_that_judges_them() -> None:
    from onpaper import folders

    found = read_folder(folders.bundled("cassettes"))
    assert {"litellm", "vllm", "llamacpp"} <= set(found)


LINE = '{"model":"m","created_at":"t","message":{"role":"assistant","content":"hi"},"done":false}\n'
ODD = {
    "ids that are no text": ("text/event-stream", 'data: {"id":{},"model":["m"],"choices":[{"index":{},"delta":{}}]}\n\n' * 2),
    "a choice that is none": ("application/json", '{"id":[],"model":{},"choices":[null,1,{"message":3}]}'),
    "a line that was cut": ("application/x-ndjson", LINE + LINE[:40]),
    "a message that is none": ("application/x-ndjson", LINE.replace('{"role":"assistant","content":"hi"}', "7")),
    "calls that are none": ("application/x-ndjson", LINE.replace('"hi"', '"hi","tool_calls":{"a":1}')),
}


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_recording_has_features_as_any_other(odd: str) -> None:
    kind, body = ODD[odd]
    reply = Reply(200, (("Content-Type", kind),), (Chunk(0.0, body.encode()),))
    assert features(Exchange(Request("POST", "/v1/chat/completions", (), b"{}"), reply))
