"""Errors that a reply reports itself: every envelope seen in the wild, and what is no error."""

from __future__ import annotations

import json

import pytest

from onpaper.wire.reading import Fault, fault_of, read_reply, read_stream

ENVELOPES = [
    ({"error": {"message": "m", "type": "t", "code": "c"}}, Fault("m", "c", "t")),
    (
        {"error": {"message": "m", "code": 429, "status": "RESOURCE_EXHAUSTED"}},
        Fault("m", 429, "RESOURCE_EXHAUSTED"),
    ),
    ({"error": {"detail": "m"}}, Fault("m")),
    ({"error": {"reason": "m"}}, Fault('{"reason": "m"}')),
    ({"error": "m"}, Fault("m")),
    ({"error": "m", "error_type": "t", "code": 1}, Fault("m", 1, "t")),
    ({"error": ["m"]}, Fault('["m"]')),
    ([{"error": {"message": "m", "code": 400}}], Fault("m", 400)),
    ({"object": "error", "message": "m", "type": "t", "code": 40401}, Fault("m", 40401, "t")),
    ({"error_code": "BAD", "message": "m"}, Fault("m", "BAD")),
    ({"detail": "m"}, Fault("m")),
    ({"detail": [{"loc": ["body"], "msg": "m"}]}, Fault('[{"loc": ["body"], "msg": "m"}]')),
    ({"errors": ["m"]}, Fault('["m"]')),
    ({"fault": {"faultstring": "m"}}, Fault('{"faultstring": "m"}')),
    ({"title": "m", "status": 400}, Fault("m")),
    ({"choices": [], "error": {"message": "m"}}, Fault("m")),
]
NO_ERRORS = [
    {"choices": [{"delta": {"content": "a"}}]},
    {"choices": [], "error": None},
    {"choices": [], "error": {}},
    {"choices": [], "error": ""},
    {"choices": [], "message": "hello"},
    {"message": {"content": "a"}, "done": False},
    {"id": "x"},
    [],
    [1, 2],
    "error",
    None,
    7,
]


@pytest.mark.parametrize(("value", "fault"), ENVELOPES)
def test_an_error_is_found_in_every_envelope(value, fault):
    assert fault_of(value) == fault


@pytest.mark.parametrize("value", NO_ERRORS)
def test_what_reports_no_error_is_none(value):
    assert fault_of(value) is None


def test_an_error_among_the_chunks_is_the_stream_s_and_the_first_one_is_kept(read, delta):
    reading = read(
        delta(content="a"), {"error": {"message": "first"}}, {"error": {"message": "second"}}, delta("stop")
    )
    assert reading.error == Fault("first") and reading.text == "a" and not reading.complete


def test_an_error_is_the_whole_end_of_a_stream(read, delta):
    assert read(delta(content="a"), {"error": {"message": "m"}}, done=False).problems == []


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ('{"error": {"message": "m"}}', Fault("m")),
        ("out of memory", Fault("out of memory")),
        ('{"x": 1}', Fault('{"x": 1}')),
    ],
)
def test_an_event_of_the_type_error_is_an_error_whatever_it_holds(data, fault):
    assert read_stream([f"event: error\ndata: {data}\n\n".encode()]).error == fault


def test_an_error_in_the_choice_is_the_stream_s(read):
    reading = read(
        {
            "choices": [
                {"delta": {"content": ""}, "error": {"message": "m", "code": 502}, "finish_reason": "error"}
            ]
        }
    )
    assert reading.error == Fault("m", 502)


def test_a_finish_reason_that_says_error_is_one(read, delta):
    assert read(delta("error")).error == Fault("finish_reason is error", "error")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"<html>", "the body is not JSON"),
        (b"[]", "the body is not an object"),
        (b"null", "the body is not an object"),
        (b"{}", "the reply has no choices"),
        (b'{"choices": []}', "the reply has no choices"),
        (b'{"choices": null}', "the reply has no choices"),
        (b'{"choices": [{"index": 1}]}', "the reply has no choices"),
        (b'{"a": ' + b"[" * 100_000, "the body is not JSON"),
        (b"\xff", "the body is not JSON"),
    ],
)
def test_a_reply_that_is_none_says_how(body, problem):
    assert problem in read_reply(body).problems[0]


def test_an_error_is_no_reply_without_choices():
    reading = read_reply(b'{"error": {"message": "m"}}')
    assert reading.error == Fault("m") and reading.problems == []


def test_an_error_in_the_choice_of_a_reply_is_the_reply_s():
    body = {"choices": [{"message": {"content": ""}, "error": {"message": "m"}}]}
    assert read_reply(json.dumps(body).encode()).error == Fault("m")


def test_a_reply_says_text_reasoning_refusal_and_finish():
    message = {"content": "a", "reasoning_content": "hm", "refusal": "no"}
    body = {
        "choices": [{"index": 1, "message": {}}, {"index": 0, "message": message, "finish_reason": "stop"}]
    }
    reading = read_reply(json.dumps(body).encode())
    assert (reading.text, reading.reasoning, reading.refusal, reading.finish) == ("a", "hm", "no", "stop")
    assert reading.complete
