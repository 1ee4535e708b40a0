"""Server-sent events are read as WHATWG HTML §9.2.6 says: its own examples, the cases of the folder
`eventsource` of web-platform-tests, and what chat completions bring. Each is fed whole, byte by byte and cut
at random.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onpaper.wire.sse import Decoder, Event, decode

the_same_cases_each_time = settings(deadline=None, derandomize=True)

LONG = b"x" * 2049


def said(data: str, kind: str = "message", id: str = "", retry: int | None = None) -> Event:
    return Event(kind, data, id, retry)


CASES: dict[str, tuple[bytes, list[Event]]] = {
    # the examples of the standard
    "three data lines are one event": (b"data: YHOO\ndata: +2\ndata: 10\n\n", [said("YHOO\n+2\n10")]),
    "the standard's second example": (
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n",
        [said("first event", id="1"), said("second event")],
    ),
    "the standard's third example": (b"data\n\ndata\ndata\n\ndata:", [said(""), said("\n")]),
    "one space after the colon is dropped": (b"data:test\n\ndata: test\n\n", [said("test"), said("test")]),
    # web-platform-tests: eventsource/format-*
    "one leading BOM is dropped": (
        b"\xef\xbb\xbfdata:1\n\n\xef\xbb\xbfdata:2\n\ndata:3\n\n",
        [said("1"), said("3")],
    ),
    "a second BOM belongs to the field's name": (
        b"\xef\xbb\xbf\xef\xbb\xbfdata:1\n\ndata:2\n\ndata:3\n\n",
        [said("2"), said("3")],
    ),
    "comments of any length are skipped": (
        b"data:1\r:\0\n:\r\ndata:2\n:" + LONG + b"\rdata:3\n:data:fail\r:" + LONG + b"\ndata:4\n\n",
        [said("1\n2\n3\n4")],
    ),
    "data before the end without a blank line is no event": (
        b"retry:1000\ndata:test1\n\nid:test\ndata:test2",
        [said("test1", retry=1000)],
    ),
    "data without a value is a line": (
        b"data:\n\ndata\ndata\n\ndata:test\n\n",
        [said(""), said("\n"), said("test")],
    ),
    "the type holds for one event": (b"event:test\ndata:x\n\ndata:x\n\n", [said("x", "test"), said("x")]),
    "an empty type is message": (b"event: \ndata:data\n\n", [said("data")]),
    "the last type wins": (b"event:a\nevent:b\ndata:x\n\n", [said("x", "b")]),
    "an id holds until the next": (
        b"id: 1\ndata:a\n\ndata:b\n\nid: 2\ndata:c\n\n",
        [said("a", id="1"), said("b", id="1"), said("c", id="2")],
    ),
    "an id may be any text": (b"id: \xe2\x80\xa6\ndata:hello\n\n", [said("hello", id="…")]),
    "an id with NUL is ignored": (
        b"id:1\nid:te\0st\ndata:x\n\nid:\0\ndata:y\n\n",
        [said("x", id="1"), said("y", id="1")],
    ),
    "an id without a value is empty": (b"id:1\nid\ndata:x\n\n", [said("x")]),
    "names are compared exactly": (
        b"data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\r"
        b"data_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n",
        [said("\0\n 2\n1\n3\n\n4")],
    ),
    "retry is digits": (b"retry:3000\ndata:test\n\n", [said("test", retry=3000)]),
    "retry with anything else is ignored": (b"retry:3000\nretry:1000x\ndata:x\n\n", [said("x", retry=3000)]),
    "a negative retry is ignored": (b"retry:-1\ndata:x\n\n", [said("x")]),
    "an empty retry is ignored": (b"retry\ndata:test\n\n", [said("test")]),
    "other digits than ASCII's are none": (b"retry:\xd9\xa1\ndata:x\n\n", [said("x")]),
    "a retry too long to be a time is ignored": (b"retry:" + b"9" * 5000 + b"\ndata:x\n\n", [said("x")]),
    "unknown fields are skipped": (
        b"data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n",
        [said("test\n\ntest")],
    ),
    "only a space is dropped, and only one": (
        b"data:\ttest\rdata: \ndata:  test\n\n",
        [said("\ttest\n\n test")],
    ),
    "LF, CRLF and CR end lines": (b"data:test\r\ndata\ndata:test\r\n\r\n", [said("test\n\ntest")]),
    "CR alone ends lines": (b"data:a\r\rdata:b\r\r", [said("a"), said("b")]),
    "a blank line may be of another kind": (
        b"data:a\n\r\ndata:b\r\n\rdata:c\r\n\n",
        [said("a"), said("b"), said("c")],
    ),
    "NUL is data": (b"data:\0\n\n\n\n", [said("\0")]),
    "text is UTF-8": (b"data:ok\xe2\x80\xa6\n\n", [said("ok…")]),
    # what chat completions bring
    "a type without data is no event": (b"event:ping\n\ndata:x\n\n", [said("x")]),
    "an id alone is no event, and is kept": (b"id:7\n\ndata:x\n\n", [said("x", id="7")]),
    "a retry alone is no event, and is gone": (b"retry:7\n\ndata:x\n\n", [said("x")]),
    "keep-alives are no events": (b": ping\n\n:\n\n:\n\ndata:x\n\n", [said("x")]),
    "many blank lines are nothing": (b"\n\n\n\ndata:x\n\n\n\n\n", [said("x")]),
    "U+2028, U+2029 and U+0085 are text": (
        "data:a\u2028b\u2029c\x85d\n\n".encode(),
        [said("a\u2028b\u2029c\x85d")],
    ),
    "form feed, tabs and separators are text": (
        b"data:a\x0cb\x0bc\x1cd\x1ee\tf\n\n",
        [said("a\x0cb\x0bc\x1cd\x1ee\tf")],
    ),
    "invalid UTF-8 becomes U+FFFD": (b"data:a\xffb\xe2\x82\n\n", [said("a\ufffdb\ufffd")]),
    "a BOM inside data is text": (b"data:\xef\xbb\xbfx\n\n", [said("\ufeffx")]),
    "what looks like a field inside data is data": (b"data: data: x\ndata::y\n\n", [said("data: x\n:y")]),
    "white space around the value stays": (b"data:  x \t\n\n", [said(" x \t")]),
    "the sentinel is an event like any other": (b"data:{}\n\ndata: [DONE]\n\n", [said("{}"), said("[DONE]")]),
    "a JSON of several lines": (b'data: {\ndata: "a": 1\ndata: }\n\n', [said('{\n"a": 1\n}')]),
    "a BOM alone": (b"\xef\xbb\xbf", []),
    "two thirds of a BOM are a name": (b"\xef\xbbdata:1\n\ndata:2\n\n", [said("2")]),
    "a body that begins with a blank line": (b"\r\n\r\ndata:1\r\n\r\n", [said("1")]),
    "nothing": (b"", []),
}
every_case = pytest.mark.parametrize(("stream", "events"), CASES.values(), ids=CASES)


@every_case
def test_a_stream_in_one_piece_gives_its_events(stream, events):
    assert decode([stream])[0] == events


@every_case
def test_a_stream_byte_by_byte_gives_the_same_events(stream, events):
    assert decode(stream[at : at + 1] for at in range(len(stream)))[0] == events


@the_same_cases_each_time
@given(st.data())
@pytest.mark.parametrize(("stream", "events"), CASES.values(), ids=CASES)
def test_a_stream_cut_anywhere_gives_the_same_events(stream, events, data):
    places = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
    assert decode(pieces)[0] == events


@the_same_cases_each_time
@given(
    st.binary(max_size=200)
    | st.lists(
        st.sampled_from(
            [b"data", b":", b" ", b"\r", b"\n", b"x", b"\xef\xbb\xbf", b"id", b"event", b"retry", b"1"]
        )
    ).map(b"".join),
    st.data(),
)
def test_any_bytes_at_all_give_the_same_events_however_they_are_cut(stream, data):
    places = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
    assert decode(pieces) == decode([stream])


@pytest.mark.parametrize("cut", [1, 2])
def test_a_bom_cut_by_a_chunk_boundary_is_dropped(cut):
    stream = b"\xef\xbb\xbfdata: 1\n\n"
    assert decode([stream[:cut], stream[cut:]])[0] == [said("1")]


def test_bytes_that_only_begin_like_a_bom_are_kept():
    assert decode([b"\xef", b"\xbb", b"\xbcdata:1\n\ndata:2\n\n"])[0] == [said("2")]


@pytest.mark.parametrize("cut", range(1, 13))
def test_a_crlf_cut_by_a_chunk_boundary_is_one_line_end(cut):
    stream = b"data: 1\r\n\r\ndata: 2\r\n\r\n"
    assert decode([stream[:cut], stream[cut:]])[0] == [said("1"), said("2")]


def test_an_event_is_given_by_the_piece_that_closes_it():
    decoder = Decoder()
    assert decoder.feed(b"data: 1\r\n\r") == [said("1")]
    assert decoder.feed(b"\n") == []
    assert decoder.feed(b"data: 2\n\n") == [said("2")]


def test_empty_pieces_change_nothing():
    assert decode([b"", b"data: 1\r", b"", b"\n", b"", b"\r\n", b""])[0] == [said("1")]


def test_the_last_event_id_is_set_by_events_and_by_blocks_without_data():
    decoder = Decoder()
    decoder.feed(b"id: 1\ndata: x\n\nid: 2\n\nid: 3\n")
    assert decoder.last_event_id == "2"


@pytest.mark.parametrize(
    ("stream", "cut"),
    [
        (b"", False),
        (b"data: 1\n\n", False),
        (b"data: 1\r\n\r", False),
        (b"data: 1\n", True),
        (b"data: 1", True),
        (b"dat", True),
        (b"event: error\n", True),
        (b"data: 1\n\n\n", False),
        (b"data: 1\n\n: keep-alive", False),
        (b"data: 1\n\n:", False),
        (b"\xef\xbb", True),
    ],
)
def test_an_event_that_the_end_cuts_is_seen(stream, cut):
    assert decode([stream])[1] is cut
    assert decode(stream[at : at + 1] for at in range(len(stream)))[1] is cut
