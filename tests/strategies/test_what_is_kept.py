"""Cases that were found: as mock files that say the same, and as tests that fail until the mistake is gone."""

from __future__ import annotations

import asyncio
import inspect
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from onpaper import backends, strategies
from onpaper.answer import Provider
from onpaper.backends.request import SAMPLING
from onpaper.contract import Contract
from onpaper.driving.verdict import Broken
from onpaper.exchange import Request
from onpaper.gateway import Gateway, faults
from onpaper.mock import Mock, Say
from onpaper.strategies.calls import Call, Given, Sequence
from onpaper.strategies.on_replies import Cut, Faulty
from onpaper.strategies.replies import spoken
from onpaper.strategies.search import Counterexample
from onpaper.strategies.written import as_mock, as_test

VLLM = Contract.load("vllm")
OLLAMA = Contract.load("ollama")
MESSAGES = [{"role": "user", "content": "hi"}]
TOOL_HISTORY = [
    {"role": "user", "content": "\u2028'\""},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call00001", "type": "function", "function": {"name": "x", "arguments": {}}}],
    },
    {"role": "tool", "tool_call_id": "call00001", "content": "ok"},
]
HELLO = Say(text=("Hel", "lo"))


def found(name: str, case: Any) -> Counterexample:
    return Counterexample(strategies.properties()[f"property/{name}"], case, Broken("it broke"))


