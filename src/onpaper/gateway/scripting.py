"""From what a user writes down to an answer function: a provider, a mock by name or inline, and how
strictly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onpaper.errors import BadInput, nearest
from onpaper.gateway import faults
from onpaper.gateway.answering import Answer

KEYS: dict[str, Any] = {
    "provider": str,
    "mock": (str, Mapping),
    "strict": bool,
    "key": str,
    "models": list,
    "requests_per_minute": int,
    "tokens_per_minute": int,
}


def answer_for(said: Mapping[str, Any]) -> Answer:
    """An answer function for `{"provider": …, "mock": …, "strict": …, "key": …, "models": […],
    "requests_per_minute": …, "tokens_per_minute": …}`, all optional.

    `mock` is a name, or an object of the shape of a mock's file. Raises BadInput, also from the mock or
    contract.
    """
    from onpaper.answer import Provider
    from onpaper.contract import Contract
    from onpaper.gateway.quotas import Quotas, provider_refusal
    from onpaper.mock import Mock

    if not isinstance(said, Mapping):
        raise BadInput(f"what to play is an object with keys such as provider and mock, found {said!r}")
    for name, value in said.items():
        if name not in KEYS:
            raise BadInput(f"unknown key {name!r} in what to play{nearest(name, KEYS)}")
        if not isinstance(value, KEYS[name]) or (KEYS[name] is int and isinstance(value, bool)):
            raise BadInput(f"the key {name} in what to play has the wrong type, found {value!r}")
    mock = said.get("mock", "hello")
    contract = Contract.load(said.get("provider", "openai"))
    answer: Answer = Provider(
        contract,
        faults.check(Mock.load(mock) if isinstance(mock, str) else Mock.of(mock)),
        strict=said.get("strict", True),
        key=said.get("key"),
        models=tuple(said.get("models", ())),
        faults=faults.apply,
    )
    requests, tokens = said.get("requests_per_minute"), said.get("tokens_per_minute")
    if requests is not None or tokens is not None:
        answer = Quotas(answer, requests, tokens, refuse=provider_refusal(contract))
    return answer
