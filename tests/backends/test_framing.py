"""Bytes to events: server-sent events and lines of JSON."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onpaper.backends.errors import UnusableReply
from onpaper.backends.framing import Event, NDJSONReader, SSEReader


def read(pieces: Iterable[bytes]) -> list[Event]:
    reader = SSEReader()
    return [event for piece in pieces for event in reader.feed(piece)] + reader.finish()


def data(*pieces: bytes) -> list[str]:
    return [event.data for event in read(pieces)]


def lines(*pieces: bytes) -> list[str]:
    reader = NDJSONReader()
    return [event.data for piece in pieces for event in reader.feed(piece)] + [
        e.data for e in reader.finish()
    ]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lf_crlf_and_cr_end_a_line(end: bytes) -> None:
    assert data(end.join([b"data: a", b"", b"data: b", b"", b""])) == ["a", "b"]


def test_line_ends_may_be_mixed() -> None:
    assert data(b"data: a\r\n\rdata: b\n\r\ndata: c\r\r") == ["a", "b", "c"]


def test_a_crlf_cut_in_two_is_one_line_end() -> None:
    assert data(b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n") == ["a\nb"]


def test_a_leading_bom_is_dropped_also_when_it_is_cut() -> None:
    assert data(b"\xef", b"\xbb", b"\xbfda", b"ta: a\n\n") == ["a"]


def test_a_bom_that_does_not_lead_is_text() -> None:
    assert data(b"data: \xef\xbb\xbfa\n\n") == ["\ufeffa"]


def test_the_space_after_the_colon_is_optional_and_only_one_is_dropped() -> None:
    assert data(b"data:a\n\ndata:  b\n\n") == ["a", " b"]


def test_several_data_lines_are_joined_by_a_line_feed() -> None:
    assert data(b"data: a\ndata\ndata: b\n\n") == ["a\n\nb"]


def test_comments_unknown_fields_ids_and_retries_are_no_events() -> None:
    assert data(b": hello\n\nfoo: bar\nid: 1\nretry: 10\n\nevent: ping\n\n:\n\n") == []


def test_the_event_type_holds_for_one_event_only() -> None:
    assert read([b"event: error\ndata: a\n\ndata: b\n\n"]) == [Event("a", "error"), Event("b", "")]


def test_a_line_named_error_is_an_error_event() -> None:
    assert read([b'error: {"code":500}\n\n']) == [Event('{"code":500}', "error")]


def test_unicode_line_separators_are_text() -> None:
    odd = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\x1dh\x1ei"
    assert data(f"data: {odd}\n\n".encode()) == [odd]


def test_invalid_utf8_becomes_a_replacement_character_and_no_event_is_lost() -> None:
    assert data(b"data: a\xffb\n\ndata: c\n\n") == ["a\ufffdb", "c"]


def test_an_event_that_the_end_cuts_off_is_discarded() -> None:
    assert data(b"data: a\n\ndata: b\n") == ["a"]


@given(
    st.lists(
        st.sampled_from([b"data: ", b"x", b"\r", b"\n", b"\xe2\x80\xa8", b":", b"\xef\xbb\xbf", b"event"])
    )
)
def test_however_a_stream_is_cut_the_events_are_the_same(parts: list[bytes]) -> None:
    whole = b"".join(parts)
    assert read(whole[i : i + 1] for i in range(len(whole))) == read([whole])


def test_a_line_of_a_megabyte_in_small_pieces_is_read_in_linear_time() -> None:
    started = time.process_time()
    assert len(data(b"data: ", *[b"x" * 16] * 65_536, b"\n\n")[0]) == 1_048_576
    assert time.process_time() - started < 5


@pytest.mark.parametrize("reader", [SSEReader(100), NDJSONReader(100)])
def test_a_line_beyond_the_bound_raises(reader: SSEReader | NDJSONReader) -> None:
    reader.feed(b"data: " + b"x" * 90)
    with pytest.raises(UnusableReply, match="larger than 100 bytes"):
        reader.feed(b"x" * 90)


def test_an_event_of_many_lines_beyond_the_bound_raises() -> None:
    reader = SSEReader(100)
    with pytest.raises(UnusableReply, match="larger than 100 bytes"):
        for _ in range(20):
            reader.feed(b"data: 0123456789\n")


def test_lines_of_json_end_with_a_line_feed_and_nothing_else() -> None:
    assert lines(b'{"a":"\xe2\x80', b'\xa8"}\r\n\n  \n{"b', b'":1}\n') == ['{"a":"\u2028"}\r', '{"b":1}']


def test_a_last_line_of_json_without_its_end_counts_when_it_is_whole() -> None:
    assert lines(b'{"a":1}\n{"b":2}') == ['{"a":1}', '{"b":2}']
    assert lines(b'{"a":1}\n{"b":') == ['{"a":1}']


def test_lines_of_json_may_begin_with_a_bom() -> None:
    assert lines(b"\xef\xbb\xbf{}\n") == ["{}"]
