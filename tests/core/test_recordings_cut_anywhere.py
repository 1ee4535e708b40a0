"""However a recorded stream is cut, it says the same: text, reasoning, counts, calls, finish and error."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onpaper.cassettes import find, load
from onpaper.contract import Contract
from onpaper.folders import search_path
from onpaper.wire.reading import Reading, read_stream

the_same_cases_each_time = settings(deadline=None, derandomize=True, max_examples=8)


def streams():
    for name, path in sorted(find(search_path("cassettes")).items()):
        cassette = load(path)
        for number, exchange in enumerate(cassette.exchanges):
            reply = exchange.reply
            if reply is not None and "event-stream" in (reply.header("content-type") or ""):
                yield pytest.param(cassette.contract, reply.body, id=f"{name}#{number}")


def pieces(body: bytes, places) -> list[bytes]:
    cuts = sorted(place % len(body) for place in places)
    return [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]


RECORDED = list(streams())


def test_there_are_recorded_streams_to_cut():
    assert len(RECORDED) > 50


@pytest.mark.parametrize(("contract", "body"), RECORDED)
@the_same_cases_each_time
@given(places=st.sets(st.integers(0, 1 << 20), min_size=1, max_size=20))
def test_a_cut_changes_nothing(contract, body, places):
    paths = Contract.load(contract).usage_paths
    whole: Reading = read_stream([body], paths)
    assert read_stream(pieces(body, places), paths) == whole


@pytest.mark.parametrize(("contract", "body"), RECORDED)
def test_byte_by_byte_it_is_the_same(contract, body):
    paths = Contract.load(contract).usage_paths
    assert read_stream((body[at : at + 1] for at in range(len(body))), paths) == read_stream([body], paths)


@pytest.mark.parametrize(("contract", "body"), RECORDED)
def test_a_recorded_stream_comes_to_its_end_or_says_what_went_wrong(contract, body):
    reading = read_stream([body], Contract.load(contract).usage_paths)
    assert reading.complete or reading.error is not None
