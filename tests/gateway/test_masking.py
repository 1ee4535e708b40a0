"""Credentials never leave the journal's memory."""

from __future__ import annotations

import base64
import json

import pytest

from onpaper.exchange import Chunk, Exchange, Reply, Request
from onpaper.gateway.masking import Masker, rows, secrets_of

KEY = 'sk-käy/+"canary'


@pytest.mark.parametrize(
    "headers",
    [
        (("Authorization", f"Bearer {KEY}"),),
        (("authorization", KEY),),
        (("API-KEY", KEY),),
        (("x-api-key", KEY),),
        (("x-bf-vk", KEY),),
        (("x-portkey-api-key", KEY),),
        (("cf-aig-authorization", f"Bearer {KEY}"),),
        (("x-amz-security-token", KEY),),
        (("Cookie", f"session {KEY}"),),
    ],
)
def test_a_key_is_found_in_the_headers_that_carry_keys(headers):
    assert KEY in secrets_of(Request("GET", "/", headers))


def test_a_key_is_found_in_the_query():
    assert secrets_of(Request("GET", "/x?a=1&key=sk-canary&b=2")) == {"sk-canary"}


def test_basic_credentials_are_found_decoded():
    encoded = base64.b64encode(b"user:pass-word").decode()
    assert {"user", "pass-word", "user:pass-word"} <= secrets_of(
        Request("GET", "/", (("Authorization", f"Basic {encoded}"),))
    )


@pytest.mark.parametrize(
    "shown",
    [
        KEY,
        json.dumps({"a": KEY}),
        json.dumps({"a": KEY}, ensure_ascii=False),
        "sk-k%C3%A4y%2F%2B%22canary",
        base64.b64encode(KEY.encode()).decode(),
    ],
)
def test_a_key_is_masked_in_every_spelling(shown):
    text = Masker([KEY]).text(f"before {shown} after")
    assert "canary" not in text
    assert base64.b64encode(b"canary").decode()[:6] not in text
    assert text.startswith("before ") and text.endswith(" after")


def test_a_key_of_one_exchange_is_masked_in_every_other():
    carrying = Exchange(Request("GET", "/", (("Authorization", "Bearer sk-canary"),)))
    echoing = Exchange(
        Request("GET", "/sk-canary"), Reply(200, (("x", "y"),), (Chunk(0.0, b"\xff sk-canary"),))
    )
    shown = json.dumps(rows([echoing, carrying]))
    assert "canary" not in shown
    assert base64.b64encode(b"\xff ***").decode() in shown


def test_a_header_that_is_not_known_to_be_harmless_shows_only_its_name():
    (row,) = rows([Exchange(Request("GET", "/", (("X-Whatever", "secret"), ("Accept", "*/*"))))])
    assert row["request"]["headers"] == [["X-Whatever", "***"], ["Accept", "*/*"]]


def test_a_key_in_the_query_is_masked_by_its_name():
    (row,) = rows([Exchange(Request("GET", "/v1?key=abc&model=m"))])
    assert row["request"]["target"] == "/v1?key=***&model=m"


def test_a_very_short_value_is_not_taken_for_a_key():
    assert secrets_of(Request("GET", "/", (("Authorization", "Bearer x"),))) == {"Bearer x"}
