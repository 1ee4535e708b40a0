"""Several processes on one port, with one journal."""

from __future__ import annotations

import json

import httpx
import pytest

from onpaper.errors import BadInput
from onpaper.gateway.serving import Serving, serving
from onpaper.gateway.worker import Job
from onpaper.gateway.workers import Workers

KEY = {"authorization": "Bearer sk-canary"}
QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    file = tmp_path_factory.mktemp("workers") / "journal.jsonl"
    with serving(Serving({"provider": "groq"}, workers=2, journal_file=str(file))) as started:
        yield started, file


def many(url: str, count: int) -> set[int]:
    """So many requests, each over a connection of its own."""
    return {httpx.get(f"{url}/v1/models", headers=KEY, trust_env=False).status_code for _ in range(count)}


def test_the_workers_share_port_script_and_journal(served):
    started, file = served
    assert many(started.url, 20) == {200}
    with httpx.Client(base_url=started.admin, trust_env=False) as admin:
        journal = admin.get("sessions/default/journal").json()
        assert journal["total"] == journal["connections"] == 20
        numbers = {row["connection"] for row in journal["exchanges"]}
        assert len(numbers) == 20
        assert {number % 2 for number in numbers} == {0, 1}, "both workers have served"
        assert len(file.read_text().splitlines()) == 20
        assert 'status="200",end="clean"} 20\n' in admin.get("metrics").text

        reply = {"text": "all together"}
        said = {"provider": "openai", "mock": {"about": "x", "reply": [reply]}}
        assert admin.put("sessions/default", json=said).status_code == 200
        for _ in range(8):
            answer = httpx.post(
                f"{started.url}/v1/chat/completions", json=QUESTION, headers=KEY, trust_env=False
            )
            assert answer.json()["choices"][0]["message"]["content"] == "all together"

        made = admin.put("sessions/other", json=said).json()
        assert made["v1"] == f"{started.url}/_session/other/v1"
        assert many(f"{started.url}/_session/other", 8) == {200}
        assert admin.get("sessions/other").json()["total"] == 8

        assert admin.put("sessions/other", json={"mock": "nope"}).status_code == 400
        assert admin.delete("sessions/default/journal").status_code == 204
        assert admin.get("sessions/default/journal").json()["total"] == 0
        assert admin.delete("sessions/other").status_code == 204
        assert set(admin.get("sessions").json()) == {"default"}
        assert admin.post("reset").status_code == 200
        assert admin.get("sessions/default/journal").json()["exchanges"] == []
    assert httpx.get(f"{started.url}/_onpaper/health", trust_env=False).status_code == 421
    assert "canary" not in file.read_text()


def test_nothing_of_the_journal_is_lost_when_the_workers_stop():
    with Workers(Job("127.0.0.1", 0, {}), 2) as workers:
        many(workers.url, 10)
    assert len(workers.default.journal) == 10
    assert [entry.reply.status for entry in workers.default.journal] == [200] * 10
    workers.stop()


def test_a_mistake_is_reported_before_any_process_starts():
    with pytest.raises(BadInput, match="unknown key 'moc'"):
        Workers(Job("127.0.0.1", 0, {"moc": "x"}), 2)
    with pytest.raises(BadInput, match="each of the 2 workers would count for itself; use one worker"):
        Workers(Job("127.0.0.1", 0, {"tokens_per_minute": 9}), 2)
    with pytest.raises(BadInput, match="at least one worker, found 0"):
        Workers(Job("127.0.0.1", 0, {}), 0)


def test_a_mistake_that_a_worker_makes_is_reported_by_the_parent(tmp_path):
    workers = Workers(Job("127.0.0.1", 0, {}, journal_file=str(tmp_path / "no" / "file")), 1)
    with pytest.raises(BadInput, match="cannot write the journal"):
        workers.start()


def test_the_rows_of_a_merged_journal_are_in_the_order_of_time():
    with Workers(Job("127.0.0.1", 0, {}), 2) as workers:
        many(workers.url, 10)
        started = [entry.started for entry in workers.default.journal]
        assert started == sorted(started)
        assert json.dumps(list(workers.default.journal.lines()))
