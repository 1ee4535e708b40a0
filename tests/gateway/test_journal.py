"""The journal: bounded, readable while it grows, and waited on without sleeping."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from onpaper.exchange import Request
from onpaper.gateway import Entry, Journal, ended
from onpaper.gateway.framing import plan
from onpaper.script import Script, Write


def add(journal: Journal, body: bytes = b"", **request: object) -> Entry:
    entry = Entry(Request("POST", "/v1/chat/completions", body=body, **request), connection=1)
    journal.begin(entry)
    return entry


def reply(entry: Entry, *writes: Write, at: float = 0.0, **script: object) -> None:
    """Let the head and these writes have left."""
    entry.plan = plan(Script(writes=writes, **script))
    entry.times += [at] * (1 + len(writes))


def test_it_reads_like_a_list():
    journal = Journal()
    entries = [add(journal) for _ in range(5)]
    assert list(journal) == entries
    assert len(journal) == 5
    assert journal[-1] is entries[4]
    assert journal[1:3] == entries[1:3]


def test_an_index_out_of_range_says_how_many_there_are():
    journal = Journal(exchanges=1)
    add(journal)
    add(journal)
    with pytest.raises(
        IndexError, match=r"holds 1 exchanges, so there is no number 1 \(1 older ones were dropped\)"
    ):
        journal[1]


def test_the_oldest_exchanges_are_dropped_and_counted():
    journal = Journal(exchanges=3)
    entries = [add(journal) for _ in range(5)]
    assert list(journal) == entries[2:]
    assert (journal.total, journal.dropped) == (5, 2)


def test_the_bytes_of_bodies_are_bounded_in_both_directions():
    journal = Journal(kept_bytes=2000)
    first = add(journal, b"x" * 900)
    second = add(journal, b"x" * 900)
    assert len(journal) == 2
    reply(second, Write(b"y" * 40))
    journal.finish(second)
    assert list(journal) == [second]
    assert first.dropped


def test_a_dropped_exchange_that_ends_later_is_not_counted_twice():
    journal = Journal(exchanges=1, kept_bytes=2000)
    first = add(journal, b"x" * 10)
    add(journal, b"x" * 10)
    reply(first, Write(b"y" * 95))
    journal.finish(first)
    assert journal._bytes == 10


def test_the_newest_exchange_stays_however_large():
    journal = Journal(kept_bytes=10)
    add(journal)
    large = add(journal, b"x" * 1000)
    assert list(journal) == [large]


def test_an_exchange_is_readable_while_it_grows():
    journal = Journal()
    entry = add(journal)
    assert entry.reply is None
    entry.started = 10.0
    reply(entry, Write(b"one"), at=10.5)
    assert entry.reply.chunks[0].at == 0.5
    assert (entry.reply.body, entry.reply.end) == (b"one", "open")


def test_only_a_post_that_generates_is_billable():
    journal = Journal()
    billed = add(journal)
    journal.begin(Entry(Request("GET", "/v1/models")))
    journal.begin(Entry(Request("POST", "/v1/tokenize")))
    assert journal.billable == [billed]


def test_what_is_billable_can_be_said_by_the_owner():
    journal = Journal(billable=lambda request: request.target == "/pay")
    add(journal)
    entry = Entry(Request("GET", "/pay"))
    journal.begin(entry)
    assert journal.billable == [entry]


def test_since_a_mark_only_the_later_exchanges():
    journal = Journal()
    add(journal)
    mark = journal.mark()
    assert journal.since(mark) == []
    later = add(journal)
    assert journal.since(mark) == [later]


def test_clear_forgets_everything_but_the_numbering_of_connections():
    journal = Journal()
    assert journal.opened() == 1
    add(journal)
    journal.refused("x")
    journal.closed(1, True)
    journal.clear()
    assert (len(journal), journal.total, list(journal.refusals), list(journal.closures)) == (0, 0, [], [])
    assert journal.opened() == 2


def test_faults_and_problems_are_gathered_in_order():
    journal = Journal()
    reply(add(journal), Write(b"x", fault="a"), Write(b"y", fault="b"), end_fault="never")
    reply(add(journal), Write(b"x", fault="c"))
    journal[0].problem = "why"
    assert journal.fired == ["a", "b", "c"]
    assert journal.unfired == ["never"]
    assert journal.problems == ["why"]


def test_a_thread_waits_until_another_writes():
    journal = Journal()
    writer = threading.Thread(target=add, args=(journal,))
    waiting = threading.Event()

    def predicate(read: Journal) -> int:
        waiting.set()
        return len(read)

    def write() -> None:
        waiting.wait()
        add(journal)

    writer = threading.Thread(target=write)
    writer.start()
    assert journal.wait_for(predicate) == 1
    writer.join()


def test_waiting_in_vain_says_what_the_journal_holds():
    journal = Journal()
    add(journal)
    with pytest.raises(
        TimeoutError, match=r"in 0.01 s; .* <POST /v1/chat/completions on connection 1: no reply>"
    ):
        journal.wait_for(ended(), timeout=0.01)


async def test_a_coroutine_waits_without_blocking_its_loop():
    journal = Journal()
    asyncio.get_running_loop().call_soon(add, journal)
    assert await journal.async_wait_for(len) == 1


async def test_a_coroutine_waits_in_vain_with_the_same_sentence():
    with pytest.raises(TimeoutError, match="the journal ends with: nothing"):
        await Journal().async_wait_for(len, timeout=0.01)


def test_the_lines_are_json_without_credentials():
    journal = Journal()
    entry = add(journal, b'{"note": "sk-canary-1"}', headers=(("Authorization", "Bearer sk-canary-1"),))
    headers = (("set-cookie", "a=b"), ("content-type", "text/plain"))
    reply(entry, Write(b"your key is sk-canary-1", after=1), headers=headers, transfer="close")
    entry.problem = "sk-canary-1 is no key"
    (line,) = journal.lines()
    row = json.loads(line)
    assert "canary" not in line
    assert row["request"]["headers"] == [["Authorization", "***"]]
    assert row["reply"]["headers"][:2] == [["set-cookie", "***"], ["content-type", "text/plain"]]
    assert row["reply"]["body"] == {"text": "your key is ***"}


def test_a_mark_stays_what_it_is_when_the_journal_is_cleared():
    journal = Journal()
    for _ in range(3):
        add(journal)
    mark = journal.mark()
    journal.clear()
    later = add(journal)
    assert (journal.since(mark), journal.total) == ([later], 1)


def test_what_begins_while_a_journal_is_read_is_not_taken_for_what_came_before():
    journal = Journal()
    add(journal)
    mark = journal.mark()
    late = [add]
    journal.settle = lambda: late and late.pop()(journal)  # as another thread might, in between
    assert journal.since(mark) == [journal[1]]
