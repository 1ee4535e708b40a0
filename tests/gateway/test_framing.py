"""What goes on the wire for a script: the framing of RFC 9112, unless the script says otherwise."""

from __future__ import annotations

import pytest

from onpaper.gateway.framing import plan
from onpaper.script import Script, Write


def wire(script: Script, **request: object) -> bytes:
    return b"".join(send.wire for send in plan(script, **request).sends)


EVENTS = (Write(b"one"), Write(b"three"))


def test_each_write_is_one_chunk_and_the_last_chunk_ends_the_body():
    assert wire(Script(writes=EVENTS)).endswith(b"\r\n\r\n3\r\none\r\n5\r\nthree\r\n0\r\n\r\n")


def test_each_part_leaves_in_its_own_send():
    sends = plan(Script(writes=EVENTS)).sends
    assert [send.wire for send in sends[1:]] == [b"3\r\none\r\n", b"5\r\nthree\r\n", b"0\r\n\r\n"]


def test_joined_writes_leave_in_as_few_sends_as_the_pauses_allow():
    sends = plan(Script(writes=(*EVENTS, Write(b"late", after=1.0), Write(b"r")), joined=True)).sends
    assert [send.body for send in sends] == [b"onethree", b"later"]
    assert [send.after for send in sends] == [0.0, 1.0]


def test_a_cut_has_no_last_chunk():
    assert wire(Script(writes=EVENTS, end="cut")).endswith(b"three\r\n")


def test_a_body_of_known_length_is_announced_and_not_chunked():
    sent = wire(Script(writes=EVENTS, transfer="length"))
    assert b"content-length: 8\r\n" in sent
    assert sent.endswith(b"\r\n\r\nonethree")


def test_a_length_can_lie():
    assert b"content-length: 99\r\n" in wire(Script(writes=EVENTS, transfer="length", length=99))


def test_a_connection_with_a_length_too_long_is_not_kept():
    assert not plan(Script(writes=EVENTS, transfer="length", length=99)).keep


def test_a_body_that_ends_with_the_connection_says_so():
    played = plan(Script(writes=EVENTS, transfer="close"))
    assert ("connection", "close") in played.headers
    assert not played.keep


def test_http_1_0_never_gets_chunks():
    sent = wire(Script(writes=EVENTS), version="1.0", keep_alive=False)
    assert b"transfer-encoding" not in sent
    assert sent.endswith(b"\r\n\r\nonethree")


def test_http_1_0_with_keep_alive_is_told_that_it_is_kept():
    assert ("connection", "keep-alive") in plan(
        Script(writes=EVENTS, transfer="length"), version="1.0"
    ).headers


@pytest.mark.parametrize("script", [Script(204, writes=EVENTS), Script(304, writes=EVENTS)])
def test_a_status_without_a_body_sends_none(script: Script):
    assert wire(script).endswith(b"\r\n\r\n")
    assert plan(script).keep


def test_a_204_has_no_framing_header():
    assert {name for name, _ in plan(Script(204)).headers} == set()


def test_head_gets_the_headers_of_get_and_no_body():
    script = Script(writes=EVENTS, transfer="length")
    assert wire(script, method="HEAD") == wire(script).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


def test_an_empty_write_does_not_end_the_body():
    assert wire(Script(writes=(Write(b"one"), Write(b""), Write(b"two")))).count(b"\r\n0\r\n") == 1


def test_a_raw_write_goes_out_as_it_is():
    assert b"\r\n\r\nzz\r\n3\r\none" in wire(Script(writes=(Write(b"zz\r\n", raw=True), Write(b"one"))))


def test_a_head_of_given_bytes_replaces_ours():
    assert wire(Script(head=b"HTTP/9 WAT\r\n\r\n", writes=())) == b"HTTP/9 WAT\r\n\r\n0\r\n\r\n"


def test_the_preface_comes_before_the_head():
    sent = wire(Script(preface=(Write(b"HTTP/1.1 103 Early Hints\r\n\r\n"),)))
    assert sent.startswith(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n")


def test_the_script_s_own_framing_headers_are_left_alone():
    sent = wire(Script(headers=(("Content-Length", "3"), ("Transfer-Encoding", "chunked")), writes=EVENTS))
    assert sent.count(b"ontent-") == 1
    assert sent.lower().count(b"transfer-encoding") == 1


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\0"])
def test_a_header_cannot_smuggle_another(value: str):
    with pytest.raises(ValueError, match="cannot hold a line break"):
        plan(Script(headers=(("a", value),)))


def test_a_header_outside_latin_1_is_refused_by_its_first_character():
    with pytest.raises(ValueError, match="'€'"):
        plan(Script(headers=(("a", "3 €"),)))


def test_the_reason_phrase_is_the_registered_one_unless_the_script_has_one():
    assert wire(Script(429)).startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert wire(Script(429, reason="Slow down")).startswith(b"HTTP/1.1 429 Slow down\r\n")


def test_a_connection_that_a_script_says_it_closes_is_closed():
    script = Script(headers=(("Connection", "Close"),), writes=EVENTS, transfer="length")
    assert not plan(script).keep
    assert wire(script).lower().count(b"connection:") == 1
