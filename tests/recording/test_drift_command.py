"""`onpaper drift`: the recorded requests again, and what is new, gone and wrong because of it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from onpaper.answer import Provider
from onpaper.cassettes import CassetteError, find, load, script_of
from onpaper.cassettes.asking import endpoint_of
from onpaper.cassettes.drift import again, drift
from onpaper.contract import Contract
from onpaper.exchange import Request
from onpaper.gateway import ServerThread
from onpaper.script import Script, Write

KEY = "sk-test-0123456789abcdef"
CONTRACT = """
summary = "a demo"
extends = "openai"
metered = {metered}
[headers]
x-ratelimit-limit-requests = "10"
[stream]
obfuscation = false
chunk = {{ id = "{{id}}", choices = [{{ index = "{{index}}", delta = "{{delta}}", finish_reason = "{{finish}}" }}], usage = "{{usage}}"{more} }}
"""


def contract(project: Path, name: str = "demo", more: str = "", metered: str = "false") -> Contract:
    path = project / "contracts" / f"{name}.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(CONTRACT.format(more=more, metered=metered), "utf-8")
    return Contract.read(path)


def player(spoken: Contract) -> Provider:
    return Provider(spoken, key=KEY, models=("m-1",))


@pytest.fixture
def server(in_project: Path, command: Any) -> Iterator[ServerThread]:
    """A live server that was recorded a moment ago, as `demo`."""
    with ServerThread(player(contract(in_project))) as live:
        where = ["--base-url", live.v1, "--key-env", "DEMO_KEY", "--yes"]
        ran = command("record", "demo", "chat", "chat-stream", "stream-usage", "bad-key", "models", *where)
        assert ran.code == 0, ran.err
        yield live


def drifted(command: Any, server: ServerThread, *more: object) -> Any:
    return command("drift", "demo", *more, "--base-url", server.v1, "--key-env", "DEMO_KEY")


def test_a_server_that_speaks_as_recorded_has_not_drifted(server: ServerThread, command: Any) -> None:
    ran = drifted(command, server)
    assert (ran.code, ran.out) == (0, "5 recordings, no drift\n")
    assert "5 requests to 127.0.0.1, model m-1: " in ran.err


def test_a_new_key_in_a_chunk_is_drift_that_the_contract_cannot_say(
    server: ServerThread, in_project: Path, command: Any
) -> None:
    server.answer = player(contract(in_project, "newer", ', system_fingerprint = "fp"'))
    ran = drifted(command, server, "--json")
    told = json.loads(ran.out)
    assert ran.code == 1 and told["contract"] == "demo"
    new = [one for one in told["changes"] if one["axis"] == "chunk.system_fingerprint"]
    assert new == [
        {
            "axis": "chunk.system_fingerprint",
            "value": "text",
            "state": "new",
            "cases": ["chat-stream", "stream-usage"],
            "wrong": ["contract: it cannot say this", "cassette: chat-stream", "cassette: stream-usage"],
        }
    ]
    gone = [one for one in told["changes"] if one["state"] == "gone" and one["axis"] == "chunk"]
    assert gone and all("contract: it still says this" in one["wrong"] for one in gone)


def test_the_table_says_what_is_new_gone_and_wrong(
    server: ServerThread, in_project: Path, command: Any
) -> None:
    server.answer = player(contract(in_project, "newer", ', system_fingerprint = "fp"'))
    ran = drifted(command, server)
    assert ran.code == 1
    assert "+ new" in ran.out and "- gone" in ran.out and "contract: it cannot say this" in ran.out
    assert ran.out.splitlines()[-1].endswith(" changes in 2 of 5 recordings")


def test_a_mock_that_says_in_its_own_words_what_is_gone_is_named(
    server: ServerThread, in_project: Path, command: Any
) -> None:
    older = contract(in_project, "older", ', verdict = "fine"')
    server.answer = player(older)
    where = ["--base-url", server.v1, "--key-env", "DEMO_KEY", "--yes"]
    assert command("record", "demo", "chat-stream", *where).code == 0
    server.answer = player(contract(in_project))
    (in_project / "mocks").mkdir()
    event = '{"id": "1", "choices": [{"index": 0, "delta": {"content": "x"}}], "verdict": "fine"}'
    mock = f"about = 'the old chunk'\n[[reply]]\nevents = ['{event}']\n"
    (in_project / "mocks" / "old-chunk.toml").write_text(mock, "utf-8")
    told = json.loads(drifted(command, server, "chat-stream", "--json").out)
    (gone,) = (one for one in told["changes"] if one["axis"] == "chunk.verdict")
    assert gone["state"] == "gone" and gone["wrong"] == ["mock: old-chunk", "cassette: chat-stream"]


def test_a_request_that_is_refused_now_is_drift_and_not_an_error(
    server: ServerThread, command: Any, in_project: Path
) -> None:
    player_before = server.answer

    def answer(request: Request) -> Script:
        if b"stream_options" in request.body:
            return Script(422, (("content-type", "application/json"),), (Write(b'{"error": "no"}'),))
        return player_before(request)

    server.answer = answer
    told = json.loads(drifted(command, server, "--json").out)
    assert {"axis": "error", "value": "422 {error: text}"}.items() <= next(
        one for one in told["changes"] if one["state"] == "new" and one["axis"] == "error"
    ).items()


def test_a_server_that_fails_is_not_called_unchanged(server: ServerThread, command: Any) -> None:
    player_before = server.answer

    def answer(request: Request) -> Script:
        return Script(503) if b'"stream": true' in request.body else player_before(request)

    server.answer = answer
    ran = drifted(command, server)
    assert ran.code == 1
    assert "✗ chat-stream: not compared: answered with 503" in ran.out and "3 recordings, no drift" in ran.out


def test_nothing_is_written_unless_it_is_to_be_kept(
    server: ServerThread, in_project: Path, command: Any
) -> None:
    before = {path: path.read_bytes() for path in in_project.rglob("*.yaml")}
    drifted(command, server)
    assert {path: path.read_bytes() for path in in_project.rglob("*.yaml")} == before
    assert drifted(command, server, "--keep", "kept").code == 0
    assert len(find(["kept"])) == 5
    assert not any(KEY in path.read_text() for path in in_project.rglob("*") if path.is_file())


def test_what_may_cost_money_is_asked_first(server: ServerThread, in_project: Path, command: Any) -> None:
    contract(in_project, metered="true")
    ran = drifted(command, server)
    assert ran.code == 2 and "these requests may cost money: add --yes" in ran.err


def test_a_wrong_and_a_missing_key_are_wrong_and_missing_again(server: ServerThread, command: Any) -> None:
    mark = server.journal.mark()
    drifted(command, server, "bad-key")
    (entry,) = server.journal.since(mark)[1:]
    assert entry.request.header("authorization") == "Bearer sk-onpaper-wrong-key"


SHIPPED = Path(__file__).resolve().parents[2] / "cassettes"


@pytest.mark.parametrize("provider", ["llamacpp", "litellm-drop"])
def test_a_shipped_recording_played_back_has_not_drifted(
    provider: str, serve: Any, in_project: Path, command: Any
) -> None:
    names = ["chat", "tool-stream", "unknown-model", "malformed-body", "context-overflow", "models", "no-key"]
    tapes = {name: load(SHIPPED / provider / f"{name}.yaml") for name in names}

    def answer(request: Request) -> Script:
        keyless = request.header("authorization") is None
        for name, tape in tapes.items():
            asked = tape.exchanges[0].request
            if (asked.path, asked.body, name == "no-key") == (request.path, request.body, keyless):
                return script_of(tape.exchanges[0])
        raise LookupError(request.path)

    live = serve(answer)
    ran = command(
        "drift",
        provider,
        *names,
        "--base-url",
        live.v1,
        "--key-env",
        "DEMO_KEY",
        "--model",
        "tiny-scripted",
        "-y",
    )
    assert (ran.code, ran.out) == (0, "7 recordings, no drift\n"), ran.err


def test_another_model_is_asked_in_place_of_the_recorded_one() -> None:
    tape = load(SHIPPED / "vllm" / "chat.yaml")
    found = Contract.load("vllm")
    case = again(tape, endpoint_of(found, "http://127.0.0.1:1/v1", "other", KEY), found)
    assert isinstance(case.body, str) and '"model": "other"' in case.body and "tiny-scripted" not in case.body
    assert (case.output, case.key, case.path) == (64, "right", "chat")


def test_a_masked_request_is_not_asked_again() -> None:
    tape = load(SHIPPED / "vllm" / "chat.yaml")
    (exchange,) = tape.exchanges
    masked = replace(exchange, request=replace(exchange.request, body=b'{"user": "REDACTED***"}'))
    found = Contract.load("vllm")
    endpoint = endpoint_of(found, "http://127.0.0.1:1/v1", "m", KEY)
    with pytest.raises(CassetteError, match="vllm/chat: a part of its request was masked"):
        again(replace(tape, exchanges=(masked,)), endpoint, found)


def test_only_cases_that_both_have_are_compared() -> None:
    one = {"chat": load(SHIPPED / "vllm" / "chat.yaml")}
    other = {"models": load(SHIPPED / "vllm" / "models.yaml")}
    assert drift(one, other, Contract.load("vllm")) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["vlm"], "--base-url is missing"),
        (
            ["vlm", "--base-url", "http://127.0.0.1:1"],
            "there are no recordings of 'vlm'; did you mean 'vllm'?",
        ),
        (
            ["vllm", "chatt", "--base-url", "http://127.0.0.1:1"],
            "'vllm' has no recording 'chatt'; did you mean 'chat'?",
        ),
        (
            ["litellm", "--base-url", "http://127.0.0.1:1", "--key-env", "DEMO_KEY", "--model", "m", "--yes"],
            "127.0.0.1:1 cannot be connected to: ",
        ),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(
    arguments: list[str], sentence: str, in_project: Path, command: Any
) -> None:
    ran = command("drift", *arguments)
    assert ran.code == 2 and ran.err.splitlines()[-1].startswith(f"onpaper: {sentence}"), ran.err