def run(case: Counterexample, backend: type, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Run the written test on a backend, with a gateway and the written mock in the working directory."""
    monkeypatch.setattr(backends, "Subject", backend, raising=False)
    monkeypatch.chdir(folder)
    (folder / "mocks").mkdir()
    (folder / "mocks" / f"found-{case.property.id.partition('/')[2]}.toml").write_text(as_mock(case), "utf-8")
    space: dict[str, Any] = {}
    source = as_test(case, "onpaper.backends:Subject", backend.name, "m", {})  # type: ignore[attr-defined]
    exec(compile(source, "written.py", "exec"), space)
    (test,) = [value for name, value in space.items() if name.startswith("test_")]
    with Gateway() as gateway:
        outcome = test(gateway)
        if inspect.isawaitable(outcome):
            asyncio.run(_finished(outcome))


async def _finished(outcome: Any) -> None:
    await outcome


class FalsyZero(backends.VLLMBackend):
    def _body(self, messages: Any, **given: Any) -> dict[str, Any]:
        body = super()._body(messages, **given)
        return body | {name: body[name] or SAMPLING[name] for name in SAMPLING}


class SendsAnything(backends.VLLMBackend):
    def _content(self, messages: Any, stream: bool, max_tokens: Any, sampling: Any, *more: Any) -> bytes:
        return json.dumps({"model": "m", "messages": messages, "stream": stream} | sampling).encode()


class TakesAnything(SendsAnything):
    def __init__(self, *, sampling: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sampling = sampling


class ChangesMessages(backends.VLLMBackend):
    def _body(self, messages: Any, **given: Any) -> dict[str, Any]:
        body = super()._body(messages, **given)
        messages[0]["content"] = "changed"
        return body


class Leaks(backends.VLLMBackend):
    def _body(self, messages: Any, **given: Any) -> dict[str, Any]:
        self.sampling |= {"top_p": given["sampling"]["top_p"]}
        return super()._body(messages, **given)


class LosesText(backends.VLLMBackend):
    def _read_event(self, reply: Any, event: Any) -> str:
        return super()._read_event(reply, event)[:1]


class LosesAnswers(backends.OllamaBackend):
    def _read_whole(self, reply: Any, value: dict[str, Any]) -> None:
        super()._read_whole(reply, value | {"message": {"content": ""}})


class TakesAnyEnd(backends.VLLMBackend):
    def _read_event(self, reply: Any, event: Any) -> str:
        piece = super()._read_event(reply, event)
        reply.finish_reason = reply.finish_reason or "stop"
        return piece


class Top(backends.OllamaBackend):
    def _body(self, messages: Any, **given: Any) -> dict[str, Any]:
        body = super()._body(messages, **given)
        body["options"]["top_k"] = 7
        return body


CASES: list[tuple[str, Any, type, type]] = [
    ("zeros-kept", Given("stream", {}, {"temperature": 0}), backends.VLLMBackend, FalsyZero),
    ("precedence", Given("complete", {"temperature": 0}, {"stop": ["é"]}), backends.VLLMBackend, FalsyZero),
    ("precedence", Given("complete", {}, {"top_k": 1, "max_tokens": 3}), backends.OllamaBackend, Top),
    ("none-not-sent", Given("stream", {"top_k": 0}, {"top_p": None}), backends.VLLMBackend, FalsyZero),
    ("not-a-number", Given("stream", {"top_p": float("nan")}, {}), backends.VLLMBackend, TakesAnything),
    ("not-a-number", Given("complete", {}, {"top_p": float("-inf")}), backends.VLLMBackend, SendsAnything),
    ("same-body", Sequence(Given("stream"), Given("stream", {}, {"top_p": 0})), backends.VLLMBackend, Leaks),
    ("body-accepted", Call(Given("complete"), TOOL_HISTORY), backends.VLLMBackend, SendsAnything),
    ("arguments-untouched", Call(Given("stream"), TOOL_HISTORY), backends.VLLMBackend, ChangesMessages),
    ("any-framing-any-cut", Cut(spoken(VLLM, HELLO, stream=True), (3, 70)), backends.VLLMBackend, LosesText),
    (
        "any-framing-any-cut",
        Cut(spoken(OLLAMA, HELLO, stream=False), (3,)),
        backends.OllamaBackend,
        LosesAnswers,
    ),
    (
        "any-fault",
        Faulty(spoken(VLLM, HELLO, stream=True), ({"fault": "cut", "at": 2},)),
        backends.VLLMBackend,
        TakesAnyEnd,
    ),
]
NAMES = [f"{name}-{case}"[:60] for name, case, _, _ in CASES]


@pytest.mark.parametrize(("name", "case", "correct", "broken"), CASES, ids=NAMES)
def test_a_written_test_passes_for_a_correct_backend(
    name: str, case: Any, correct: type, broken: type, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run(found(name, case), correct, monkeypatch, tmp_path)


@pytest.mark.parametrize(("name", "case", "correct", "broken"), CASES, ids=NAMES)
def test_a_written_test_fails_for_the_broken_backend(
    name: str, case: Any, correct: type, broken: type, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        run(found(name, case), broken, monkeypatch, tmp_path)


@given(strategies.replies(VLLM))
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_a_written_mock_says_the_same_bytes(reply: Any) -> None:
    text = as_mock(found("any-framing-any-cut", Cut(reply, ())))
    mock = Mock.of(tomllib.loads(text))
    body = {"model": "m", "messages": MESSAGES, "stream": reply.asked.stream}
    request = Request("POST", VLLM.chat_path, (), json.dumps(body).encode())
    script = Provider(VLLM, mock, strict=False, faults=faults.apply)(request)
    assert (script.status, script.body) == (reply.script.status, reply.script.body)


def test_a_written_mock_is_cut_where_the_case_was() -> None:
    case = Cut(spoken(VLLM, HELLO, stream=True), (8, 100))
    (reply,) = Mock.of(tomllib.loads(as_mock(found("any-framing-any-cut", case)))).replies
    assert reply.faults == ({"fault": "split", "at": [8, 100]},)


def test_the_key_of_a_declaration_is_set_for_the_test() -> None:
    case = found("zeros-kept", Given("stream", {}, {"temperature": 0}))
    source = as_test(case, "a.b:C.make", "litellm", "m", {"KEY": "{key}", "URL": "{base_url}/v1"})
    assert "monkeypatch.setenv('KEY', 'sk-test')" in source
    assert "URL" not in source
    assert "from a.b import C\n" in source and "backend = C.make(model='m'" in source


def test_the_steps_of_a_machine_are_told_with_the_command_that_looks_for_them_again() -> None:
    case = found("any-order", ("backend = Backend()", "await backend.prefill(…)"))
    source = as_test(case, "a.b:C", "vllm", "m", {})
    compile(source, "written.py", "exec")
    assert "# await backend.prefill(…)" in source
    assert "onpaper check a.b:C --contract vllm --model m --clause property/any-order" in source


def test_a_case_of_a_request_needs_no_mock() -> None:
    assert as_mock(found("zeros-kept", Given("stream", {}, {"temperature": 0}))) == ""
