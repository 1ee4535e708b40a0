"""`onpaper record PROVIDER`: every case of a contract from a live server, without a trace of the key."""

import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from onpaper.cassettes import CassetteError, find, load
from onpaper.cassettes.asking import cases_of, endpoint_of
from onpaper.cassettes.cases import CASES
from onpaper.cassettes.recorder import WRONG_KEY, content_of
from onpaper.contract import Contract
from onpaper.exchange import Request
from onpaper.gateway import ServerThread
from onpaper.script import Script, Write

KEY = "sk-test-0123456789abcdef"
KILLS = int(os.environ.get("ONPAPER_KILLS", "12"))
"""How often the recorder is killed; a release is worth a few hundred."""
ONPAPER = [sys.executable, "-c", "from onpaper.cli import main; main()"]


def groq(serve: Any, **options: Any) -> str:
    return str(serve("groq", **options).url) + "/openai/v1"


def record(command: Any, url: str, *more: object) -> Any:
    return command("record", "groq", *more, "--base-url", url, "--key-env", "DEMO_KEY", "--yes")


def test_every_case_of_a_contract_gets_its_cassette(in_project: Path, command: Any, serve: Any) -> None:
    ran = record(command, groq(serve), "--server", "Groq 1", "--set-up", "in a test", "--context", 2048)
    assert ran.code == 0, ran.err
    found = find([in_project / "cassettes"])
    ordinary = {case.name for case in CASES if not case.scripted}
    assert {name.removeprefix("groq/") for name in found} == ordinary | {"context-overflow"}
    provenance = load(found["groq/tools"]).provenance
    assert provenance and (provenance.contract, provenance.server, provenance.setup, provenance.model) == (
        ("groq", "Groq 1", "in a test", "m-1")
    )
    assert command("cassettes", "verify").code == 0


