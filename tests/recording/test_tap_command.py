"""`onpaper tap`: what passes is judged by the contract as it passes, and recorded without secrets."""

import contextlib
import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from onpaper import folders
from onpaper.cassettes import find, load
from onpaper.cassettes.hosts import default_contract
from onpaper.cassettes.tapping import Tap, line, row
from onpaper.contract import Contract
from onpaper.exchange import Chunk, Exchange, Reply, Request

KEY = "sk-test-0123456789abcdef"
HELLO = {"model": "m-1", "messages": [{"role": "user", "content": "hi"}]}
UPSTREAM = urlsplit("https://api.example.com/llm/v1")


# ---- the command, as a process ----


@dataclass
class Running:
    """A tap that runs: its base URL, and what it says until it is stopped."""

    process: subprocess.Popen[str]
    url: str

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, list[str], str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out.splitlines(), err


@contextlib.contextmanager
def tapping(folder: Path, *arguments: object) -> Iterator[Running]:
    process = subprocess.Popen(
        [sys.executable, "-c", "from onpaper.cli import main; main()", "tap", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        yield Running(process, process.stdout.readline().strip())
    finally:
        process.kill()
        process.communicate()


def ask(running: Running, **more: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {KEY}"}
    with httpx.Client(trust_env=False, timeout=10) as client:
        return client.post(f"{running.url}/chat/completions", json=HELLO | more, headers=headers)


def test_a_client_that_keeps_the_contract_is_told_so_and_the_tap_ends_well(
    tmp_path: Path, serve: Any
) -> None:
    server = serve("groq")
    with tapping(tmp_path, f"{server.url}/openai/v1", "--as", "groq") as running:
        assert running.url.startswith("http://127.0.0.1:") and running.url.endswith("/openai/v1")
        assert ask(running).status_code == 200
        assert "data: [DONE]" in ask(running, stream=True).text
        code, lines, err = running.stop()
    assert code == 0, lines
    assert len(lines) == 2 and all(
        one.startswith("✓ POST /openai/v1/chat/completions  200, ") for one in lines
    )
    assert "passing everything to 127.0.0.1:" in err and "judged as groq" in err
    assert err.splitlines()[-1].startswith("2 exchanges, 2 judged: ") and "0 broken; 0 recorded" in err


def test_a_broken_must_is_printed_as_it_passes_and_ends_with_1(tmp_path: Path, serve: Any) -> None:
    server = serve("groq")
    with tapping(tmp_path, f"{server.url}/openai/v1", "--as", "groq") as running:
        assert ask(running, top_k=5).status_code == 400
        code, lines, err = running.stop(signal.SIGINT)
    assert code == 1
    assert lines[0].startswith("✗ POST /openai/v1/chat/completions  400, ")
    assert lines[1] == "  ✗ body/whitelist (must): /top_k: the provider does not accept 'top_k'"
    assert "broken (body/whitelist (must) 1×)" in err


def test_each_exchange_is_a_line_of_json_without_what_it_carried(tmp_path: Path, serve: Any) -> None:
    server = serve("groq")
    with tapping(tmp_path, f"{server.url}/openai/v1", "--as", "groq", "--json-log") as running:
        ask(running, top_k=5)
        httpx.get(running.url + "/nothing", trust_env=False)
        _, lines, _ = running.stop()
    first, second = map(json.loads, lines)
    assert (first["method"], first["kind"], first["status"]) == ("POST", "chat", 400)
    assert [one["clause"] for one in first["broken"]] == ["body/whitelist"]
    assert (second["kind"], second["verdicts"], second["broken"]) == ("", {}, [])
    assert KEY not in "".join(lines)


def test_what_passes_is_recorded_without_the_key(tmp_path: Path, serve: Any) -> None:
    server = serve("groq")
    with tapping(tmp_path, f"{server.url}/openai/v1", "--as", "groq", "--record", "tapes") as running:
        ask(running, stream=True)
        ask(running)
        ask(running, user=KEY)
        code, lines, err = running.stop()
    assert code == 0, lines
    assert "  recorded: tapes/groq/stream-1.yaml" in lines and "3 recorded" in err
    found = find([tmp_path / "tapes"])
    assert set(found) == {"groq/stream-1", "groq/chat-1", "groq/chat-2"}
    for path in found.values():
        assert KEY not in path.read_text() and "Bearer" not in path.read_text()
    (exchange,) = load(found["groq/stream-1"]).exchanges
    assert (
        exchange.reply
        and exchange.reply.body.endswith(b"data: [DONE]\n\n")
        and len(exchange.reply.chunks) > 3
    )
    check = [sys.executable, "-c", "from onpaper.cli import main; main()", "cassettes", "verify", "tapes"]
    assert subprocess.run(check, cwd=tmp_path, capture_output=True, check=False).returncode == 0


def test_a_server_that_is_down_is_said_and_does_not_stop_the_tap(tmp_path: Path) -> None:
    with tapping(tmp_path, "http://127.0.0.1:1/v1") as running:
        assert ask(running).status_code == 502
        code, lines, _ = running.stop()
    assert code == 0
    assert lines == [next(iter(lines))] and "no reply: 127.0.0.1:1 cannot be connected to: " in lines[0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["ftp://x"], "the base URL must be like 'http://127.0.0.1:8000/v1'"),
        (["http://u:p@127.0.0.1/v1"], "the base URL must be like 'http://127.0.0.1:8000/v1'"),
        (["http://127.0.0.1:1/v1", "--as", "grok"], "there is no contract 'grok'; did you mean 'groq'?"),
        (["http://127.0.0.1:1/v1", "--port", "99999"], "a port is between 0 and 65535, found 99999"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(
    arguments: list[str], sentence: str, in_project: Path, command: Any
) -> None:
    ran = command("tap", *arguments)
    assert ran.code == 2 and ran.err.startswith(f"onpaper: {sentence}") and ran.err.count("\n") == 1


# ---- what it makes of an exchange ----


def exchange(
    body: object = HELLO,
    reply: bytes = b'{"choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}]}',
    headers: tuple[tuple[str, str], ...] = (),
    target: str = "/llm/v1/chat/completions",
    status: int = 200,
    sent: tuple[tuple[str, str], ...] = (
        ("Content-Type", "application/json"),
        ("Authorization", f"Bearer {KEY}"),
    ),
) -> Exchange:
    kind = (("Content-Type", "application/json"), *headers)
    asked = Request("POST", target, sent, json.dumps(body).encode())
    return Exchange(asked, Reply(status, kind, (Chunk(0.1, reply),)), started=1.0, ended=1.5)


def groq(folder: Path | None = None) -> Tap:
    return Tap(Contract.load("groq"), UPSTREAM, folder)


def test_where_the_server_is_is_not_held_against_the_client() -> None:
    assert groq().passed(exchange()).those("broken") == []
    doubled = groq().passed(exchange(target="/llm/v1/v1/chat/completions"))
    assert [one.clause for one in doubled.those("broken")] == ["body/path"]


def test_a_key_is_not_demanded_since_nobody_knows_whether_there_is_one() -> None:
    passed = groq().passed(exchange(sent=(("Content-Type", "application/json"),)))
    assert passed.those("broken") == []


def test_a_compressed_reply_is_judged_by_what_it_says() -> None:
    said = b'{"choices": "none"}'
    packed = exchange(reply=gzip.compress(said), headers=(("Content-Encoding", "gzip"),))
    assert [one.clause for one in groq().passed(packed).those("broken")] == ["server/reply-shape"]
    unknown = exchange(reply=b"\x00", headers=(("Content-Encoding", "zstd"),))
    passed = groq().passed(unknown)
    assert passed.those("broken") == [] and any(
        one.clause == "body/whitelist" for one in passed.those("kept")
    )


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_reply_whose_recorder_decoded_it_and_kept_the_header_is_judged_by_what_it_says(coding: str) -> None:
    kept = exchange(reply=b'{\n  "choices": "none"\n}', headers=(("Content-Encoding", coding),))
    assert [one.clause for one in groq().passed(kept).those("broken")] == ["server/reply-shape"]


def test_a_compressed_reply_that_holds_a_key_is_not_recorded_and_says_why(tmp_path: Path) -> None:
    told = gzip.compress(b'{"choices": [], "key": "' + KEY.encode() + b'"}')
    passed = groq(tmp_path).passed(exchange(reply=told, headers=(("Content-Encoding", "gzip"),)))
    assert passed.path is None and "a body that is compressed holds something shaped like" in passed.problem
    assert not list(tmp_path.rglob("*"))


def test_only_the_contracts_paths_are_judged() -> None:
    passed = groq().passed(exchange(target="/llm/v1/embeddings"))
    assert (passed.kind, passed.verdicts) == ("", ())
    assert line(passed).endswith("not judged: not a path of the contract")


def test_a_key_that_a_client_puts_where_it_does_not_belong_is_not_repeated(tmp_path: Path) -> None:
    wrong = HELLO | {KEY: 1}
    tap = groq(tmp_path)
    passed = tap.passed(exchange(body=wrong, reply=b'{"error": "' + KEY.encode() + b'"}', status=400))
    assert [one.clause for one in passed.those("broken")] == ["body/whitelist"]
    assert KEY not in line(passed) + row(passed) + repr(tap) + "".join(one.message for one in passed.verdicts)
    assert passed.path and KEY not in passed.path.read_text()


def test_numbers_go_on_after_those_of_an_earlier_tap(tmp_path: Path) -> None:
    for tap in (groq(tmp_path), groq(tmp_path)):
        tap.passed(exchange())
        tap.passed(exchange(status=400, reply=b'{"error": {"message": "no"}}'))
    assert set(find([tmp_path])) == {
        "groq/chat-1",
        "groq/chat-2",
        "groq/chat-refused-1",
        "groq/chat-refused-2",
    }
    refused = load(tmp_path / "groq" / "chat-refused-1.yaml")
    assert refused.provoked and refused.provenance and refused.provenance.host_class == "cloud"
    assert "api.example.com" not in (tmp_path / "groq" / "chat-1.yaml").read_text()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.groq.com/openai/v1", "groq"),
        ("https://api.mistral.ai/v1", "mistral"),
        ("https://my-own.openai.azure.com/openai/deployments/gpt", "azure"),
        ("https://a.b.openai.azure.com/openai/v1", "openai"),
        ("http://localhost:8000/v1", "openai"),
        ("https://llm.example.com/v1", "openai"),
    ],
)
def test_the_contract_is_known_by_the_host(url: str, name: str) -> None:
    assert default_contract(urlsplit(url)) == name


def test_what_passes_of_a_variant_is_recorded_under_a_name_that_is_found(tmp_path: Path) -> None:
    variant = next(name for name in folders.names("contracts") if Contract.load(name).variants)
    contract = Contract.load(variant).variant(Contract.load(variant).variants[0])
    passed = Tap(contract, UPSTREAM, tmp_path).passed(exchange(target=contract.chat_path))
    assert passed.path is not None
    assert list(find([tmp_path])) == [f"{passed.path.parent.name}/{passed.path.stem}"]
