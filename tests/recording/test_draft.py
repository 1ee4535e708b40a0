"""`onpaper record NAME --new`: recordings, findings about each parameter, and a draft that cites them."""

import json
import os
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onpaper import cli
from onpaper.answer import Provider
from onpaper.cassettes import Cassette, CassetteError, find, load
from onpaper.cassettes.cases import CASES
from onpaper.contract import NOT_INHERITED, Contract
from onpaper.exchange import Request
from onpaper.gateway import ServerThread
from onpaper.mock import Mock
from onpaper.probe import Evidence, draft, follow_ups, questions
from onpaper.probe.ids import pattern
from onpaper.probe.parameters import probed
from onpaper.probe.questions import PARAMETERS
from onpaper.script import Script, Write
from onpaper.tomltext import document, inline, key
from onpaper.truth import Recording, compare

KEY = "sk-test-0123456789abcdef"
CALL = {"name": "get_weather", "arguments": ['{"city":', ' "Paris"}']}
TALKATIVE = Mock.of(
    {
        "about": "answers each recorded case with something of its kind",
        "reply": [
            {"tool_calls": [CALL, CALL], "match": {"tools": True, "contains": "Oslo"}, "times": 9999},
            {"tool_calls": [CALL], "match": {"tools": True, "contains": "Use the tool"}, "times": 9999},
            {
                "reasoning": ["So", " 42"],
                "text": ["forty", "-two"],
                "match": {"contains": "Think first"},
                "times": 9999,
            },
            {"text": ['{"ok":', " true}"], "match": {"contains": "JSON"}, "times": 9999},
            {
                "text": ["alpha ", "beta ", "gamma ", "delta ", "eps", "zeta"],
                "match": {"contains": "alpha"},
                "times": 9999,
            },
            {"text": ["Hello", " there", "! How", " can I", " help?"]},
        ],
    }
)
"""Says something fitting to every case of the recorder, so that a draft has something to go by."""

SHIPPED: dict[str, dict[str, Cassette]] = defaultdict(dict)
for name, path in find([Path(__file__).resolve().parents[2] / "cassettes"]).items():
    SHIPPED[name.partition("/")[0]][name.partition("/")[2]] = load(path)


def new(command: Any, url: str, *more: object) -> Any:
    return command("record", "mine", "--new", "--base-url", url, "--key-env", "DEMO_KEY", "--yes", *more)