def test_the_cost_is_told_before_anything_is_asked(in_project: Path, command: Any, serve: Any) -> None:
    server = serve("groq")
    ran = command("record", "groq", "--base-url", f"{server.url}/openai/v1", "--key-env", "DEMO_KEY")
    assert ran.code == 2
    cost, refusal = ran.err.splitlines()
    assert cost.startswith("29 requests to 127.0.0.1, model m-1: at most ") and "tokens in and out" in cost
    assert refusal == "onpaper: these requests may cost money: add --yes to make them without being asked"
    assert [request.path for request in server.journal.requests] == ["/openai/v1/models"]
    assert not (in_project / "cassettes").exists()


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("", 1)])
def test_a_person_is_asked_and_may_say_no(
    answer: str, code: int, in_project: Path, command: Any, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def confirm(question: str, **_: object) -> bool:
        asked.append(question)
        return answer == "y\n"

    monkeypatch.setattr("typer.confirm", confirm)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    url = groq(serve)
    ran = command("record", "groq", "chat", "--base-url", url, "--key-env", "DEMO_KEY")
    assert (asked, ran.code) == (["Go on?"], code)
    assert (in_project / "cassettes" / "groq" / "chat.yaml").exists() == (code == 0)


def test_a_local_server_that_costs_nothing_is_not_asked_about(
    in_project: Path, command: Any, serve: Any
) -> None:
    ran = command("record", "llamacpp", "chat", "--base-url", serve("llamacpp").v1, "--key-env", "DEMO_KEY")
    assert ran.code == 0, ran.err


def test_only_the_named_cases_are_asked(in_project: Path, command: Any, serve: Any) -> None:
    ran = record(command, groq(serve), "chat", "bad-key", "--json", "--out", "tapes", "--model", "m-1")
    told = json.loads(ran.out)
    assert [one["case"] for one in told["cases"]] == ["chat", "bad-key"]
    assert told["cases"][1] | {"bytes": 0} == {
        "case": "bad-key",
        "file": "tapes/groq/bad-key.yaml",
        "status": 401,
        "bytes": 0,
        "chunks": 1,
        "end": "clean",
    }
    assert sorted(find(["tapes"])) == ["groq/bad-key", "groq/chat"]


def test_a_pipe_gets_a_line_for_each_case(in_project: Path, command: Any, serve: Any) -> None:
    ran = record(command, groq(serve), "chat", "bad-key")
    lines = ran.out.splitlines()
    assert [line.split()[:3] for line in lines] == [["✓", "chat", "200"], ["✓", "bad-key", "401"]]
    assert "\x1b" not in ran.out + ran.err


def test_the_native_protocol_is_recorded_in_its_own_words(in_project: Path, command: Any, serve: Any) -> None:
    server = serve("ollama", key=None)
    ran = command("record", "ollama", "--base-url", server.url)
    assert ran.code == 0, ran.out
    found = find(["cassettes"])
    assert {"ollama/chat", "ollama/chat-stream", "ollama/tool-result", "ollama/models"} <= set(found)
    (stop,) = load(found["ollama/stop"]).exchanges
    asked = stop.request.json()
    assert (stop.request.path, asked["stream"], asked["options"]) == (
        "/api/chat",
        False,
        {"stop": ["gam"], "num_predict": 64},
    )
    assert command("cassettes", "verify").code == 0


@pytest.mark.parametrize("name", ["ollama", "groq", "mistral", "perplexity", "databricks", "openai", "vllm"])
def test_what_is_meant_to_be_answered_keeps_the_contract(name: str) -> None:
    contract = Contract.load(name)
    endpoint = endpoint_of(contract, "http://127.0.0.1:1", "m", "k")
    cases, left_out = cases_of(contract, endpoint)
    assert len(cases) + len(left_out) == sum(not case.scripted for case in CASES) + 1
    bodies = [content_of(endpoint, case) for case in cases if not case.provoked and case.path == "chat"]
    assert all(contract.violations(json.loads(body)) == [] for body in bodies)
    assert len(set(bodies)) == len(bodies) > 13


def test_a_case_that_a_contract_rules_out_is_left_out_with_the_reason() -> None:
    contract = Contract.load("perplexity")
    _, left_out = cases_of(contract, endpoint_of(contract, "http://127.0.0.1:1", "m", "k"))
    assert left_out["tools"] == "the provider does not accept 'tools'"


def refuse(status: int, text: str = '{"error": {"message": "no"}}') -> Script:
    return Script(status, (("content-type", "application/json"),), (Write(text.encode()),), transfer="length")


def test_a_case_that_is_refused_has_no_cassette_and_the_others_have(
    in_project: Path, command: Any, serve: Any
) -> None:
    def answer(request: Request) -> Script:
        return refuse(422) if b'"tools"' in request.body else refuse(200, '{"choices": []}')

    url = serve(answer).v1
    ran = record(command, url, "chat", "tools", "stop", "--model", "m")
    assert ran.code == 1
    assert sorted(find(["cassettes"])) == ["groq/chat", "groq/stop"]
    (line,) = (line for line in ran.out.splitlines() if line.startswith("✗"))
    assert line.split(maxsplit=2)[1:] == [
        "tools",
        'no cassette: answered with 422: {"error": {"message": "no"}}',
    ]


@pytest.mark.parametrize("cases", [(), ("chat", "bad-key"), ("bad-key",), ("unknown-parameter", "malformed-body")])
def test_a_base_url_that_leads_nowhere_costs_no_recording(
    cases: tuple[str, ...], in_project: Path, command: Any, serve: Any
) -> None:
    url = groq(serve)
    assert record(command, url, "models", "chat", "bad-key", "unknown-parameter", "malformed-body").code == 0
    before = {path: path.read_bytes() for path in find(["cassettes"]).values()}
    ran = record(command, url.replace("/openai/", "/opnai/"), *cases, "--model", "m-1")
    assert ran.code == 2, ran.out
    assert ran.err.splitlines()[-1].startswith("onpaper: nothing answers at /opnai/v1/chat/completions (")
    assert {path: path.read_bytes() for path in find(["cassettes"]).values()} == before


def test_a_server_without_a_list_of_models_is_recorded_all_the_same(
    in_project: Path, command: Any, serve: Any
) -> None:
    url = serve(lambda request: refuse(404 if request.method == "GET" else 200, '{"choices": []}')).v1
    ran = record(command, url, "models", "chat", "--model", "m")
    assert ran.code == 1
    assert sorted(find(["cassettes"])) == ["groq/chat"]


def test_a_refused_key_ends_it_at_once(in_project: Path, command: Any, serve: Any) -> None:
    server = serve("groq", key="sk-another-0123456789")
    ran = record(command, f"{server.url}/openai/v1", "chat", "tools", "--model", "m-1")
    assert ran.code == 2 and len(server.journal) == 1
    assert ran.err.splitlines()[-1].startswith(
        "onpaper: the server refuses the key: chat: answered with 401: "
    )
    assert not (in_project / "cassettes").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["record", "grok", "--base-url", "http://127.0.0.1:1"],
            "there is no contract 'grok'; did you mean 'groq'?",
        ),
        (
            ["record", "groq"],
            "--base-url is missing: where is the server? It is like http://127.0.0.1:8000/v1",
        ),
        (
            ["record", "groq", "--base-url", "http://127.0.0.1:1"],
            "groq wants a key: name the environment variable",
        ),
        (
            ["record", "groq", "--base-url", "http://127.0.0.1:1", "--key-env", KEY],
            "--key-env wants the name of an environment variable (letters, digits, _), not a key",
        ),
        (
            ["record", "groq", "--base-url", "http://127.0.0.1:1", "--key-env", "hf_0123456789abcdefghij"],
            "the environment variable that --key-env names is not set, or empty",
        ),
        (
            ["record", "groq", "--base-url", "http://u:p@h/v1", "--key-env", "DEMO_KEY"],
            "the base URL must be like 'http://127.0.0.1:8000/v1', without a user name, query or fragment",
        ),
        (
            [
                "record",
                "groq",
                "chatt",
                "--base-url",
                "http://127.0.0.1:1",
                "--key-env",
                "DEMO_KEY",
                "--model",
                "m",
            ],
            "there is no case 'chatt'; did you mean 'chat'?",
        ),
        (
            [
                "record",
                "groq",
                "chat",
                "--base-url",
                "http://127.0.0.1:1",
                "--key-env",
                "DEMO_KEY",
                "--model",
                "m",
                "-y",
            ],
            "127.0.0.1:1 cannot be connected to: ",
        ),
        (
            ["record", "groq", "--base-url", "http://127.0.0.1:1", "--key-env", "DEMO_KEY"],
            "127.0.0.1:1 cannot be",
        ),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(
    arguments: list[str], sentence: str, in_project: Path, command: Any
) -> None:
    ran = command(*arguments)
    said = ran.err.splitlines()[-1]
    assert ran.code == 2 and said.startswith(f"onpaper: {sentence}"), ran.err
    assert KEY not in ran.out + ran.err and "hf_0123" not in ran.err


