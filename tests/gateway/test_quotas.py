"""Quotas per key, by a clock that the test turns."""

from __future__ import annotations

import json

import pytest

from onpaper.contract import Contract
from onpaper.errors import BadInput
from onpaper.exchange import Request
from onpaper.gateway.quotas import Quotas, estimate_tokens, provider_refusal
from onpaper.script import Script

LIMITED = Script(
    headers=(("x-ratelimit-remaining-requests", "?"), ("x-ratelimit-reset-requests", "?"), ("other", "x"))
)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def ask(key: str = "k", text: str = "", **body: object) -> Request:
    content = json.dumps({"messages": [{"content": text}], **body}).encode()
    return Request("POST", "/v1/chat/completions", (("authorization", f"Bearer {key}"),), content)


def test_beyond_the_quota_of_requests_there_is_a_429_until_time_has_passed():
    clock = Clock()
    quotas = Quotas(lambda request: Script(), requests_per_minute=2, clock=clock)
    assert [quotas(ask()).status for _ in range(3)] == [200, 200, 429]
    clock.now = 29.9
    assert quotas(ask()).status == 429
    clock.now = 30.1
    assert quotas(ask()).status == 200


def test_each_key_has_its_own_quota():
    quotas = Quotas(lambda request: Script(), requests_per_minute=1, clock=Clock())
    assert [quotas(ask(key)).status for key in "aabb"] == [200, 429, 200, 429]


def test_the_refusal_says_when_to_come_back():
    quotas = Quotas(lambda request: Script(), requests_per_minute=2, clock=Clock())
    quotas(ask()), quotas(ask())
    assert ("retry-after", "30") in quotas(ask()).headers


def test_tokens_are_counted_from_the_text_and_the_most_that_may_come():
    assert estimate_tokens(ask(text="x" * 4000, max_tokens=500)) - 500 in range(1000, 1020)
    assert estimate_tokens(Request("POST", "/", body=b"no json")) == 1
    assert estimate_tokens(ask(max_tokens=True)) < 20


def test_beyond_the_quota_of_tokens_there_is_a_429():
    quotas = Quotas(lambda request: Script(), tokens_per_minute=1000, clock=Clock())
    assert quotas(ask(max_tokens=900)).status == 200
    assert quotas(ask(max_tokens=900)).status == 429
    assert quotas(ask(max_tokens=10)).status == 200


def test_a_refused_request_costs_nothing():
    clock = Clock()
    quotas = Quotas(lambda request: Script(), requests_per_minute=60, tokens_per_minute=100, clock=clock)
    assert [quotas(ask(max_tokens=1000)).status for _ in range(60)] == [429] * 60
    assert quotas(ask()).status == 200


def test_what_is_not_billed_does_not_count():
    quotas = Quotas(lambda request: Script(), requests_per_minute=1, clock=Clock())
    assert [quotas(Request("GET", "/v1/models")).status for _ in range(5)] == [200] * 5


def test_the_provider_s_headers_tell_what_is_left():
    clock = Clock()
    quotas = Quotas(lambda request: LIMITED, requests_per_minute=60, clock=clock)
    first = dict(quotas(ask()).headers)
    assert first == {
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "other": "x",
    }
    assert dict(quotas(ask()).headers)["x-ratelimit-remaining-requests"] == "58"


def test_the_refusal_can_be_the_provider_s_own():
    quotas = Quotas(
        lambda request: Script(), 1, refuse=provider_refusal(Contract.load("openai")), clock=Clock()
    )
    quotas(ask())
    refused = quotas(ask())
    assert refused.status == 429
    assert json.loads(refused.body)["error"]["code"] == "rate_limit_exceeded"
    assert ("retry-after", "60") in refused.headers


@pytest.mark.parametrize("limits", [(0, None), (None, -1)])
def test_a_quota_is_at_least_one(limits):
    with pytest.raises(BadInput, match="a quota is at least 1 per minute"):
        Quotas(lambda request: Script(), *limits)
