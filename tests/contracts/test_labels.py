"""JSON that a request calls something else: who refuses it, as recorded in November 2026, and who takes it."""

from __future__ import annotations

import json

import pytest

from onpaper.answer import Provider
from onpaper.contract import Contract
from onpaper.exchange import Request

HELLO = '{"model": "a-model", "messages": [{"role": "user", "content": "hello"}]}'
JSON, UTF8 = "application/json", "application/json; charset=utf-8"
VLLM = "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed"
RUST = {"message": "Missing Content-Type: application/json header", "type": "invalid_request_error"}
PORTKEY = {"status": "failure", "message": "Invalid content type passed"}
NO_DICT = {"type": "dict_type", "loc": ["body"], "msg": "Input should be a valid dictionary", "input": HELLO}
REFUSED = {
    "vllm": (400, JSON, {"error": {"message": VLLM, "type": "Bad Request", "param": None, "code": 400}}),
    "smg": (400, JSON, {"error": {**RUST, "param": None, "code": "json_parse_error"}}),
    "sglang-router": (400, JSON, {"error": {**RUST, "code": "json_parse_error"}}),
    "portkey": (400, JSON, PORTKEY),
    "portkey@llamacpp": (400, JSON, PORTKEY),
    "transformers-serve": (422, JSON, {"detail": [NO_DICT]}),
    "musistudio-llms": (400, UTF8, {"error": "Missing model in request body"}),
}
TAKEN = ["llamacpp", "mlx-lm", "litellm", "openai"]


@pytest.mark.parametrize(("name", "expected"), REFUSED.items())
def test_a_body_that_is_called_a_text_is_refused_as_recorded(ask, name, expected):
    answer = ask(name, HELLO, label="text/plain")
    assert (answer.status, answer.kind, answer.json) == expected


@pytest.mark.parametrize("label", ["", JSON, "Application/JSON ;charset=utf-8"])
@pytest.mark.parametrize("name", REFUSED)
def test_a_body_that_is_called_json_or_nothing_is_taken(ask, name, label):
    assert ask(name, HELLO, label=label).status == 200


@pytest.mark.parametrize("name", TAKEN)
def test_the_others_look_at_no_label(ask, name):
    assert ask(name, HELLO, label="text/plain").status == 200


def test_the_same_body_under_another_label_is_another_request():
    contract = Contract.load("vllm")
    provider = Provider(contract)
    labels = (JSON, "text/plain", JSON)
    asked = (
        Request("POST", contract.chat_path, (("content-type", label),), HELLO.encode()) for label in labels
    )
    assert [provider(request).status for request in asked] == [200, 400, 200]


def test_with_refusals_off_no_label_is_looked_at():
    contract = Contract.load("vllm")
    asked = Request("POST", contract.chat_path, (("content-type", "text/plain"),), HELLO.encode())
    assert json.loads(Provider(contract, strict=False)(asked).body)["object"] == "chat.completion"
