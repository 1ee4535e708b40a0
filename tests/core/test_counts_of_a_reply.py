"""Where counts are looked for, which win, and that none is ever added up or made up."""

from __future__ import annotations

import json

import pytest

from onpaper.wire.reading import USAGE_PATHS, Usage, read_reply, read_stream


def usage(prompt, completion):
    return {"prompt_tokens": prompt, "completion_tokens": completion}


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([{"choices": [], "usage": usage(3, 4)}], Usage(3, 4)),
        ([{"choices": [{"delta": {}, "usage": usage(3, 4)}]}], Usage(3, 4)),
        ([{"choices": [], "usage": usage(1, 1)}, {"choices": [], "usage": usage(3, 4)}], Usage(3, 4)),
        ([{"choices": [], "usage": usage(3, 4)}, {"choices": [], "usage": None}], Usage(3, 4)),
        ([{"choices": [], "usage": usage(3, 4)}, {"choices": [], "usage": {}}], Usage(3, 4)),
        ([{"choices": [{"usage": usage(9, 9)}], "usage": usage(3, 4)}], Usage(3, 4)),
        ([{"choices": [{"usage": usage(3, 4)}], "usage": None}], Usage(3, 4)),
        ([{"choices": [], "usage": usage("3", -4)}], None),
        ([{"choices": [], "usage": usage(3, None)}], Usage(3, None)),
        ([{"choices": [], "usage": usage(0, 0)}], Usage(0, 0)),
        ([{"choices": [], "usage": [3, 4]}], None),
        ([{"choices": []}], None),
    ],
)
def test_the_last_counts_win_and_are_never_summed(read, chunks, expected):
    assert read(*chunks).usage == expected


def test_a_contract_may_name_further_places(stream):
    body = stream({"choices": [], "x_groq": {"usage": usage(3, 4)}})
    assert read_stream([body]).usage is None
    assert read_stream([body], (*USAGE_PATHS, "x_groq.usage")).usage == Usage(3, 4)


def test_the_first_place_that_holds_counts_wins_in_one_chunk(stream):
    body = stream({"choices": [], "usage": usage(3, 4), "x_groq": {"usage": usage(9, 9)}})
    assert read_stream([body], (*USAGE_PATHS, "x_groq.usage")).usage == Usage(3, 4)


def test_a_reply_in_one_piece_is_counted_the_same_way():
    message = {"index": 0, "message": {"content": "a"}, "finish_reason": "stop", "usage": usage(3, 4)}
    assert read_reply(json.dumps({"choices": [message]}).encode()).usage == Usage(3, 4)