def test_a_draft_that_could_not_be_written_costs_no_request(in_project: Path, command: Any, serve: Any) -> None:
    (in_project / "contracts").touch()
    server = serve("groq")
    ran = command("record", "mine", "--new", "--base-url", f"{server.url}/openai/v1", "--key-env", "DEMO_KEY", "--yes")
    assert ran.code == 2 and "contracts: is not a folder" in ran.err
    assert len(server.journal) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["record", "groq", "--base-url", "http://127.0.0.1:1", "--out", "taken"],
        ["drift", "vllm", "--base-url", "http://127.0.0.1:1", "--keep", "taken/below"],
        ["tap", "http://127.0.0.1:1", "--record", "taken"],
    ],
)
def test_a_folder_that_cannot_hold_recordings_is_refused_before_anything_is_asked(
    arguments: list[str], in_project: Path, command: Any
) -> None:
    (in_project / "taken").touch()
    ran = command(*arguments)
    assert ran.code == 2 and "taken: is not a folder, so nothing could be kept there" in ran.err


def test_several_models_are_named_to_choose_from(in_project: Path, command: Any, serve: Any) -> None:
    ran = record(command, groq(serve, models=("m-1", "m-2")))
    assert (ran.code, ran.err) == (2, "onpaper: name one model with --model; the server lists m-1, m-2\n")


def test_a_server_without_a_list_wants_the_model_named(in_project: Path, command: Any, serve: Any) -> None:
    ran = record(command, serve(lambda request: refuse(404)).v1)
    assert (ran.code, ran.err) == (
        2,
        "onpaper: /v1/models lists no models (status 404): name one with --model\n",
    )


# ---- no trace of the key ----


