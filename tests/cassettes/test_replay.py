"""A recording becomes a script that says the same."""

import gzip

import pytest

from onpaper.cassettes import script_of
from onpaper.exchange import Chunk, End, Exchange, Headers, Reply, Request
from onpaper.script import Write

CHUNKED: Headers = (("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked"))


def recorded(headers: Headers = CHUNKED, end: End = "clean", status: int = 200) -> Exchange:
    chunks = (Chunk(0.5, b"one"), Chunk(0.7, b"two"))
    return Exchange(Request("GET", "/"), Reply(status, headers, chunks, end, "Fine"), source="a/b")


def test_chunks_status_and_reason_are_kept() -> None:
    script = script_of(recorded(status=202))
    assert (script.status, script.reason, script.end) == (202, "Fine", "clean")
    assert script.writes == (Write(b"one"), Write(b"two"))


@pytest.mark.parametrize(
    ("speed", "pauses"), [(None, [0, 0]), (1, [0.5, 0.2]), (2, [0.25, 0.1]), (0.5, [1.0, 0.4])]
)
def test_the_speed_scales_the_recorded_pauses(speed: float | None, pauses: list[float]) -> None:
    assert [write.after for write in script_of(recorded(), speed).writes] == pytest.approx(pauses)


@pytest.mark.parametrize("speed", [0, -1, float("nan")])
def test_a_speed_that_is_not_positive_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="speed of a replay must be above 0"):
        script_of(recorded(), speed)


def test_headers_about_the_connection_are_dropped() -> None:
    headers = (*CHUNKED, ("Keep-Alive", "timeout=5"), ("connection", "close"), ("X-Kept", "1"))
    assert script_of(recorded(headers)).headers == (("Content-Type", "text/event-stream"), ("X-Kept", "1"))


@pytest.mark.parametrize(
    ("headers", "transfer"),
    [(CHUNKED, "chunked"), ((("Content-Length", "6"),), "length"), ((("Content-Type", "a/b"),), "close")],
)
def test_the_body_is_delimited_as_it_was(headers: Headers, transfer: str) -> None:
    script = script_of(recorded(headers))
    assert (script.transfer, script.length) == (transfer, None)


def test_a_body_in_one_piece_without_framing_gets_a_length() -> None:
    exchange = Exchange(Request("GET", "/"), Reply(200, (), (Chunk(0.0, b"whole"),)))
    assert script_of(exchange).transfer == "length"


def test_a_message_that_was_cut_announces_the_length_it_did_not_keep() -> None:
    script = script_of(recorded((("Content-Length", "99"),), end="cut"))
    assert (script.end, script.transfer, script.length) == ("cut", "length", 99)


@pytest.mark.parametrize(
    ("end", "played"),
    [("clean", "clean"), ("cut", "cut"), ("reset", "reset"), ("timeout", "hang"), ("open", "hang")],
)
def test_the_ending_is_kept_and_silence_stays_silence(end: End, played: End) -> None:
    assert script_of(recorded(end=end)).end == played


def test_an_exchange_without_reply_cannot_be_played() -> None:
    with pytest.raises(ValueError, match="a/b has no reply to play"):
        script_of(Exchange(Request("GET", "/"), source="a/b"))


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_body_that_its_recorder_decoded_plays_without_the_coding(coding: str) -> None:
    reply = Reply(200, (("Content-Encoding", coding), ("X-Kept", "1")), (Chunk(0.0, b'{\n  "id": "c-1"\n}'),))
    assert script_of(Exchange(Request("GET", "/"), reply)).headers == (("X-Kept", "1"),)


@pytest.mark.parametrize("named", [(), (("Content-Encoding", "MASKED"),), (("Content-Encoding", "gzip"),)])
def test_a_body_in_gzip_plays_under_its_name_whatever_its_recorder_kept_of_it(named: Headers) -> None:
    packed = gzip.compress(b"{}", mtime=0)
    script = script_of(Exchange(Request("GET", "/"), Reply(200, named, (Chunk(0.0, packed),))))
    assert [(name.lower(), value) for name, value in script.headers] == [("content-encoding", "gzip")]
    assert script.body == packed
