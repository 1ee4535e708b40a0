"""What each fault makes of a script, byte for byte."""

from __future__ import annotations

import gzip
import zlib

import pytest

from onpaper.errors import BadInput
from onpaper.gateway.faults import known_faults
from onpaper.script import Script, Write

EVENTS = (
    b'data: {"id":"a","n":0}\n\n',
    b'data: {"id":"a","n":"gr\xc3\xbc\xc3\x9fe"}\n\n',
    b'data: {"id":"a","choices":[{"finish_reason":"stop"}]}\n\n',
    b"data: [DONE]\n\n",
)
SSE = (("content-type", "text/event-stream"),)
STREAM = Script(headers=SSE, writes=tuple(map(Write, EVENTS)))
CRLF = Script(writes=tuple(Write(event.replace(b"\n", b"\r\n")) for event in EVENTS))
LINES = Script(writes=(Write(b'{"n":0,"done":false}\n'), Write(b'{"done":true,"done_reason":"stop"}\n')))
JSON = Script(
    headers=(("content-type", "application/json"),),
    writes=(Write(b'{"choices":[{"finish_reason":"stop"}]}'),),
    transfer="length",
)


def change(script: Script, name: str, **parameters: object) -> Script:
    return known_faults()[name](script, **parameters)


def data(script: Script) -> list[bytes]:
    return [write.data for write in script.writes if write.data]


# ---- pacing ----


def test_latency_head_delays_the_head():
    script = change(STREAM, "latency-head", seconds=2)
    assert (script.head_after, script.head_fault) == (2, "latency-head")


def test_latency_first_delays_the_first_event_only():
    script = change(STREAM, "latency-first", seconds=2)
    assert [write.after for write in script.writes] == [2, 0, 0, 0]
    assert script.writes[0].fault == "latency-first"


def test_latency_between_delays_every_event_but_the_first():
    script = change(STREAM, "latency-between", seconds=0.5)
    assert [write.after for write in script.writes] == [0, 0.5, 0.5, 0.5]
    assert [write.fault for write in script.writes] == ["", "latency-between", "", ""]


def test_pauses_add_up():
    script = change(change(STREAM, "latency-between", seconds=0.5), "latency-between", seconds=0.25)
    assert [write.after for write in script.writes if write.data] == [0, 0.75, 0.75, 0.75]


def test_jitter_is_the_same_for_the_same_seed():
    one, same, other = (change(STREAM, "jitter", seed=seed, low=0.1, high=0.2) for seed in (1, 1, 2))
    assert one == same != other
    assert all(0.1 <= write.after <= 0.2 for write in one.writes[1:])


def test_a_stall_leaves_out_the_rest_and_hangs():
    script = change(STREAM, "stall", at=1)
    assert (data(script), script.end, script.end_fault) == ([EVENTS[0]], "hang", "stall")


def test_a_pause_between_needs_two_events():
    with pytest.raises(BadInput, match="the fault latency-between finds no two events: this reply has 1"):
        change(JSON, "latency-between", seconds=1)


# ---- cutting ----


def test_cut_leaves_out_the_event_and_those_after_it():
    script = change(STREAM, "cut", at=2)
    assert (data(script), script.end, script.end_fault) == (list(EVENTS[:2]), "cut", "cut")


def test_events_may_be_counted_from_the_end():
    assert data(change(STREAM, "cut", at=-1)) == list(EVENTS[:3])


def test_the_middle_event_is_the_default():
    assert data(change(STREAM, "cut")) == list(EVENTS[:2])


@pytest.mark.parametrize("end", ["clean", "reset", "hang"])
def test_a_cut_can_end_otherwise(end):
    assert change(STREAM, "cut", end=end).end == end


def test_an_ending_that_is_none_is_refused_with_the_known_ones():
    with pytest.raises(BadInput, match="wants end to be one of cut, clean, reset, hang, found 'boom'"):
        change(STREAM, "cut", end="boom")