def giving_everything_away(request: Request) -> Script:
    """Echoes whatever it was sent, as cookies, headers, errors and nested JSON."""
    sent = {name.lower(): value for name, value in request.headers}
    key = sent.get("authorization", "").removeprefix("Bearer ")
    headers = (
        ("content-type", "application/json"),
        ("set-cookie", f"session={key}; Path=/"),
        ("x-request-id", f"req_{key}"),
        ("server", f"demo ({key})"),
    )
    told = {
        "error": {"message": f"Incorrect API key provided: {key}."},
        "sent": json.dumps(sent),
        "choices": [],
    }
    refused = key == WRONG_KEY or not key
    return Script(401 if refused else 200, headers, (Write(json.dumps(told).encode()),), transfer="length")


# Every file that the process opens to write is named on standard error (PEP 578).
WATCHED = """
import os, sys
def watch(event, args):
    if event == "open" and isinstance(args[0], str) and args[2] & (os.O_WRONLY | os.O_RDWR):
        sys.__stderr__.write(f"WRITES {args[0]}\\n")
sys.addaudithook(watch)
from onpaper.cli import main
main()
"""


def test_a_server_that_gives_the_key_away_leaves_no_trace_on_disk(tmp_path: Path, serve: Any) -> None:
    project, temporary, home = (tmp_path / name for name in ("project", "temporary", "home"))
    for folder in (project, temporary, home):
        folder.mkdir()
    url = serve(giving_everything_away).v1
    arguments = ["record", "groq", "--base-url", url, "--key-env", "DEMO_KEY", "--model", "m", "--yes"]
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *arguments],
        cwd=project,
        # Python's own notes of what it compiled are no trace of ours
        env={**os.environ, "DEMO_KEY": KEY, "TMPDIR": str(temporary), "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == sum(not case.scripted for case in CASES)
    assert all(load(path).exchanges[0].reply for path in files)
    said = [*(path.read_text("utf-8") for path in files), done.stdout, done.stderr]
    for secret in (KEY, WRONG_KEY, "session=sk"):
        assert not any(secret in text for text in said)
    written = [
        line.removeprefix("WRITES ") for line in done.stderr.splitlines() if line.startswith("WRITES ")
    ]
    drafts = [path for path in written if path.endswith(".draft")]
    assert len(drafts) == len(files)  # each of which became a cassette
    assert not [path for path in written if path not in drafts and not path.startswith("/dev/")]


# ---- killed at any moment ----


def test_a_recorder_that_is_killed_at_any_moment_loses_nothing(tmp_path: Path, serve: Any) -> None:
    server: ServerThread = serve("groq")
    chance = random.Random(6)
    cases = ["models", "chat", "stream-usage", "tools", "unicode-stream", "bad-key", "unknown-parameter"]
    arguments = ["record", "groq", *cases, "--base-url", f"{server.url}/openai/v1", "--key-env", "DEMO_KEY"]
    arguments += ["--model", "m-1", "--yes"]
    environment = {**os.environ, "DEMO_KEY": KEY}

    def run() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*ONPAPER, *arguments],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    assert run().wait(30) == 0
    names = set(find([tmp_path / "cassettes"]))
    assert len(names) == len(cases)
    never = threading.Event()
    killed = 0
    for _ in range(KILLS):
        mark = server.journal.mark()
        process = run()
        last = chance.randint(1, len(cases))
        try:
            server.journal.wait_for(
                lambda journal, mark=mark, last=last: len(journal.since(mark)) >= last, 20
            )
            never.wait(chance.random() * 0.03)
        finally:
            process.kill()
            process.wait(10)
        killed += process.returncode == -9
        found = find([tmp_path / "cassettes"])
        assert set(found) == names
        for path in found.values():
            assert load(path).exchanges[0].reply
    assert killed >= KILLS * 0.7
    drafts = list((tmp_path / "cassettes").rglob("*.draft"))
    assert all(path.name.startswith(".") for path in drafts)


def test_half_a_cassette_is_not_loadable(in_project: Path, command: Any, serve: Any) -> None:
    record(command, groq(serve), "stream-usage")
    path = Path("cassettes/groq/stream-usage.yaml")
    whole = path.read_bytes()
    for size in range(0, len(whole) - len(b"version: 1\n"), 97):
        path.write_bytes(whole[:size])
        with pytest.raises(CassetteError):
            load(path)
