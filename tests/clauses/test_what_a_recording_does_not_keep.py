"""Nobody is blamed for what a recorder left out, nor for what another server said."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from onpaper.cassettes.cassette import Cassette, Provenance
from onpaper.cassettes.judging import judge_replies, kind_of, readable
from onpaper.clauses import View
from onpaper.contract import Contract
from onpaper.exchange import Chunk, Exchange, Headers, Reply, Request
from onpaper.suite.judge import judge_exchange

OPENAI = Contract.load("openai", project=None)
CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
STREAM = "".join(
    f"data: {json.dumps({**CHUNK, 'choices': [{'index': 0, 'delta': delta, 'finish_reason': finish}]})}\n\n"
    for delta, finish in (({"content": "hi"}, None), ({}, "stop"))
)
STREAM += "data: [DONE]\n\n"
ASKED = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
LABELLED: Headers = (("Content-Type", "text/event-stream"),)
JSON: Headers = (("Content-Type", "application/json"),)


def exchange(asked: object, said: str, headers: Headers, status: int = 200, redacted: bool = True) -> Exchange:
    body = asked if isinstance(asked, str) else json.dumps(asked)
    reply = Reply(status, headers, (Chunk(0.0, said.encode()),))
    return Exchange(Request("POST", "/v1/chat/completions", (), body.encode()), reply, redacted=redacted)


def broken(one: Exchange) -> list[str]:
    return [found.clause for found in judge_exchange(one, View(OPENAI), "x", "y", ("reply",)) if found.verdict == "broken"]


@pytest.mark.parametrize("headers", [LABELLED, (("X-Id", "7"),), ()], ids=["labelled", "no label", "no headers"])
@pytest.mark.parametrize("asked", [ASKED, "", "<hidden>"], ids=["known", "left out", "masked"])
def test_a_stream_is_judged_as_one_whatever_its_recorder_kept_of_the_request(asked: object, headers: Headers) -> None:
    assert broken(exchange(asked, STREAM, headers)) == []
    assert "server/complete" in broken(exchange(asked, ": ping\n\n", headers))


def test_a_live_server_without_a_label_is_blamed_and_one_with_a_wrong_label_always() -> None:
    assert broken(exchange(ASKED, STREAM, (("X-Id", "7"),), redacted=False)) == ["server/content-type"]
    assert broken(exchange(ASKED, STREAM, (("Date", "now"),))) == ["server/content-type"]
    assert "server/content-type" in broken(exchange(ASKED, STREAM, (("Content-Type", "text/plain"),)))


@pytest.mark.parametrize(
    ("headers", "blamed"),
    [
        ((*JSON, ("Content-Encoding", "gzip")), False),
        ((*JSON, ("Content-Length", "310")), False),
        ((*JSON, ("Content-Length", "0")), True),
        (JSON, True),
    ],
)
def test_a_body_that_was_sent_and_is_not_there_is_not_judged(headers: Headers, blamed: bool) -> None:
    found = broken(readable(exchange({**ASKED, "stream": False}, "", headers)))
    assert found == (["server/json"] if blamed else [])


@pytest.mark.parametrize("named", [(), (("Content-Encoding", "MASKED"),)], ids=["left out", "masked"])
def test_a_body_in_gzip_is_read_though_its_recorder_dropped_the_header(named: Headers) -> None:
    packed = gzip.compress(STREAM.encode())
    kept = replace(exchange(ASKED, "", ()), reply=Reply(200, (*LABELLED, *named), (Chunk(0.0, packed),)))
    assert broken(readable(kept)) == []


def test_a_live_server_that_does_not_say_how_it_packs_is_blamed() -> None:
    live = replace(exchange(ASKED, "", (), redacted=False), reply=Reply(200, LABELLED, (Chunk(0.0, gzip.compress(b"data: {}\n\n")),)))
    assert "server/utf8" in broken(readable(live))


@pytest.mark.parametrize(("request_id", "blamed"), [("7", False), ("8", True)], ids=["the same reply", "another"])
def test_a_reply_that_was_kept_twice_is_judged_where_its_body_is(request_id: str, blamed: bool) -> None:
    first = exchange(ASKED, STREAM, (*LABELLED, ("X-Request-Id", "7")))
    again = exchange(ASKED, "", (*LABELLED, ("X-Request-Id", request_id)))
    found = judge_replies([Cassette("openai/twice", (first, again), path=Path("openai/twice.yaml"))])
    assert any(one.verdict == "broken" for one in found) is blamed


@pytest.mark.parametrize(
    ("headers", "redacted", "blamed"),
    [
        (JSON, True, False),
        ((*JSON, ("Date", "now")), True, True),
        ((*JSON, ("Retry-After", "7")), True, False),
        (JSON, False, True),
    ],
    ids=["some kept", "all kept", "said", "live"],
)
def test_a_wait_that_is_not_told_is_blamed_where_all_headers_were_kept(headers: Headers, redacted: bool, blamed: bool) -> None:
    limited = exchange(ASKED, '{"error": {"message": "slow down"}}', headers, 429, redacted)
    assert ("server/retry-after" in broken(limited)) is blamed


def test_an_error_in_one_piece_may_be_labelled_as_what_it_is() -> None:
    assert broken(exchange(ASKED, '{"error": {"message": "busy"}}', JSON)) == []
    assert "server/content-type" in broken(exchange(ASKED, '{"choices": []}', JSON))


@pytest.mark.parametrize(("provenance", "blamed"), [(None, False), (Provenance(contract="openai"), True)], ids=["other", "own"])
def test_a_refusal_of_another_path_is_the_providers_only_in_a_recording_of_our_own(
    provenance: Provenance | None, blamed: bool
) -> None:
    other = Exchange(Request("POST", "/search"), Reply(400, JSON, (Chunk(0.0, b"{}"),)))
    found = judge_replies([Cassette("openai/search", (other,), provenance, path=Path("openai/search.yaml"))])
    assert ("server/error-has-words" in [one.clause for one in found if one.verdict == "broken"]) is blamed


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/v1beta/openai/models", "models"), ("/v1beta/models", ""), ("/models", "models"), ("/v1/models", "models")],
)
def test_a_list_above_the_providers_path_is_of_another_api(path: str, kind: str) -> None:
    asked = Exchange(Request("GET", path), Reply(200, JSON, (Chunk(0.0, b'{"models": []}'),)))
    assert kind_of(asked, Contract.load("gemini-compat", project=None)) == kind
