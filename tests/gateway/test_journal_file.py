"""The journal in a file: complete, masked, and private."""

from __future__ import annotations

import datetime
import json
import os

import pytest

from onpaper.errors import BadInput
from onpaper.exchange import Request
from onpaper.gateway import Entry, Journal, ServerThread
from onpaper.gateway.journal_file import JournalFile
from onpaper.gateway.sessions import Sessions
from onpaper.script import Script, Write


def lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture
def logged(tmp_path, connect):
    """`logged(script)` is a gateway that keeps its journal in a file, and that file."""
    opened = []

    def start(script: Script):
        file = JournalFile(tmp_path / "journal.jsonl")
        gateway = ServerThread(lambda request: script).start()
        Sessions(gateway.url, gateway.answer, gateway.journal, attach=file.attach)
        opened.append((gateway, file))
        return gateway, file.path

    yield start
    for gateway, file in opened:
        gateway.stop()
        file.close()


def test_every_exchange_is_a_line_as_soon_as_it_is_over(logged, connect):
    gateway, path = logged(Script(writes=(Write(b"hello", fault="late"),), transfer="length"))
    client = connect(gateway)
    for _ in range(3):
        client.get("/a", "Authorization: Bearer sk-canary\r\n").head()
        client.read(5)
    assert len(gateway.journal) == 3
    rows = lines(path)
    assert [row["request"]["target"] for row in rows] == ["/a"] * 3
    assert rows[0]["reply"]["body"] == {"text": "hello"}
    assert rows[0]["fired"] == ["late"]
    assert rows[0]["session"] == "default"
    assert "canary" not in path.read_text()


def test_a_line_tells_the_time_of_day(logged, connect):
    before = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    gateway, path = logged(Script(transfer="length"))
    connect(gateway).get().head()
    gateway.stop()
    at = datetime.datetime.fromisoformat(lines(path)[0]["at"])
    assert before <= at <= datetime.datetime.now(datetime.UTC)


def test_what_was_running_is_in_the_file_when_the_gateway_has_stopped(logged, connect):
    gateway, path = logged(Script(writes=(Write(b"part"),), end="hang"))
    connect(gateway).get().head()
    gateway.stop()
    assert lines(path)[0]["reply"]["end"] == "hang"


def test_the_file_is_its_owner_s(logged):
    _, path = logged(Script())
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path):
    with pytest.raises(BadInput, match=r"cannot write the journal to .*: No such file"):
        JournalFile(tmp_path / "missing" / "journal.jsonl")


def test_a_full_disk_does_not_stop_the_gateway(tmp_path):
    file = JournalFile(tmp_path / "journal.jsonl")
    journal = Journal()
    Sessions("", lambda request: Script(), journal, attach=file.attach)
    file.close()  # every write fails from now on
    from onpaper.exchange import Request
    from onpaper.gateway import Entry

    entry = Entry(Request("GET", "/"))
    journal.begin(entry)
    journal.finish(entry)
    assert "cannot write the journal to" in file.failure


def test_a_file_that_cannot_be_written_is_told_once(tmp_path, capsys):
    file = JournalFile("/dev/full")
    for number in range(2):
        file.write(Entry(Request("GET", f"/{number}"), connection=1), "default")
    file.close()
    assert file.failure.startswith("cannot write the journal to /dev/full")
    assert capsys.readouterr().err == file.failure + "\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no full disk to offer")
def test_what_fails_is_named_and_the_other_copy_is_whole(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(os, "dup", lambda _: os.open("/dev/full", os.O_WRONLY))
        file = JournalFile(tmp_path / "journal.jsonl", echo=True)
    with file:
        file.write(Entry(Request("GET", "/"), connection=1), "default")
    assert file.failure.startswith("cannot write the journal to standard output: ")
    assert len(lines(file.path)) == 1
