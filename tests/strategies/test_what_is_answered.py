"""Replies, framings, cuts and faults: what they say, and what they shrink to."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

from onpaper import folders, strategies
from onpaper.contract import Contract
from onpaper.gateway import faults
from onpaper.mock import Say
from onpaper.script import Script
from onpaper.strategies.cuts import delicate, offsets, recut
from onpaper.strategies.replies import arguments_of, framing_table, spoken
from onpaper.strategies.schedules import SILENT
from onpaper.wire.sse import Event, Framing, decode, encode, opening

OPENAI = Contract.load("openai")
BODY = "".join(f'data: {{"n":{n},"text":"é🦜"}}\r\n\r\n' for n in range(30)).encode()
some = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def smallest(strategy: st.SearchStrategy[Any], condition: Callable[[Any], Any]) -> Any:
    """What a strategy shrinks to where a condition holds."""
    chosen = settings(max_examples=2000, database=None)
    return find(strategy, lambda value: bool(condition(value)), settings=chosen, random=Random(0))


@pytest.mark.parametrize("name", folders.names("contracts"))
def test_a_strict_reader_finds_what_a_reply_says_in_every_dialect(name: str) -> None:
    contract = Contract.load(name)

    @given(strategies.replies(contract))
    @settings(some, max_examples=15)
    def holds(reply: Any) -> None:
        reading, say = reply.reading, reply.say
        if say.error is not None:
            assert not reading.complete or reply.script.status >= 400
            return
        assert reading.error is None and reading.problems == []
        assert reading.text == "".join(say.text)
        assert [(call.name, call.decoded) for call in reading.tool_calls] == [
            (call.name, arguments_of(call)) for call in say.tool_calls
        ]

    holds()


@given(strategies.framings(), st.lists(st.sampled_from(('{"a":1}', "[DONE]", '{"b":"\u2028"}')), max_size=3))
@some
def test_every_framing_carries_the_same_events(framing: Framing, data: list[str]) -> None:
    body = opening(framing) + b"".join(encode(Event("message", one), framing) for one in data)
    events, cut = decode([body])
    assert not cut
    assert [one.data.replace("\n", "") for one in events] == data


def test_a_framing_shrinks_to_the_plainest_that_will_do() -> None:
    assert framing_table(smallest(strategies.framings(), lambda framing: True)) == {}
    assert framing_table(smallest(strategies.framings(), lambda one: one.newline == "cr")) == {
        "newline": "cr"
    }


@given(strategies.cuts(BODY))
@some
def test_cuts_lose_nothing(pieces: tuple[bytes, ...]) -> None:
    assert b"".join(pieces) == BODY
    assert all(pieces)


@pytest.mark.parametrize("place", [1, 57, 200, len(BODY) - 1])
def test_cuts_shrink_to_the_one_that_matters(place: int) -> None:
    found = smallest(offsets(BODY), lambda places: place in places)
    assert found == (place,)


def test_cuts_shrink_to_the_smallest_offset_that_will_do() -> None:
    found = smallest(offsets(BODY), lambda places: any(BODY[place] & 0xC0 == 0x80 for place in places))
    assert found == (min(place for place in range(len(BODY)) if BODY[place] & 0xC0 == 0x80),)


def test_delicate_places_are_inside_characters_line_ends_and_names() -> None:
    body = "data: é\\u00e9\r\n\r\ndata: x".encode()
    found = {body[:place] for place in delicate(body)}
    assert b"data: \xc3" in found
    assert b"data: \xc3\xa9\\u00" in found
    assert b"data: \xc3\xa9\\u00e9\r" in found
    assert b"data: \xc3\xa9\\u00e9\r\n\r\nda" in found


@pytest.mark.parametrize("body", [b"", b"x"])
def test_a_body_too_short_to_cut_is_left_whole(body: bytes) -> None:
    assert smallest(offsets(body), lambda places: True) == ()


def test_a_recut_script_keeps_its_body_and_head() -> None:
    script = spoken(OPENAI, Say(text=("Hel", "lo")), stream=True).script
    cut = recut(script, (3, 10))
    assert (cut.body, cut.headers, len(cut.writes)) == (script.body, script.headers, 3)


def streamed() -> Script:
    return spoken(OPENAI, Say(text=("Hel", "lo", ", é")), stream=True).script


@given(strategies.fault_schedules(streamed()))
@some
def test_every_schedule_can_be_applied_to_its_script(schedule: Any) -> None:
    assert faults.apply(streamed(), schedule).faults


@given(strategies.fault_schedules(streamed(), without=SILENT))
@some
def test_faults_are_left_out_by_name(schedule: Any) -> None:
    assert not SILENT & {one["fault"] for one in schedule}


@given(strategies.fault_schedules(streamed(), socket=False))
@some
def test_without_a_socket_only_those_faults_are_drawn_that_need_none(schedule: Any) -> None:
    from onpaper.gateway.in_place import only_on_a_socket

    assert not only_on_a_socket(faults.apply(streamed(), schedule))


def test_every_fault_comes_up() -> None:
    drawn: set[str] = set()

    @given(strategies.fault_schedules())
    @settings(some, max_examples=500)
    def draw(schedule: Any) -> None:
        drawn.update(one["fault"] for one in schedule)

    draw()
    assert drawn == set(faults.known_faults())


def test_a_schedule_shrinks_to_one_fault() -> None:
    found = smallest(strategies.fault_schedules(streamed()), lambda schedule: True)
    assert len(found) == 1


def test_what_is_unusual_of_a_reply_is_what_it_shows() -> None:
    reply = spoken(OPENAI, Say(text=("Hi",), usage=None), stream=False)
    assert repr(reply).startswith("<openai reply: Say(text=('Hi',), usage=None), ")
