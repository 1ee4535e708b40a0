"""Saving is whole or not at all, and finding reads nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from onpaper.cassettes import Cassette, CassetteError, find, load, save
from onpaper.exchange import Chunk, Exchange, Reply, Request


def cassette(body: bytes = b"hello", **headers: str) -> Cassette:
    reply = Reply(200, tuple(headers.items()), (Chunk(0.0, body),))
    return Cassette("server/chat", (Exchange(Request("GET", "/v1/models"), reply),))


def test_what_was_saved_is_loaded_under_the_name_of_its_folder(tmp_path: Path) -> None:
    path = save(cassette(), tmp_path / "server" / "chat.yaml")
    again = load(path)
    assert again.name == "server/chat" and again.path == path
    assert again.exchanges[0].reply == cassette().exchanges[0].reply


def test_saving_leaves_no_other_file(tmp_path: Path) -> None:
    path = save(cassette(b"one"), tmp_path / "chat.yaml")
    save(cassette(b"two"), path)
    assert os.listdir(tmp_path) == ["chat.yaml"]
    assert load(path).exchanges[0].reply == cassette(b"two").exchanges[0].reply


def test_a_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    path = save(cassette(), tmp_path / "chat.yaml")
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("name", ["chat.json", ".chat.yaml", "Chat.yaml", "a b.yaml", "chat", "ü.yaml"])
def test_a_name_that_is_no_name_of_a_case_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CassetteError, match=r"cannot be the name of a cassette: names are like"):
        save(cassette(), tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CassetteError, match=r"file/chat\.yaml: cannot be written"):
        save(cassette(), tmp_path / "file" / "chat.yaml")


def test_a_failed_write_keeps_the_earlier_cassette(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(cassette(b"earlier"), tmp_path / "chat.yaml")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CassetteError, match="cannot be written: No space left on device"):
        save(cassette(b"later"), path)
    assert os.listdir(tmp_path) == ["chat.yaml"]
    assert load(path).exchanges[0].reply == cassette(b"earlier").exchanges[0].reply


_SAVES_FOR_EVER = """
import itertools, sys
from onpaper.cassettes import Cassette, save
from onpaper.exchange import Chunk, Exchange, Reply, Request
for number in itertools.count():
    body = (f"{number:06}" * 20_000).encode()
    exchange = Exchange(Request("GET", "/"), Reply(200, (), (Chunk(0.0, body),)))
    save(Cassette("server/chat", (exchange,)), sys.argv[1])
    print(number, flush=True)
"""


@pytest.mark.parametrize("saves", [1, 2, 3, 5])
def test_a_recorder_that_is_killed_leaves_whole_cassettes_only(tmp_path: Path, saves: int) -> None:
    path = tmp_path / "server" / "chat.yaml"
    command = [sys.executable, "-c", _SAVES_FOR_EVER, str(path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout
        for _ in range(saves):
            process.stdout.readline()
        process.kill()
    assert list(find([tmp_path])) == ["server/chat"]
    reply = load(path).exchanges[0].reply
    assert reply and reply.body == reply.body[:6] * 20_000
    assert int(reply.body[:6]) >= saves - 1


def test_drafts_and_other_files_are_not_found(tmp_path: Path) -> None:
    save(cassette(), tmp_path / "server" / "chat.yaml")
    for name in (".chat.yaml.1234.draft", ".hidden.yaml", "README.md", "Upper.yaml", "chat.yaml.bak"):
        (tmp_path / "server" / name).touch()
    (tmp_path / "loose.yaml").touch()
    assert find([tmp_path, tmp_path / "missing"]) == {"server/chat": tmp_path / "server" / "chat.yaml"}


def test_the_first_folder_that_has_a_name_wins(tmp_path: Path) -> None:
    for folder in ("own", "shipped"):
        save(cassette(), tmp_path / folder / "server" / "chat.yaml")
    save(cassette(), tmp_path / "shipped" / "a" / "tools.yaml")
    found = find([tmp_path / "own", tmp_path / "shipped"])
    assert list(found) == ["a/tools", "server/chat"]
    assert found["server/chat"] == tmp_path / "own" / "server" / "chat.yaml"


def test_loading_needs_neither_vcrpy_nor_the_recorder() -> None:
    code = "import sys, onpaper.cassettes as c; print(sorted(m for m in sys.modules if m in sys.argv[1:]))"
    heavy = ["vcr", "httpx", "httptools", "asyncio", "ssl", "onpaper.cassettes.redaction"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code, *heavy], capture_output=True, env=environment, check=True
    )
    assert done.stdout.strip() == b"[]"
