"""What a streamed reply says: its text, reasoning and refusal, its end, and what makes it broken."""

from __future__ import annotations

import json

import pytest

from onpaper.wire.reading import USAGE_PATHS, count, read_lines, read_stream


def test_the_text_is_the_pieces_in_their_order(read, delta):
    reading = read(
        delta(role="assistant", content=""), delta(content="Hel"), delta(content="lo"), delta("stop")
    )
    assert (reading.text, reading.pieces, reading.finish) == ("Hello", ["Hel", "lo"], "stop")
    assert reading.complete and reading.sentinel and reading.chunks == 4


@pytest.mark.parametrize(
    ("content", "text", "reasoning"),
    [
        ("a", "a", ""),
        (None, "", ""),
        ("", "", ""),
        ([], "", ""),
        (["a", "b"], "ab", ""),
        ([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {}}], "a", ""),
        (
            [
                {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                {"type": "text", "text": "a"},
            ],
            "a",
            "hm",
        ),
        ([{"type": "reasoning", "summary": "hm"}], "", "hm"),
        ([{"type": "text", "text": None}, 7], "", ""),
        (7, "", ""),
    ],
)
def test_content_is_text_null_or_parts(read, delta, content, text, reasoning):
    reading = read(delta(content=content))
    assert (reading.text, reading.reasoning) == (text, reasoning)


@pytest.mark.parametrize(
    ("members", "reasoning"),
    [
        ({"reasoning_content": "hm"}, "hm"),
        ({"reasoning": "hm"}, "hm"),
        ({"reasoning": "hm", "reasoning_content": "hm"}, "hm"),
        (
            {
                "reasoning": "",
                "reasoning_content": None,
                "reasoning_details": [{"text": "h"}, {"summary": "m"}],
            },
            "hm",
        ),
        ({"reasoning": {"text": "hm"}}, ""),
    ],
)
def test_reasoning_is_read_once_wherever_it_stands(read, delta, members, reasoning):
    assert read(delta(**members)).reasoning == reasoning


def test_a_refusal_is_put_together_apart_from_the_text(read, delta):
    reading = read(delta(refusal="I "), delta(refusal="won't."), delta("stop"))
    assert (reading.refusal, reading.text) == ("I won't.", "")


@pytest.mark.parametrize(
    "choices", [None, [], {}, "x", [None], [7], [{}], [{"delta": None}], [{"delta": []}]]
)
def test_a_chunk_that_says_nothing_is_nothing(read, delta, choices):
    reading = read({"id": "x", "choices": choices}, delta(content="a"), delta("stop"))
    assert (reading.text, reading.problems, reading.error) == ("a", [], None)


def test_only_the_choice_with_index_0_is_the_reply(read):
    chunk = {"choices": [{"index": 1, "delta": {"content": "no"}}, {"index": 0, "delta": {"content": "yes"}}]}
    assert read(chunk).text == "yes"


def test_a_choice_without_an_index_is_the_reply(read):
    assert read({"choices": [{"delta": {"content": "yes"}}]}).text == "yes"


def test_nothing_after_the_sentinel_counts(read, delta):
    assert read(delta(content="a"), "[DONE]", delta(content="b"), {"error": {"message": "late"}}).text == "a"


def test_the_sentinel_may_have_blanks_around_it(read, delta):
    assert read(delta(content="a"), "  [DONE] ", done=False).sentinel


def test_an_event_with_empty_data_is_nothing(read, delta):
    reading = read("", delta(content="a"), "  ", delta("stop"))
    assert reading.problems == [] and reading.chunks == 2


