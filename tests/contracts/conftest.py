"""Asking a provider that is played strictly, and comparing a body with what was recorded."""

from __future__ import annotations

import json
from typing import NamedTuple

import pytest

from onpaper.answer import Provider
from onpaper.contract import Contract
from onpaper.exchange import Request
from onpaper.mock import Mock

HELLO = {"model": "a-model", "messages": [{"role": "user", "content": "hello"}]}


class Answer(NamedTuple):
    """`kind` is the content type, None where there is none."""

    status: int
    kind: str | None
    text: str

    @property
    def json(self) -> object:
        return json.loads(self.text)


def _ask(name, body=None, *, key="right", to="", label="", mock=None, **more) -> Answer:
    """What a strict provider, whose one right key is `right`, answers to a hello with these members.

    `label` is the Content-Type of the request, empty for none.
    """
    contract = Contract.load(name)
    provider = Provider(contract, mock and Mock.of(mock), key="right", models=["a-model"])
    method, _, path = to.partition(" ")
    headers = [("authorization", f"Bearer {key}")] if key else []
    headers += [("content-type", label)] if label else []
    content = body if isinstance(body, str) else json.dumps({**HELLO, **more} if body is None else body)
    request = Request(method or "POST", path or contract.chat_path, tuple(headers), content.encode())
    script = provider(request)
    return Answer(script.status, dict(script.headers).get("content-type"), script.body.decode())


def _same(found: object, expected: object) -> bool:
    """Whether a body is the expected one; where the expected one has `...`, any text but the empty one is."""
    if expected is ...:
        return isinstance(found, str) and bool(found)
    if isinstance(expected, dict):
        alike = isinstance(found, dict) and found.keys() == expected.keys()
        return alike and all(_same(found[key], value) for key, value in expected.items())
    if isinstance(expected, list):
        return isinstance(found, list) and len(found) == len(expected) and all(map(_same, found, expected))
    return found == expected and type(found) is type(expected)


@pytest.fixture
def ask():
    return _ask


@pytest.fixture
def same():
    return _same