@pytest.fixture(scope="module")
def groq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which a strict provider was recorded and drafted as `mine`."""
    folder = tmp_path_factory.mktemp("groq")
    player = Provider(Contract.load("groq"), TALKATIVE, key=KEY, models=("gpt-4o-mini",))
    with ServerThread(player) as server, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DEMO_KEY", KEY)
        patch.setattr(os, "fsync", lambda descriptor: None)
        where = ["--base-url", f"{server.url}/openai/v1", "--key-env", "DEMO_KEY", "--yes"]
        patch.setattr(sys, "argv", ["onpaper", "record", "mine", "--new", *where])
        with pytest.raises(SystemExit, match="0"):
            cli.main()
        yield folder


@pytest.mark.parametrize("provider", sorted(SHIPPED))
def test_a_draft_from_a_real_server_can_say_nearly_all_that_was_recorded(
    provider: str, tmp_path: Path
) -> None:
    cassettes = SHIPPED[provider]
    told = cassettes["chat"].provenance
    assert told
    path = tmp_path / "mine.toml"
    path.write_text(draft(provider, cassettes, "http://127.0.0.1:8000/v1", told.model), "utf-8")
    contract = Contract.read(path)
    recordings = [Recording(provider, exchange) for one in cassettes.values() for exchange in one.exchanges]
    assert compare(contract, recordings).covered >= 88


@pytest.mark.parametrize("provider", sorted(SHIPPED))
def test_every_line_of_a_draft_cites_a_recording(provider: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(draft(provider, SHIPPED[provider], "http://127.0.0.1:8000/v1", "m"), "utf-8")
    contract = Contract.read(path)
    facts = [dotted for dotted, _ in contract.facts() if says(contract.own, dotted)]
    assert len(facts) > 50
    for dotted in facts:
        source = contract.own["sources"][dotted]
        assert source["cassette"].partition("/")[2] in SHIPPED[provider]
    assert not {line for line in path.read_text().splitlines() if "REDACTED" in line}


def says(own: Any, dotted: str) -> bool:
    for part in dotted.split("."):
        if not isinstance(own, dict) or part not in own or part in NOT_INHERITED:
            return False
        own = own[part]
    return True


def test_a_strict_provider_is_drafted_from_what_it_says(groq: Path) -> None:
    real, found = Contract.load("groq"), Contract.read(groq / "contracts/mine.toml")
    assert found.get("body.unknown") == "refuse"
    asked = {parameter.key for parameter in PARAMETERS} | {
        "tools",
        "stop",
        "stream_options",
        "response_format",
    }
    assert found.keys & asked == real.keys & asked - {"n", "top_logprobs"}  # it takes n = 1 only
    for situation in ("wrong_key", "unknown_model", "malformed_json"):
        assert found.get(f"errors.{situation}.status") == real.get(f"errors.{situation}.status")
        assert found.get(f"errors.{situation}.message") == real.get(f"errors.{situation}.message")
    assert found.get("stream.usage.at") == real.get("stream.usage.at")
    assert found.get("stream.tools") == real.get("stream.tools")
    assert found.get("headers")["x-ratelimit-limit-requests"] == "14400"


def test_what_a_draft_refuses_is_refused_as_it_was_recorded(groq: Path) -> None:
    player = Provider(Contract.read(groq / "contracts/mine.toml"), key=None, models=("gpt-4o-mini",))
    cases = [
        "unknown-parameter",
        "unknown-model",
        "malformed-body",
        "wrong-type",
        "missing-messages",
        "no-key",
    ]
    for case in cases:
        (exchange,) = load(groq / f"cassettes/mine/{case}.yaml").exchanges
        asked, said = exchange.request, exchange.reply
        key = () if case == "no-key" else (("authorization", "Bearer sk-x"),)
        played = player(Request(asked.method, asked.target, key, asked.body))
        assert said and (played.status, json.loads(played.body)) == (said.status, json.loads(said.body)), case


def test_the_recordings_are_clean_and_keep_the_draft(groq: Path, command: Any) -> None:
    ran = command("cassettes", "verify", groq / "cassettes")
    assert ran.code == 0, ran.out


def test_a_lenient_server_is_found_to_ignore_what_shows_no_effect(
    in_project: Path, command: Any, serve: Any
) -> None:
    def answer(request: Request) -> Script:
        return plain(status=400 if b'"temperature": "hot"' in request.body else 200)

    assert new(command, serve(answer).v1, "--model", "m").code == 0
    found = Contract.read(Path("contracts/mine.toml"))
    evidence = Evidence({p.stem: load(p) for p in Path("cassettes/mine").glob("*.yaml")}, "m")
    findings = {one.key: one.finding for one in probed(evidence)}
    assert findings["temperature"] == "accepted"  # a text is refused
    assert findings["user"] == "ignored"  # neither value nor type matters
    assert findings["stream"] == findings["n"] == "ignored"  # an effect would show
    assert found.get("body.unknown") == "ignore" and "user" in found.get("body.ignored")
    assert Path("cassettes/mine/parameter-user-wrong-type.yaml").exists()
    assert not Path("cassettes/mine/parameter-n-wrong-type.yaml").exists()


def test_each_parameter_is_reported_with_why(in_project: Path, command: Any, serve: Any) -> None:
    server = serve("mistral", mock=TALKATIVE)
    ran = new(command, server.v1, "--json", "--model", "m-1")
    told = json.loads(ran.out)
    assert ran.code == 0 and told["contract"] == "contracts/mine.toml" and told["covered"] > 88
    found = {one["key"]: one for one in told["parameters"]}
    assert found["logit_bias"] == {
        "key": "logit_bias",
        "finding": "refused",
        "why": "answered with 422",
        "case": "parameter-logit-bias",
    }
    assert len(found) > 30 and found["tool_choice"]["finding"] == "acted upon"


def test_the_cost_of_every_question_is_told_first(in_project: Path, command: Any, serve: Any) -> None:
    server = serve("groq")
    ran = command("record", "mine", "--new", "--base-url", f"{server.url}/openai/v1", "--key-env", "DEMO_KEY")
    assert ran.code == 2 and "these requests may cost money" in ran.err
    ordinary = sum(not case.scripted for case in CASES)
    assert int(ran.err.split()[0]) > ordinary + len(list(questions("max_tokens")))
    assert len(server.journal) == 1 and not (in_project / "contracts").exists()


def plain(text: str = "Hello", status: int = 200) -> Script:
    value = {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]
    }
    value |= {"id": "x-1", "model": "m", "created": 1, "object": "chat.completion"}
    return Script(
        status,
        (("content-type", "application/json"),),
        (Write(json.dumps(value).encode()),),
        transfer="length",
    )


def test_a_model_that_wants_the_newer_limit_is_asked_with_it(
    in_project: Path, command: Any, serve: Any
) -> None:
    def answer(request: Request) -> Script:
        return plain(status=400 if b'"max_tokens"' in request.body else 200)

    ran = new(command, serve(answer).v1, "--model", "m")
    assert ran.code == 0
    contract = Contract.read(Path("contracts/mine.toml"))
    assert "max_tokens" in contract.unsupported and "max_completion_tokens" in contract.keys
    (chat,) = load(Path("cassettes/mine/chat.yaml")).exchanges
    assert chat.request.json()["max_completion_tokens"] == 64


def test_a_refusal_of_an_ordinary_case_is_a_finding_with_a_cassette(
    in_project: Path, command: Any, serve: Any
) -> None:
    def answer(request: Request) -> Script:
        return plain(status=422 if b'"tools"' in request.body else 200)

    ran = new(command, serve(answer).v1, "--model", "m")
    tools = load(Path("cassettes/mine/tools.yaml"))
    assert ran.code == 0 and tools.provenance
    assert tools.provenance.provoked and tools.provenance.note == "Refused by this server."
    assert "tools" in Contract.read(Path("contracts/mine.toml")).unsupported


def test_a_failure_of_the_server_shows_nothing_of_the_parameter(
    in_project: Path, command: Any, serve: Any
) -> None:
    def answer(request: Request) -> Script:
        return plain(status=503 if b'"seed": 7' in request.body or b'"tools"' in request.body else 200)

    ran = new(command, serve(answer).v1, "--model", "m", "--json")
    told = json.loads(ran.out)
    found = {one["key"]: one["finding"] for one in told["parameters"]}
    assert ran.code == 1  # tools has no cassette
    assert found["seed"] == "unclear" and "tools" not in found
    assert "seed" not in Contract.read(Path("contracts/mine.toml")).own["body"]["keys"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["groq", "--new"], "there is a contract 'groq' already"),
        (
            ["Mine!", "--new"],
            "'Mine!' cannot be the name of a contract: names are like 'my-gateway'",
        ),
        (
            ["mine", "chat", "--new"],
            "with --new every case is asked, because the draft needs them: leave 'chat' out",
        ),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], sentence: str, in_project: Path, command: Any
) -> None:
    ran = command("record", *arguments, "--base-url", "http://127.0.0.1:1/v1", "--key-env", "DEMO_KEY")
    assert ran.code == 2 and ran.err.startswith(f"onpaper: {sentence}")


@pytest.mark.parametrize("status", [400, 401, 404])
def test_a_server_that_answers_no_plain_chat_is_not_recorded(
    status: int, in_project: Path, command: Any, serve: Any
) -> None:
    ran = new(command, serve(lambda request: plain(status=status)).v1, "--model", "m")
    assert ran.code == 2
    assert ran.err.splitlines()[-1].startswith(
        f"onpaper: a plain chat is refused (chat: answered with {status}: "
    )
    assert ran.err.endswith(": check --base-url, --key-env and --model\n")
    assert not list(in_project.iterdir())


def test_a_reply_that_is_no_completion_gives_no_draft() -> None:
    with pytest.raises(CassetteError, match="there is nothing to draft from"):
        draft("mine", {"chat": SHIPPED["vllm"]["bad-key"]}, "http://127.0.0.1/v1", "m")


def test_follow_ups_are_asked_only_where_unknown_keys_are_ignored() -> None:
    assert list(follow_ups(Evidence(SHIPPED["vllm"], "m"))) == []  # no parameter was asked for
    strict = {"unknown-parameter": SHIPPED["vllm"]["bad-key"], "parameter-seed": SHIPPED["vllm"]["chat"]}
    lenient = strict | {"unknown-parameter": SHIPPED["vllm"]["chat"]}
    assert list(follow_ups(Evidence(strict, "m"))) == []
    assert [case.name for case in follow_ups(Evidence(lenient, "m"))] == ["parameter-seed-wrong-type"]


@pytest.mark.parametrize(
    ("seen", "guessed"),
    [
        (["chatcmpl-0f8c51d4a3b2", "chatcmpl-98ab51d4a3b2"], "chatcmpl-{hex:12}"),
        (["chatcmpl-5ee95f24-ed82-4fea-95f7-6e0f076569e0"], "chatcmpl-{uuid}"),
        (["call_Ab9zQ", "call_00000"], "call_{alnum:5}"),
        (["1234567", "7654321"], "{digits:7}"),
        (["a", "bcd"], "a"),
    ],
)
def test_the_pattern_of_an_id_is_guessed(seen: list[str], guessed: str) -> None:
    assert pattern(seen) == guessed


VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(min_size=1), VALUES, max_size=5))
def test_what_is_written_as_toml_is_read_back(value: dict[str, Any]) -> None:
    assert tomllib.loads(document(value, frozenset())) == value
    assert tomllib.loads(f"x = {inline(value)}") == {"x": value}


def test_sections_become_tables() -> None:
    table = {"a": 1, "body": {"keys": {"x.y": {"type": "integer"}}, "unknown": "refuse"}}
    text = document(table, frozenset({"body", "body.keys"}))
    assert text == 'a = 1\n\n[body]\nunknown = "refuse"\n\n[body.keys]\n"x.y" = { type = "integer" }\n'
    assert key("a b") == '"a b"'
