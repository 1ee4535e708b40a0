"""Broken backends, each with one mistake that clients really make: a property finds it, and says it in few
words."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

import pytest
import respx

from onpaper.backends import VLLMBackend
from onpaper.backends.framing import SSEReader
from onpaper.backends.reply import Reply
from onpaper.backends.request import SAMPLING
from onpaper.contract import Contract
from onpaper.gateway.respx_face import RespxFace
from onpaper.strategies.properties import properties
from onpaper.strategies.search import Counterexample, search
from onpaper.strategies.subject import Subject


class Backend(VLLMBackend):
    """The correct one; each defect changes one thing."""

    def change(self, body: dict[str, Any], **given: Any) -> dict[str, Any]:
        return body

    def _body(self, messages: Any, **given: Any) -> dict[str, Any]:
        return self.change(super()._body(messages, **given), messages=messages, **given)


class FalsyZero(Backend):
    def change(self, body: dict[str, Any], **given: Any) -> dict[str, Any]:
        return body | {name: body[name] or SAMPLING[name] for name in SAMPLING}


class ClampedValue(Backend):
    def change(self, body: dict[str, Any], **given: Any) -> dict[str, Any]:
        return body | {"temperature": min(body["temperature"], 1)}


class DefaultBeatsArgument(Backend):
    def change(self, body: dict[str, Any], *, stream: bool, **given: Any) -> dict[str, Any]:
        return body if stream else body | {"temperature": 0.0}


class StringForNumber(Backend):
    def change(self, body: dict[str, Any], **given: Any) -> dict[str, Any]:
        return body | {"top_p": str(body["top_p"])}


class AliasSentTwice(Backend):
    def change(self, body: dict[str, Any], **given: Any) -> dict[str, Any]:
        return body | {"max_completion_tokens": body["max_tokens"]} if "max_tokens" in body else body


class DroppedSeed(Backend):
    def __init__(self, *, sampling: Any = None, **kwargs: Any) -> None:
        known = {name: value for name, value in (sampling or {}).items() if name in SAMPLING}
        super().__init__(sampling=known, **kwargs)


class NaNSent(Backend):
    def _content(
        self, messages: Any, stream: bool, max_tokens: Any, sampling: Any, stop: Any = None, tools: Any = None
    ) -> bytes:
        body = self._body(
            messages, stream=stream, max_tokens=max_tokens, sampling=sampling, stop=stop, tools=tools
        )
        return json.dumps(body).encode()


class StopListJoined(Backend):
    def change(self, body: dict[str, Any], *, stop: Any, **given: Any) -> dict[str, Any]:
        return body | {"stop": ",".join(stop)} if isinstance(stop, list) else body


class CallLeaksIntoTheNext(Backend):
    def change(self, body: dict[str, Any], *, sampling: dict[str, Any], **given: Any) -> dict[str, Any]:
        self.sampling |= {"top_p": sampling["top_p"]}
        return body


class MutatedMessages(Backend):
    def change(self, body: dict[str, Any], *, messages: Any, **given: Any) -> dict[str, Any]:
        for message in messages:
            for call in message.get("tool_calls") or ():
                if isinstance(call["function"]["arguments"], dict):
                    call["function"]["arguments"] = json.dumps(call["function"]["arguments"])
        return body


class UsageSummedAcrossCalls(Backend):
    used = 0

    async def stream(self, messages: Any, *, stats: Any = None, **kwargs: Any) -> AsyncGenerator[str, None]:
        async for piece in super().stream(messages, stats=stats, **kwargs):
            yield piece
        self.used += stats.get("completion_tokens", 0)
        stats["completion_tokens"] = self.used


class LosesTextAtOneCut(Backend):
    class Reader(SSEReader):
        """Takes the LF of a CRLF that is cut in two for a line of its own, and with it for the end of the
        event."""

        cut = False

        def feed(self, data: bytes) -> Any:
            if self.cut and data.startswith(b"\n"):
                self._data = []
            self.cut = data.endswith(b"\r") if data else self.cut
            return super().feed(data)

    def _reader(self) -> Any:
        return self.Reader()


class NullSent(Backend):
    def change(self, body: dict[str, Any], **given: Any) -> dict[str, Any]:
        return {"stop": None} | body


class TakesTheEndOfTheStreamForTheEnd(Backend):
    def _read_event(self, reply: Reply, event: Any) -> str:
        piece = super()._read_event(reply, event)
        reply.finish_reason = reply.finish_reason or "stop"
        return piece


class BillsForPrefill(Backend):
    async def prefill(self, messages: Any) -> None:
        await super().prefill(messages)
        await super().prefill(messages)


DEFECTS: dict[type[Backend], tuple[str, str]] = {
    FalsyZero: (
        "zeros-kept",
        r"Backend\(\)\.stream\(messages, temperature=0\)\ntemperature: given was 0, .* 1\.0",
    ),
    ClampedValue: ("precedence", r"Backend\(\)\.stream\(messages, temperature=2\)"),
    DefaultBeatsArgument: ("precedence", r"Backend\(\)\.complete\(messages, temperature=1\)"),
    StringForNumber: (
        "body-accepted",
        r"Backend\(\)\.stream\(messages\)\n.*/top_p: \"0\.95\" is not of type",
    ),
    AliasSentTwice: (
        "body-accepted",
        r"Backend\(\)\.stream\(messages\)\none parameter is sent twice, as max_completion_tokens and max_t",
    ),
    DroppedSeed: ("nothing-dropped", r"Backend\(sampling=\{'\w+': (0|False|\[\])\}\)\.stream\(messages\)"),
    NaNSent: ("not-a-number", r"Backend\(\)\.stream\(messages, temperature=nan\)\ntemperature=nan was sent"),
    StopListJoined: ("precedence", r"Backend\(\)\.stream\(messages, stop=\['hi'\]\)"),
    CallLeaksIntoTheNext: (
        "same-body",
        r"Backend\(\)\.stream\(messages\), then Backend\(\)\.stream\(messages, top_p=0\), ",
    ),
    MutatedMessages: (
        "arguments-untouched",
        r"Backend\(\)\.stream\(messages\) with messages = \[\{'role': 'user', 'content': 'hi'\}, "
        r"\{'role': 'assistant', 'content': '', 'tool_calls': \[[^]]*'arguments': \{\}\}\}\]\}, "
        r"\{'role': 'tool', 'tool_call_id': 'call00001', 'content': 'hi'\}\]\n",
    ),
    UsageSummedAcrossCalls: (
        "any-framing-any-cut",
        r"<vllm stream: Say\(usage=\{'prompt': 0, 'completion': 1\}\), \d+ bytes> cut at 1 \(.*\), 2 times\n"
        r"stream\(\) counted 2 completion_tokens; the server said 1",
    ),
    LosesTextAtOneCut: (
        "any-framing-any-cut",
        r"<vllm stream: Say\(.*framing=\{'newline': 'crlf'.*\), \d+ bytes> cut at \d+ \(b'[^|]*\\r' \| b'\\n[^|]*'\)\n",
    ),
    NullSent: (
        "none-not-sent",
        r"Backend\(\)\.stream\(messages, temperature=None\)\nnull is sent under /stop",
    ),
    TakesTheEndOfTheStreamForTheEnd: (
        "any-fault",
        r"<vllm stream: Say\(text=\('Hel',.*\).*> with \[\{'fault': 'cut'.*\}\]\nstream\(\) gave '(Hel)*'; the server said 'Hel",
    ),
    BillsForPrefill: (
        "any-order",
        r"backend = Backend\(\)\nawait backend\.prefill\(…\)\nprefill\(\) sent 2 requests",
    ),
}
"""Each defect, the property that finds it, and how its smallest case reads."""


Finder = Callable[[type[Backend], str], Counterexample | None]
URL = "http://gateway.test"


@pytest.fixture(scope="module")
def find() -> Iterator[Finder]:
    """Runs one property over one backend within the budget of a normal run, without a socket."""
    with asyncio.Runner() as runner, respx.mock(assert_all_called=False) as router:
        gateway = RespxFace(router, URL, lambda request: pytest.fail("nothing was to be asked"))

        def run(backend: type[Backend], name: str) -> Counterexample | None:
            subject = Subject(
                lambda **given: backend(base_url=URL, **given), Contract.load("vllm"), gateway, socket=False
            )
            return search(properties()[f"property/{name}"], subject, runner.run, shrinking=60)

        yield run


@pytest.mark.parametrize("name", [name.partition("/")[2] for name in properties()])
def test_the_correct_backend_keeps_every_property(find: Finder, name: str) -> None:
    assert find(Backend, name) is None


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.__name__)
def test_each_defect_is_found_and_shown_by_a_minimal_case(find: Finder, defect: type[Backend]) -> None:
    name, reads = DEFECTS[defect]
    found = find(defect, name)
    assert found is not None
    assert re.match(reads, str(found)), str(found)


def test_every_property_has_a_defect_that_breaks_it() -> None:
    assert {f"property/{name}" for name, _ in DEFECTS.values()} == set(properties())
