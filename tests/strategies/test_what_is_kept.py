"""Cases that were found: as mock files that say the same, and as tests that fail until the mistake is gone."""

from __future__ import annotations

import asyncio
import inspect
import tomllib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from onpaper import backends, strategies
from onpaper.backends.request import SAMPLING
from onpaper.contract import Contract
from onpaper.gateway import Gateway
from onpaper.mock import Mock, Say
from onpaper.strategies.on_replies import Cut
from onpaper.strategies.on_requests import Call, Given, Sequence
from onpaper.strategies.replies import spoken
from onpaper.strategies.search import Counterexample
from onpaper.strategies.writing import mock_file, toml, written
from onpaper.suite.verdict import Broken

VLLM = Contract.load("vllm")
FACTORY = "onpaper.backends:VLLMBackend"


def found(name: str, case: Any) -> Counterexample:
    return Counterexample(strategies.properties()[f"property/{name}"], case, Broken("it broke"))


def run(source: str) -> None:
    """Run the one test in a module's source, with a gateway."""
    space: dict[str, Any] = {}
    exec(compile(source, "written.py", "exec"), space)
    (test,) = [value for name, value in space.items() if name.startswith("test_")]
    with Gateway() as gateway:
        if inspect.iscoroutinefunction(test):
            asyncio.run(test(gateway))
        else:
            test(gateway)


class FalsyZero(backends.VLLMBackend):
    def _body(self, messages: Any, **given: Any) -> dict[str, Any]:
        body = super()._body(messages, **given)
        return body | {name: body[name] or SAMPLING[name] for name in SAMPLING}


ZERO = Given("stream", {}, {"temperature": 0})


def test_a_written_test_fails_for_the_broken_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    source = written(found("zeros-kept", ZERO), FACTORY, "vllm").test
    monkeypatch.setattr(backends, "VLLMBackend", FalsyZero)
    with pytest.raises(Broken, match="the body says"):
        run(source)


@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("zeros-kept", ZERO),
        ("precedence", Given("complete", {"top_p": 0.5}, {"stop": ["é", '"']})),
        ("not-a-number", Given("stream", {"top_p": float("nan")}, {})),
        ("same-body", Sequence(ZERO, Given("complete"))),
        ("body-accepted", Call(ZERO, [{"role": "user", "content": "\u2028'"}], None)),
        ("any-framing-any-cut", Cut(spoken(VLLM, Say(text=("é",)), stream=True), (3, 7), 2)),
        ("any-order", ("backend = Backend()", "await backend.prefill(…)")),
    ],
)
def test_a_written_test_passes_for_the_correct_backend(name: str, case: Any) -> None:
    run(written(found(name, case), FACTORY, "vllm", {"model": "m"}).test)


@given(strategies.replies(VLLM))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_written_mock_says_the_same(reply: Any) -> None:
    text = mock_file("About.", Cut(reply, ()))
    said = Mock.of(tomllib.loads(text)).replies[0]
    again = spoken(VLLM, said, stream=reply.asked.stream)
    assert again.script.body == reply.script.body
    assert again.script.status == reply.script.status


def test_a_cut_becomes_a_fault_of_the_mock() -> None:
    mock = written(
        found("any-framing-any-cut", Cut(spoken(VLLM, Say(), stream=True), (8,))), FACTORY, "vllm"
    ).mock
    assert mock is not None
    assert Mock.of(tomllib.loads(mock)).replies[0].faults == ({"fault": "split", "at": [8]},)


def test_a_case_of_a_request_needs_no_mock() -> None:
    assert written(found("zeros-kept", ZERO), FACTORY, "vllm").mock is None


@given(strategies.texts())
def test_every_text_survives_toml(text: str) -> None:
    assert tomllib.loads(f"x = {toml(text)}") == {"x": text}