def test_a_cut_reply_of_known_length_still_announces_the_whole():
    script = change(JSON, "cut-mid-event")
    assert script.length == len(JSON.body) == 2 * len(script.body)


def test_a_reply_cut_clean_announces_what_comes():
    assert change(JSON, "cut-mid-event", end="clean").length is None


def test_cut_mid_event_keeps_its_first_half():
    assert data(change(STREAM, "cut-mid-event", at=0)) == [EVENTS[0][: len(EVENTS[0]) // 2]]


def test_cut_in_utf8_ends_with_the_first_byte_of_a_character():
    last = data(change(STREAM, "cut-in-utf8"))[-1]
    assert last == b'data: {"id":"a","n":"gr\xc3'
    with pytest.raises(UnicodeDecodeError):
        last.decode()


def test_cut_in_utf8_needs_a_character_outside_ascii():
    with pytest.raises(BadInput, match="finds no character outside ASCII"):
        change(STREAM, "cut-in-utf8", at=0)


def test_cut_in_crlf_ends_with_the_cr():
    last = data(change(CRLF, "cut-in-crlf", at=1))[-1]
    assert last.endswith(b"\r\n\r")


def test_cut_in_crlf_needs_a_crlf():
    with pytest.raises(BadInput, match=r'set framing\.newline = "crlf" in the mock'):
        change(STREAM, "cut-in-crlf")


def test_cut_in_chunk_frame_writes_part_of_a_frame():
    torn = change(STREAM, "cut-in-chunk-frame", at=0).writes[-1]
    assert torn.raw
    assert torn.data == b"18\r\n" + EVENTS[0][:12]


def test_reset_fin_and_half_close_come_after_the_whole_reply():
    for name, end in (("reset", "reset"), ("fin", "cut"), ("half-close", "half-close")):
        script = change(STREAM, name)
        assert (data(script), script.end, script.end_fault) == (list(EVENTS), end, name)


def test_reset_fin_and_half_close_can_come_earlier():
    for name in ("reset", "fin", "half-close"):
        assert data(change(STREAM, name, at=1)) == [EVENTS[0]]


def test_a_reply_ends_once():
    with pytest.raises(BadInput, match="the fault reset cannot end a reply that cut ends already"):
        change(change(STREAM, "cut"), "reset")


def test_fin_needs_a_last_chunk_to_leave_out():
    with pytest.raises(BadInput, match="finds no last chunk"):
        change(JSON, "fin")


@pytest.mark.parametrize("name", ["cut", "stall", "malformed-event", "drop-event", "bad-chunk-size"])
def test_an_event_that_is_not_there_is_refused_with_those_that_are(name):
    with pytest.raises(
        BadInput, match=f"the fault {name} finds no event 9: this reply has those from 0 to 3"
    ):
        change(STREAM, name, at=9)


def test_a_reply_without_a_body_has_no_event():
    with pytest.raises(BadInput, match="this reply has no body"):
        change(Script(204), "cut")


# ---- the end of the stream ----


def test_no_sentinel_leaves_out_done_only():
    assert data(change(STREAM, "no-sentinel")) == list(EVENTS[:3])
    assert data(change(LINES, "no-sentinel")) == [b'{"n":0,"done":false}\n']


def test_no_sentinel_needs_one():
    for script in (JSON, Script(writes=(Write(b"data: x\n\n"), Write(b"data: y\n\n")))):
        with pytest.raises(BadInput, match="finds no sentinel"):
            change(script, "no-sentinel")


def test_a_text_about_done_is_no_sentinel():
    said = Script(writes=(Write(b"data: {}\n\n"), Write(b'data: {"text":"data: [DONE]"}\n\n')))
    with pytest.raises(BadInput):
        change(said, "no-sentinel")


@pytest.mark.parametrize("script", [STREAM, LINES, JSON])
def test_no_finish_makes_every_finish_reason_null(script):
    changed = change(script, "no-finish").body
    assert b'_reason":null' in changed
    assert b'"stop"' not in changed


def test_no_finish_leaves_a_text_about_finish_reasons_alone():
    said = rb'data: {"text":"\"finish_reason\":\"stop\""}' + b"\n\n"
    script = Script(writes=(Write(said), *STREAM.writes))
    assert data(change(script, "no-finish"))[0] == said


def test_after_done_speaks_the_framing_of_the_stream():
    assert data(change(STREAM, "after-done", text="x"))[-1] == b"data: x\n\n"
    assert data(change(CRLF, "after-done", text="x"))[-1] == b"data: x\r\n\r\n"
    assert data(change(LINES, "after-done", text="{}"))[-1] == b"{}\n"


# ---- events ----


def test_a_malformed_event_breaks_off_and_is_closed():
    assert data(change(STREAM, "malformed-event", at=0))[0] == b'data: {"id":"a\n\n'


def test_a_malformed_event_needs_json():
    with pytest.raises(BadInput, match="finds no JSON object"):
        change(STREAM, "malformed-event", at=-1)


def test_a_duplicate_event_comes_twice():
    assert data(change(STREAM, "duplicate-event", at=1)) == [EVENTS[0], EVENTS[1], EVENTS[1], *EVENTS[2:]]


def test_reordered_events_change_places_but_not_times():
    paced = change(STREAM, "latency-first", seconds=3)
    script = change(paced, "reorder-events", at=0)
    assert data(script) == [EVENTS[1], EVENTS[0], *EVENTS[2:]]
    assert script.writes[0].after == 3


def test_the_last_event_cannot_be_reordered():
    with pytest.raises(BadInput, match="finds no event after that one"):
        change(STREAM, "reorder-events", at=-1)


def test_a_dropped_event_leaves_its_pause():
    script = change(change(STREAM, "latency-between", seconds=1), "drop-event", at=2)
    assert data(script) == [EVENTS[0], EVENTS[1], EVENTS[3]]
    assert sum(write.after for write in script.writes) == 3


# ---- splitting ----


def test_split_adds_boundaries_and_keeps_the_bytes():
    script = change(STREAM, "split", at=[3, 30])
    assert script.body == STREAM.body
    assert data(script)[:2] == [EVENTS[0][:3], EVENTS[0][3:]]
    assert len(script.writes) == 6
    assert script.lockstep


def test_split_wants_positions_inside_the_body():
    with pytest.raises(BadInput, match="found 9999"):
        change(STREAM, "split", at=[3, 9999])
    with pytest.raises(BadInput, match="found no position"):
        change(STREAM, "split", at=[])


def test_bytewise_is_one_byte_a_write():
    script = change(STREAM, "bytewise")
    assert script.body == STREAM.body
    assert {len(write.data) for write in script.writes} == {1}
    assert script.writes[-1].fault == "bytewise"


def test_random_cuts_follow_from_the_seed():
    one, same, other = (change(STREAM, "random-cuts", seed=seed, pieces=9) for seed in (1, 1, 2))
    assert one == same != other
    assert one.body == STREAM.body
    assert len(one.writes) == 9


def test_random_cuts_keep_the_pauses():
    script = change(change(STREAM, "latency-between", seconds=1), "random-cuts", seed=1)
    assert sum(write.after for write in script.writes) == 3
    assert script.body == STREAM.body


def test_more_pieces_than_bytes_are_refused():
    with pytest.raises(BadInput, match="cannot make 9999 pieces"):
        change(STREAM, "random-cuts", seed=1, pieces=9999)


def test_coalesce_joins_so_many_events():
    assert data(change(STREAM, "coalesce", n=3)) == [b"".join(EVENTS[:3]), EVENTS[3]]
    assert data(change(STREAM, "coalesce")) == [b"".join(EVENTS)]


def test_coalesce_keeps_earlier_faults():
    script = change(change(STREAM, "drop-event", at=0), "coalesce")
    assert set(script.faults) == {"drop-event", "coalesce"}


def test_split_in_chunk_frame_tears_size_data_and_end():
    torn = change(STREAM, "split-in-chunk-frame", at=0).writes[0]
    assert torn.data == EVENTS[0]
    frame = b"%x\r\n%b\r\n" % (len(EVENTS[0]), EVENTS[0])
    first, second, third = torn.cuts
    assert frame[:first].endswith(b"\r")
    assert frame[first:second].startswith(b"\ndata")
    assert frame[third:] == b"\n"


# ---- framing and content ----


def test_length_too_long_announces_more_and_closes():
    script = change(JSON, "length-too-long", by=5)
    assert (script.transfer, script.length, script.end) == ("length", len(JSON.body) + 5, "cut")


def test_length_too_short_announces_less():
    script = change(STREAM, "length-too-short", by=5)
    assert (script.transfer, script.length, script.end) == ("length", len(STREAM.body) - 5, "clean")


def test_a_length_cannot_be_negative():
    with pytest.raises(BadInput, match="cannot announce 9999 bytes fewer than the"):
        change(JSON, "length-too-short", by=9999)


def test_a_bad_chunk_size_is_raw():
    broken = change(STREAM, "bad-chunk-size", at=0, size="-1").writes[0]
    assert broken.raw
    assert broken.data == b"-1\r\n" + EVENTS[0] + b"\r\n"


@pytest.mark.parametrize("name", ["bad-chunk-size", "cut-in-chunk-frame", "split-in-chunk-frame"])
def test_chunk_faults_need_chunks(name):
    with pytest.raises(BadInput, match="needs a chunked reply, found transfer 'length'"):
        change(JSON, name)


def test_a_bad_status_line_keeps_the_headers():
    script = change(JSON, "bad-status-line", line="ICY 200 OK")
    assert script.head.startswith(b"ICY 200 OK\r\ncontent-type: application/json\r\ncontent-length: 38\r\n")


def test_the_head_cannot_change_once_its_bytes_are_given():
    with pytest.raises(
        BadInput, match="the fault gzip changes the head, whose bytes bad-status-line gave already"
    ):
        change(change(JSON, "bad-status-line"), "gzip")


def test_no_response_sends_nothing():
    script = change(STREAM, "no-response", end="reset")
    assert (script.head, script.writes, script.end) == (b"", (), "reset")


def test_interim_103_comes_first():
    assert change(STREAM, "interim-103").preface[0].data.startswith(b"HTTP/1.1 103 Early Hints\r\n")


def test_html_502_replaces_everything():
    script = change(STREAM, "html-502")
    assert (script.status, script.headers, script.transfer) == (
        502,
        (("content-type", "text/html"),),
        "length",
    )
    assert b"<h1>502 Bad Gateway</h1>" in script.body


def test_error_in_200_is_an_error_object():
    script = change(STREAM, "error-in-200", message="busy")
    assert script.status == 200
    assert b'"message": "busy"' in script.body


def test_empty_200_keeps_the_content_type():
    script = change(STREAM, "empty-200")
    assert (script.status, script.headers, script.body) == (200, SSE, b"")


def test_a_wrong_content_type_replaces_the_right_one():
    assert change(STREAM, "wrong-content-type").headers == (("content-type", "text/plain"),)


def test_a_content_type_that_is_right_is_not_wrong():
    with pytest.raises(BadInput, match="is text/event-stream already"):
        change(STREAM, "wrong-content-type", type="text/event-stream")


def test_gzip_can_be_decoded_event_by_event():
    script = change(STREAM, "gzip")
    decoder = zlib.decompressobj(wbits=31)
    assert [decoder.decompress(write.data) for write in script.writes] == list(EVENTS)
    assert gzip.decompress(script.body) == STREAM.body
    assert ("content-encoding", "gzip") in script.headers


def test_gzip_after_a_cut_has_no_trailer():
    script = change(change(STREAM, "cut", at=1), "gzip")
    with pytest.raises(EOFError):
        gzip.decompress(script.body)


def test_gzip_is_done_once():
    with pytest.raises(BadInput, match="gzip-coded already"):
        change(change(STREAM, "gzip"), "gzip")
