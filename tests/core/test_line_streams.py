"""Newline-delimited JSON: lines end in LF, blank ones are nothing, the last may lack its newline."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onpaper.wire.ndjson import Decoder

the_same_cases_each_time = settings(deadline=None, derandomize=True)

CASES: dict[str, tuple[bytes, list[str]]] = {
    "two lines": (b'{"a":1}\n{"b":2}\n', ['{"a":1}', '{"b":2}']),
    "a last line without its newline": (b'{"a":1}\n{"b":2}', ['{"a":1}', '{"b":2}']),
    "blank lines": (b'\n\n{"a":1}\n \t\n\r\n{"b":2}\n\n', ['{"a":1}', '{"b":2}']),
    "a CR before the LF is white space of the JSON": (b'{"a":1}\r\n', ['{"a":1}\r']),
    "U+2028 and U+0085 are text": ('{"a":"x\u2028y\x85z"}\n'.encode(), ['{"a":"x\u2028y\x85z"}']),
    "invalid UTF-8 becomes U+FFFD": (b'{"a":"\xff"}\n', ['{"a":"\ufffd"}']),
    "nothing": (b"", []),
}


def read(pieces) -> list[str]:
    decoder = Decoder()
    return [line for piece in pieces for line in decoder.feed(piece)] + decoder.finish()


@pytest.mark.parametrize(("stream", "lines"), CASES.values(), ids=CASES)
def test_a_stream_gives_its_lines_whole_and_byte_by_byte(stream, lines):
    assert read([stream]) == lines
    assert read(stream[at : at + 1] for at in range(len(stream))) == lines


@the_same_cases_each_time
@given(
    st.lists(st.sampled_from([b"{}", b"\n", b"\r", b"x", b" ", b"\xff", b"\xe2\x80\xa8"])).map(b"".join),
    st.data(),
)
def test_any_bytes_give_the_same_lines_however_they_are_cut(stream, data):
    places = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=6)))
    assert read(stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)) == read(
        [stream]
    )


def test_a_line_that_the_end_cuts_is_pending_until_it_is_taken():
    decoder = Decoder()
    assert decoder.feed(b'{"a":1}\n{"b"') == ['{"a":1}'] and decoder.pending
    assert decoder.finish() == ['{"b"'] and not decoder.pending