@pytest.mark.parametrize(
    ("chunks", "done", "complete", "problem"),
    [
        (["text", "finish"], True, True, ""),
        (["text", "finish"], False, True, ""),
        (["text"], True, True, ""),
        (["text"], False, False, "without a finish reason and without [DONE]"),
        ([], False, False, "without a finish reason and without [DONE]"),
        (["text", '{"choices": [{"delta"'], True, False, "a chunk is not JSON"),
        (["text", "[1]"], True, False, "a chunk is not an object"),
        (["text", "null"], True, False, "a chunk is not an object"),
        (["text", "[" * 100_000], True, False, "a chunk is not JSON"),
    ],
)
def test_a_stream_is_complete_when_it_says_that_it_ends_and_nothing_in_it_is_broken(
    read, delta, chunks, done, complete, problem
):
    named = {"text": delta(content="a"), "finish": delta("stop")}
    reading = read(*(named.get(chunk, chunk) for chunk in chunks), done=done)
    assert reading.complete is complete
    assert problem in "".join(reading.problems) and bool(reading.problems) is bool(problem)


def test_a_stream_that_ends_inside_an_event_is_broken(stream, delta):
    body = stream(delta(content="a"), delta("stop"), done=False)
    assert read_stream([body]).complete
    assert read_stream([body[:-1]]).problems[0] == "the stream ends inside an event"


def test_what_follows_the_sentinel_inside_an_event_is_not_broken(stream, delta):
    assert read_stream([stream(delta(content="a")), b"data: {"]).complete


@pytest.mark.parametrize(
    ("value", "known"),
    [
        (0, 0),
        (7, 7),
        (7.0, 7),
        (-1, None),
        (7.5, None),
        ("7", None),
        (None, None),
        (True, None),
        ([7], None),
        (10**400, 10**400),
        (float("inf"), None),
        (float("-inf"), None),
        (float("nan"), None),
    ],
)
def test_a_count_is_a_whole_number_from_0_on_or_unknown(value, known):
    assert count(value) == known


LINE = {"model": "m", "message": {"role": "assistant", "content": "a", "thinking": "hm"}, "done": False}
LAST = {"model": "m", "message": {"content": ""}, "done": True, "done_reason": "stop"}
COUNTS = {"prompt_eval_count": 3, "eval_count": 4}


def lines(*values, newline: str = "\n") -> bytes:
    return "".join(
        (value if isinstance(value, str) else json.dumps(value)) + newline for value in values
    ).encode()


def test_lines_say_text_reasoning_counts_and_the_end():
    reading = read_lines([lines(LINE, LINE, LAST | COUNTS)])
    assert (reading.text, reading.reasoning, reading.finish, reading.complete) == ("aa", "hmhm", "stop", True)
    assert reading.usage is not None and (reading.usage.prompt, reading.usage.completion) == (3, 4)


def test_lines_carry_tool_calls_with_objects_as_arguments():
    call = {"function": {"name": "f", "arguments": {"x": 1}}}
    reading = read_lines([lines({"message": {"tool_calls": [call]}, "done": False}, LAST)])
    assert [(one.name, one.arguments, one.decoded) for one in reading.tool_calls] == [
        ("f", {"x": 1}, {"x": 1})
    ]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (lines(LINE), "without a line that says done"),
        (lines(LINE, "{", LAST), "a line is not JSON"),
        (lines(LINE, "[]", LAST), "a line is not an object"),
        (lines(LINE, "[" * 100_000, LAST), "a line is not JSON"),
        (b"", "without a line that says done"),
    ],
)
def test_lines_that_are_broken_say_how(body, problem):
    reading = read_lines([body])
    assert problem in "".join(reading.problems) and not reading.complete


def test_an_error_among_the_lines_is_the_reply_s():
    reading = read_lines([lines(LINE, {"error": "out of memory"})])
    assert reading.error is not None and reading.error.message == "out of memory" and reading.problems == []


def test_the_last_line_may_lack_its_newline():
    assert read_lines([lines(LINE, LAST).rstrip()]).complete


def test_the_usual_places_of_counts_are_the_chunk_and_its_choices():
    assert USAGE_PATHS == ("usage", "choices.*.usage")
