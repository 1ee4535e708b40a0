"""Other cuts of a reply are played without a socket to a client on httpx, and nobody is blamed for what shows there only."""

from __future__ import annotations

import urllib.request
from typing import Any

import pytest

from onpaper.backends import VLLMBackend
from onpaper.backends.framing import SSEReader
from onpaper.backends.request import SAMPLING
from onpaper.driving.declaration import declare
from onpaper.driving.run import Run
from onpaper.driving.verdict import Verdict
from onpaper.suite.judge import Judge, plan

CLAUSE = "sse/utf8-across-chunks"


class FailsWithoutASocket(VLLMBackend):
    """What a connection of its own would tell it is missing where nobody listens."""

    async def stream(self, messages: Any, **kwargs: Any) -> Any:
        pieces = [piece async for piece in super().stream(messages, **kwargs)]
        if not self.listening():
            raise RuntimeError("nobody listens")
        for piece in pieces:
            yield piece

    def listening(self) -> bool:
        (pool, _), *_ = self._transport._pools.values()
        return bool(pool._pool.connections)


class DecodesEachPiece(VLLMBackend):
    """Takes the bytes of a character that is cut for broken ones."""

    class Reader(SSEReader):
        def feed(self, data: bytes) -> Any:
            return super().feed(data.decode("utf-8", "replace").encode())

    def _reader(self) -> Any:
        return self.Reader()


class OnTheStandardLibrary(VLLMBackend):
    """Asks in another way than through httpx."""

    async def stream(self, messages: Any, **kwargs: Any) -> Any:
        content = self._content(messages, True, 512, dict(SAMPLING))
        asking = urllib.request.Request(self.base_url + self.chat_path, content, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asking) as response:
            for event in SSEReader().feed(response.read()):
                if '"content":"' in event.data:
                    yield event.data.partition('"content":"')[2].partition('"')[0]


def judged(backend: type[VLLMBackend], clause: str = CLAUSE) -> tuple[list[Verdict], list[Run]]:
    one = declare(backend.__name__, {"factory": f"{__name__}:{backend.__name__}", "contract": "vllm"})
    with Judge() as judge:
        verdicts = [judge.found(item) for item in plan(one, (clause,))]
        return verdicts, [run for run in judge.stage(one).runs if run.operation == "stream()"]


def test_a_cut_reply_needs_no_connection_and_an_uncut_one_has_it() -> None:
    verdicts, runs = judged(VLLMBackend)
    assert {one.verdict for one in verdicts} == {"kept"}
    assert {(run.play.rpartition("/")[2], run.connections) for run in runs} == {("events", 1), ("bytewise", 0), ("random", 0)}


def test_what_goes_wrong_without_a_socket_only_blames_nobody() -> None:
    verdicts, runs = judged(FailsWithoutASocket)
    assert {one.verdict for one in verdicts} == {"kept"}
    assert runs[-1].connections == 1


def test_a_mistake_is_judged_by_what_went_over_a_socket() -> None:
    verdicts, runs = judged(DecodesEachPiece)
    assert "broken" in {one.verdict for one in verdicts}
    assert [run.connections for run in runs if run.error is not None or "\ufffd" in run.text][-1] == 1


def test_a_client_that_is_not_on_httpx_meets_the_cuts_over_a_socket() -> None:
    _, runs = judged(OnTheStandardLibrary)
    assert {(run.play.rpartition("/")[2], run.connections) for run in runs} == {("events", 1), ("bytewise", 1), ("random", 1)}


@pytest.mark.parametrize("cut", ["bytewise", "random"])
def test_the_bytes_are_the_same_with_and_without_a_socket(cut: str) -> None:
    _, without = judged(VLLMBackend)
    _, over = judged(FailsWithoutASocket)
    wires = [{run.wire for run in runs if run.play.endswith(cut)} for runs in (without, over)]
    assert len(wires[0] | wires[1]) == 1
