"""Whatever framing a stream is written in, a reader that follows the standard gets the same events."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from onpaper.wire.sse import BOM, Event, Framing, decode, encode, opening

the_same_cases_each_time = settings(deadline=None, derandomize=True)

TEXT = st.text(st.characters(exclude_characters="\r\0", codec="utf-8"), max_size=20)
NAMES = st.text(st.characters(exclude_characters="\r\n\0", codec="utf-8"), min_size=1, max_size=10)
VALUES = st.dictionaries(TEXT, TEXT | st.integers() | st.none(), max_size=3)
FRAMINGS = st.builds(
    Framing,
    newline=st.sampled_from(["lf", "crlf", "cr"]),
    space=st.booleans(),
    bom=st.booleans(),
    comments=st.lists(st.sampled_from(["", "ok", " spaced", "data: no"]), max_size=3).map(tuple),
    keepalive=st.sampled_from([None, "", "ping", "OPENROUTER PROCESSING"]),
    fields=st.lists(st.sampled_from([("x", "y"), ("", ""), ("retry", "10"), ("foo", "")]), max_size=3).map(
        tuple
    ),
    blank=st.integers(1, 3),
)


def written(events: list[Event], framing: Framing) -> bytes:
    return opening(framing) + b"".join(encode(event, framing) for event in events)


def pieces(stream: bytes, places: set[int]) -> list[bytes]:
    cuts = sorted(place % (len(stream) + 1) for place in places)
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


CUTS = st.sets(st.integers(0, 2000), max_size=8)


@the_same_cases_each_time
@given(st.lists(st.tuples(NAMES | st.just("message"), TEXT), max_size=5), FRAMINGS, CUTS)
def test_events_come_back_from_every_framing_however_it_is_cut(said, framing, cuts):
    events = [Event(kind, data) for kind, data in said]
    found, cut = decode(pieces(written(events, framing), cuts))
    assert [(event.type, event.data) for event in found] == said and not cut


@the_same_cases_each_time
@given(st.lists(VALUES, max_size=4), FRAMINGS, CUTS)
def test_json_over_several_data_lines_is_the_same_json(values, framing, cuts):
    framing = Framing(**{**{name: getattr(framing, name) for name in Framing.__slots__}, "multiline": True})
    stream = written([Event("message", json.dumps(value)) for value in values], framing)
    assert [json.loads(event.data) for event in decode(pieces(stream, cuts))[0]] == values


def test_json_over_several_data_lines_really_is():
    assert (
        encode(Event("message", '{"a":1}'), Framing(multiline=True)) == b'data: {\ndata: "a":1\ndata: }\n\n'
    )


def test_a_framing_writes_what_it_says():
    framing = Framing(
        "crlf", space=False, bom=True, comments=("hi", ""), keepalive="ping", fields=(("id", "7"),), blank=2
    )
    stream = written([Event("error", "x")], framing)
    assert stream == BOM + b": hi\r\n\r\n:\r\n\r\n: ping\r\n\r\nid:7\r\nevent:error\r\ndata:x\r\n\r\n\r\n"


def test_a_value_that_begins_with_a_space_keeps_it_without_the_optional_one():
    assert decode([encode(Event("message", " x"), Framing(space=False))])[0][0].data == " x"
