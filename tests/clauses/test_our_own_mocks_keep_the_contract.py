"""Our own gateway is judged by the same clauses as a real server: every fault-free mock in every provider's words."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from onpaper import folders
from onpaper.answer import Provider
from onpaper.clauses import View, register
from onpaper.contract import Contract
from onpaper.exchange import Chunk, Exchange, Reply, Request
from onpaper.mock import Mock
from onpaper.suite.judge import judge_exchange

CONTRACTS = folders.names("contracts")
MOCKS = [Mock.load(name) for name in folders.names("mocks")]


def is_sound(mock: Mock) -> bool:
    """A mock that says something in the provider's own words and goes wrong nowhere."""
    return all(
        not (say.faults or say.inject or say.framing or say.error or say.content_type)
        and say.events is None
        and say.body is None
        and say.usage is not None
        for say in mock.replies
    ) and not mock.name.startswith("tool-call-arguments") and mock.name not in BROKEN_ON_PURPOSE


BROKEN_ON_PURPOSE = {"tool-call-broken-arguments", "tool-call-two-objects", "tool-call-python-arguments"}
ODD_ON_PURPOSE = {("unknown-finish", "server/finish-known")}


def exchanges(contract: Contract) -> Iterator[tuple[str, Exchange]]:
    for mock in MOCKS:
        if not is_sound(mock) or mock.protocol not in (None, contract.protocol):
            continue
        for stream, counted in ((False, False), (True, False), (True, True)):
            body: dict[str, object] = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
            if counted and "stream_options" in contract.keys:
                body["stream_options"] = {"include_usage": True}
            request = Request("POST", contract.chat_path, (("content-type", "application/json"),), json.dumps(body).encode())
            script = Provider(contract, mock, strict=False)(request)
            reply = Reply(script.status, script.headers, tuple(Chunk(0.0, write.data) for write in script.writes))
            yield f"{mock.name} stream={stream} counted={counted}", Exchange(request, reply)


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_fault_free_mock_keeps_every_reply_clause(name: str) -> None:
    contract = Contract.load(name)
    broken = [
        f"{verdict.clause}: {verdict.message[:300]} ({case})"
        for case, exchange in exchanges(contract)
        for verdict in judge_exchange(exchange, View(contract), name, case)
        if verdict.verdict == "broken" and register()[verdict.clause].kind == "reply"
        and (case.partition(" ")[0], verdict.clause) not in ODD_ON_PURPOSE
    ]
    assert broken == []


def test_enough_mocks_are_judged() -> None:
    assert sum(is_sound(mock) for mock in MOCKS) >= 12
