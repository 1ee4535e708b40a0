"""The provider's own words, out of every shape they come in."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

import pytest

from onpaper.backends.envelope import Words, error_in, retry_after, words_of

ENVELOPES = {
    "OpenAI": (
        {"error": {"message": "no", "type": "invalid_request_error", "param": "top_k", "code": "unknown"}},
        Words("no", "unknown", "invalid_request_error", "top_k"),
    ),
    "vLLM, a number as code": (
        {"error": {"message": "no", "type": "BadRequestError", "param": None, "code": 400}},
        Words("no", 400, "BadRequestError", status=400),
    ),
    "vLLM of 2025, flat": (
        {"object": "error", "message": "no", "type": "BadRequestError", "param": None, "code": 400},
        Words("no", 400, "BadRequestError", status=400),
    ),
    "LiteLLM, a text as code": (
        {"error": {"message": "no", "type": None, "param": None, "code": "400"}},
        Words("no", "400", status=400),
    ),
    "a plain text": ({"error": "no"}, Words("no")),
    "xAI, prose beside it": ({"code": "Client specified", "error": "no"}, Words("no", "Client specified")),
    "TGI": ({"error": "no", "error_type": "template_error"}, Words("no", type="template_error")),
    "Gemini, an array": ([{"error": {"code": 400, "message": "no"}}], Words("no", 400, status=400)),
    "Mistral, validation": (
        {"object": "error", "message": {"detail": [{"loc": ["body", "n"], "msg": "extra"}]}, "code": None},
        Words("body.n: extra"),
    ),
    "Mistral, its own codes": (
        {"message": "no", "code": "3051", "raw_status_code": 400},
        Words("no", "3051", status=400),
    ),
    "FastAPI": ({"detail": [{"loc": ["body", 3], "msg": "a"}, {"msg": "b"}]}, Words("body.3: a; b")),
    "a detail": ({"detail": "no"}, Words("no")),
    "Fireworks": ({"fault": {"faultstring": "no", "detail": {"errorcode": "x"}}}, Words("no")),
    "Cloudflare": (
        {"result": None, "success": False, "errors": [{"code": 10000, "message": "no"}]},
        Words("no", 10000),
    ),
    "Databricks": ({"error_code": "BAD_REQUEST", "message": "no"}, Words("no", "BAD_REQUEST")),
    "Venice": ({"error_type": "t", "error_message": "no"}, Words("no", type="t")),
    "RFC 9457": (
        {"type": "urn:x", "title": "Unprocessable", "status": 422, "detail": "no"},
        Words("no", None, "urn:x", status=422),
    ),
    "OpenRouter, the reason within": (
        {"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": "too long"}}},
        Words("Provider returned error: too long", 400, status=400),
    ),
    "Groq, in a stream": (
        {"error": {"message": "no", "code": "tool_use_failed", "status_code": 400}},
        Words("no", "tool_use_failed", status=400),
    ),
    "nothing known": ({"error": {"reason": "odd"}}, Words('{"reason": "odd"}')),
}


@pytest.mark.parametrize("name", ENVELOPES)
def test_every_known_envelope_gives_its_words(name: str) -> None:
    value, words = ENVELOPES[name]
    assert words_of(value) == words


@pytest.mark.parametrize("value", [None, 7, True, [], {}, {"ok": 1}])
def test_what_is_no_envelope_has_no_words(value: Any) -> None:
    assert words_of(value) == Words()


@pytest.mark.parametrize(
    "value",
    [
        {"choices": [{"delta": {"content": "x"}}], "error": {"message": "no"}},
        {"choices": [], "error": "no"},
        {"object": "error", "message": "no"},
        [{"error": {"message": "no"}}],
    ],
)
def test_an_error_inside_a_reply_is_found_whatever_else_it_holds(value: Any) -> None:
    found = error_in(value)
    assert found is not None
    assert found.message == "no"


@pytest.mark.parametrize(
    "value",
    [
        {"choices": [{"delta": {"content": "x"}}], "error": None},
        {"choices": [{"delta": {}}], "message": "no error"},
        {"choices": None, "usage": {"prompt_tokens": 1}},
        {"message": {"role": "assistant", "content": "x"}, "done": False},
        {"type": "ping"},
        "text",
        None,
    ],
)
def test_a_reply_without_an_error_is_none(value: Any) -> None:
    assert error_in(value) is None


def test_a_wait_is_told_in_seconds() -> None:
    assert retry_after({"retry-after": "7"}) == 7
    assert retry_after({"retry-after": "0.5"}) == 0.5


def test_a_wait_is_told_as_a_date() -> None:
    wait = retry_after({"retry-after": formatdate(time.time() + 100, usegmt=True)})
    assert wait is not None
    assert 95 < wait <= 100


def test_a_date_that_has_passed_is_no_wait() -> None:
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0


def test_milliseconds_are_finer_and_win() -> None:
    assert retry_after({"retry-after": "1", "retry-after-ms": "250"}) == 0.25


def test_a_proxys_prefixed_header_counts() -> None:
    assert retry_after({"llm_provider-retry-after": "20"}) == 20


@pytest.mark.parametrize("value", ["", "soon", "-1", "nan", "inf", "Wed, 99 Oct 2015"])
def test_a_wait_that_cannot_be_read_is_none(value: str) -> None:
    assert retry_after({"retry-after": value}) is None
