"""`onpaper cassettes verify`: files, and every reply by its contract and its known failures."""

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from onpaper.cassettes import Cassette, Provenance, find, load, save
from onpaper.cassettes.hosts import contract_of
from onpaper.cassettes.judging import judge_replies, known_failures, reply_clauses
from onpaper.contract import Contract
from onpaper.driving.known import KnownFailure, apply_known
from onpaper.driving.verdict import Verdict
from onpaper.errors import BadInput
from onpaper.exchange import Chunk, Exchange, Reply, Request

HERE = Path(__file__).resolve().parents[2]
GOOD = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
UNENDED = GOOD.removesuffix(b"data: [DONE]\n\n")
TODAY = datetime.date(2026, 11, 20)


def put(project: Path, body: bytes, name: str = "chat", contract: str = "demo") -> Path:
    """A recorded stream in the project's cassettes."""
    asked = Request("POST", "/v1/chat/completions", (), b'{"model": "m", "messages": [], "stream": true}')
    reply = Reply(200, (("Content-Type", "text/event-stream"),), (Chunk(0.0, body),))
    provenance = Provenance(
        contract, name, "onpaper 0.1.0", str(TODAY), "demo 1.0", "in a test", "m", "loopback"
    )
    path = project / "cassettes" / "demo" / f"{name}.yaml"
    return save(Cassette(f"demo/{name}", (Exchange(asked, reply),), provenance), path)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a contract of its own, in which the command is run."""
    (tmp_path / "contracts").mkdir()
    write_contract(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_contract(project: Path, *failures: dict[str, Any]) -> None:
    lines = ['summary = "a demo"', 'extends = "openai"']
    for failure in failures:
        lines += ["[[known-failures]]", *(f"{key} = {json.dumps(value)}" for key, value in failure.items())]
    (project / "contracts" / "demo.toml").write_text("\n".join(lines) + "\n", "utf-8")


def judged(project: Path) -> dict[tuple[str, str], tuple[str, str]]:
    """Clause and case to verdict and message, of what is not kept."""
    tapes = [load(path) for path in find([project / "cassettes"]).values()]
    verdicts = judge_replies(tapes, today=TODAY)
    return {
        (one.clause, one.case): (one.verdict, one.message)
        for one in verdicts
        if one.verdict in ("broken", "known")
    }


def test_every_shipped_recording_keeps_every_reply_clause_or_is_a_known_failure(command: Any) -> None:
    ran = command("cassettes", "verify", HERE / "cassettes", "--strict", "--json")
    told = json.loads(ran.out)
    assert (ran.code, told["problems"]) == (0, [])
    assert told["cassettes"] > 300 and told["counts"]["kept"] > 2500
    assert all(one["verdict"] == "known" and "https://" in one["message"] for one in told["verdicts"])


def test_every_known_failure_of_a_shipped_contract_says_why_and_where_it_was_seen() -> None:
    for path in (HERE / "contracts").glob("*.toml"):
        for entry in known_failures(Contract.load(path.stem)):
            assert entry.clause in reply_clauses() and entry.reason and entry.source.startswith("https://")


def test_a_sound_recording_is_clean(project: Path, command: Any) -> None:
    put(project, GOOD)
    ran = command("cassettes", "verify")
    assert ran.code == 0
    assert ran.out.startswith("1 cassettes of 1 servers, 0 problems; reply clauses: ")
    assert "0 broken" in ran.out


def test_a_reply_that_breaks_its_contract_is_red(project: Path, command: Any) -> None:
    put(project, UNENDED)
    ran = command("cassettes", "verify")
    assert ran.code == 1
    assert "✗ demo/chat: server/sentinel (must, by demo): the stream does not end with [DONE]" in ran.out


def test_a_broken_should_is_red_only_when_asked(project: Path, command: Any) -> None:
    put(
        project,
        GOOD.replace(
            b"data: [DONE]", b'data: {"choices":[{"index":0,"delta":{"content":"!"}}]}\n\ndata: [DONE]'
        ),
    )
    assert command("cassettes", "verify").code == 0
    ran = command("cassettes", "verify", "--strict")
    assert ran.code == 1 and "server/finish-once (should" in ran.out


def test_a_known_failure_is_told_with_its_reason_and_source(project: Path, command: Any) -> None:
    put(project, UNENDED)
    reason = {"reason": "it ends so", "source": "https://example.com/1"}
    write_contract(project, {"clause": "server/sentinel", "case": "demo/*", **reason})
    ran = command("cassettes", "verify")
    assert ran.code == 0
    assert (
        "k demo/chat: server/sentinel (must, by demo): it ends so (https://example.com/1) — the stream"
        in ran.out
    )


def test_a_known_failure_that_passes_is_red(project: Path) -> None:
    put(project, UNENDED)
    put(project, GOOD, "good")
    write_contract(project, {"clause": "server/sentinel", "case": "demo/*", "reason": "why"})
    assert judged(project)[("server/sentinel", "demo/good")] == (
        "broken",
        "listed as a known failure (why), and it passes: remove or narrow the entry",
    )


def test_a_known_failure_without_a_case_has_to_break_somewhere(project: Path) -> None:
    put(project, UNENDED)
    put(project, GOOD, "good")
    write_contract(project, {"clause": "server/sentinel", "reason": "why"})
    assert judged(project)[("server/sentinel", "demo/chat")][0] == "known"
    put(project, GOOD)
    assert judged(project) == {
        ("server/sentinel", "known-failures"): (
            "broken",
            "listed as a known failure (why), and every recording passes: remove the entry",
        )
    }


def test_a_known_failure_of_no_clause_is_red_with_the_nearest(project: Path) -> None:
    put(project, GOOD)
    write_contract(project, {"clause": "server/sentinal", "reason": "why"})
    ((verdict, message),) = judged(project).values()
    assert verdict == "broken" and "no clause about replies; did you mean 'server/sentinel'?" in message


def test_a_known_failure_of_no_recording_is_red_in_its_own_project_only(
    project: Path, tmp_path: Path
) -> None:
    put(project, GOOD)
    write_contract(project, {"clause": "server/sentinel", "case": "demo/gone", "reason": "why"})
    ((verdict, message),) = judged(project).values()
    assert verdict == "broken" and "case 'demo/gone', which no recording is" in message
    (project / "elsewhere").mkdir()
    (project / "cassettes").rename(project / "elsewhere" / "cassettes")
    assert judged(project / "elsewhere") == {}


def test_a_known_failure_expires(project: Path) -> None:
    put(project, UNENDED)
    entry = {"clause": "server/sentinel", "case": "demo/chat", "reason": "why"}
    write_contract(project, {**entry, "expires": "2026-11-20"})
    assert judged(project)[("server/sentinel", "demo/chat")][0] == "known"
    write_contract(project, {**entry, "expires": "2026-11-19"})
    verdict, message = judged(project)[("server/sentinel", "demo/chat")]
    assert verdict == "broken" and message.startswith("the known failure expired on 2026-11-19 (why); ")


def test_an_expired_entry_is_red_whatever_the_level_of_its_clause() -> None:
    entry = KnownFailure("server/object", "why", "demo/chat", "", datetime.date(2026, 11, 19))
    found = Verdict("demo", "server/object", "demo/chat", "should", "broken", "it differs", "")
    assert apply_known([entry], found, datetime.date(2026, 11, 20)).level == "must"


def test_an_expiry_that_is_no_date_is_one_sentence(project: Path) -> None:
    put(project, GOOD)
    write_contract(project, {"clause": "server/sentinel", "reason": "why", "expires": "soon"})
    with pytest.raises(
        BadInput, match=r"demo\.toml: known-failures: expires 'soon' is not a date like 2027-03-01"
    ):
        judged(project)


def test_a_recording_whose_contract_is_missing_is_a_problem_and_the_others_are_judged(
    project: Path, command: Any
) -> None:
    put(project, UNENDED)
    put(project, GOOD, "other", contract="dema")
    ran = command("cassettes", "verify")
    assert ran.code == 1
    assert "other.yaml: cannot be judged: there is no contract 'dema'; did you mean 'demo'?" in ran.out
    assert "server/sentinel" in ran.out


def test_the_folder_of_one_provider_is_not_said_to_be_rubbish(project: Path, command: Any) -> None:
    put(project, GOOD)
    ran = command("cassettes", "verify", project / "cassettes" / "demo")
    assert ran.code == 2 and "remove it" not in ran.out
    assert ran.err.endswith(f"is the folder of one provider; name the one that holds it: {project / 'cassettes'}\n")


def test_an_old_recording_is_reported(project: Path, command: Any) -> None:
    put(project, GOOD)
    age = (datetime.datetime.now(datetime.UTC).date() - TODAY).days
    assert command("cassettes", "verify", "--max-age", max(age, 0)).code == 0
    if age > 0:
        ran = command("cassettes", "verify", "--max-age", age - 1)
        assert ran.code == 1 and "was recorded on 2026-11-20, before" in ran.out


def test_a_leak_is_told_without_its_value(project: Path, command: Any) -> None:
    path = put(project, GOOD)
    key = "sk-" + "0123456789abcdef"
    path.write_text(f"# {key}\n{path.read_text()}")
    ran = command("cassettes", "verify", "--json")
    assert ran.code == 1 and key not in ran.out
    assert json.loads(ran.out)["problems"] == [
        f"{path}: its text holds something shaped like a key (sk-…); record it again"
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], "onpaper: nowhere: is not a folder; name the one that holds the cassettes\n"),
        (
            ["contracts/empty"],
            "onpaper: contracts/empty: holds no cassette (<provider>/<case>.yaml); "
            "record one with `onpaper record`\n",
        ),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(
    arguments: list[str], sentence: str, project: Path, command: Any
) -> None:
    (project / "contracts" / "empty").mkdir()
    ran = command("cassettes", "verify", *arguments)
    assert (ran.code, ran.err, ran.out) == (2, sentence, "")


def foreign(uri: str, asked: str, said: str, kind: str = "application/json") -> str:
    """One exchange as another tool keeps it."""
    request = {"method": "POST", "url": uri, "body": asked}
    return json.dumps({"request": request, "response": {"status": 200, "headers": {"Content-Type": kind}, "body": said}})


CHAT = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
LINES = {"model": "m", "message": {"role": "assistant", "content": "hi"}, "done": True}


@pytest.mark.parametrize(
    ("uri", "said", "judge"),
    [
        ("https://api.groq.com/openai/v1/chat/completions", '{"choices": []}', "groq"),
        ("https://mine.openai.azure.com/openai/deployments/d/chat/completions", '{"choices": []}', "azure"),
        ("https://llm.example/v1/chat/completions", '{"choices": []}', "openai"),
        ("http://localhost:11434/api/chat", json.dumps(LINES | {"message": None}), "ollama"),
    ],
)
def test_a_single_file_of_another_recorder_is_judged_by_the_contract_of_its_host(
    uri: str, said: str, judge: str, tmp_path: Path, command: Any
) -> None:
    path = tmp_path / "Test_It[a].json"
    path.write_text(foreign(uri, CHAT, said, "application/x-ndjson" if judge == "ollama" else "application/json"))
    ran = command("cassettes", "verify", str(path), "--json")
    told = json.loads(ran.out)
    assert (ran.code, told["cassettes"], told["problems"]) == (1, 1, [])
    assert {(one["backend"], one["clause"]) for one in told["verdicts"]} == {
        (judge, "server/lines-shape" if judge == "ollama" else "server/reply-shape")
    }


@pytest.mark.parametrize(("path", "judge"), [("/v1", "hf-router"), ("/hf-inference/models/a/b/v1", "tgi")])
def test_the_folder_says_the_contract_where_the_host_passes_on_to_another(path: str, judge: str, tmp_path: Path) -> None:
    (tmp_path / "tgi").mkdir()
    file = tmp_path / "tgi" / "one.json"
    file.write_text(foreign(f"https://router.huggingface.co{path}/chat/completions", CHAT, "{}"))
    assert contract_of(load(file)) == judge


def test_a_folder_further_up_says_the_contract_where_no_host_is_known(tmp_path: Path) -> None:
    file = tmp_path / "deepseek" / "streaming" / "one.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("when:\n  path: /chat/completions\n  method: POST\nthen:\n  status: 200\n  body: '{}'\n")
    assert contract_of(load(file)) == "deepseek"


def test_a_single_file_is_searched_for_keys(tmp_path: Path, command: Any) -> None:
    path, key = tmp_path / "one.json", "sk-" + "0123456789abcdef"
    path.write_text(foreign("https://llm.example/v1/chat/completions", CHAT, json.dumps({"choices": [], "key": key})))
    ran = command("cassettes", "verify", str(path), "--json")
    assert ran.code == 1 and key not in ran.out
    assert json.loads(ran.out)["problems"] == [f"{path}: the reply body holds something shaped like a key (sk-…)"]


def test_a_file_without_a_chat_is_one_sentence_and_only_a_problem_beside_others(
    project: Path, tmp_path: Path, command: Any
) -> None:
    other, none = tmp_path / "other.json", tmp_path / "none.txt"
    other.write_text(foreign("https://llm.example/v1/embeddings", "{}", "{}"))
    none.write_text("hello")
    ran = command("cassettes", "verify", str(other))
    sentence = f"{other}: holds nothing that contract 'openai' judges, but POST /v1/embeddings; name a recording of chat completions"
    assert (ran.code, ran.err) == (2, f"onpaper: {sentence}\n")
    assert command("cassettes", "verify", str(none)).code == 2
    ran = command("cassettes", "verify", str(put(project, GOOD)), str(other), "--json")
    told = json.loads(ran.out)
    assert (ran.code, told["cassettes"], told["problems"]) == (1, 1, [sentence])


def test_an_age_that_cannot_be_is_refused(project: Path, command: Any) -> None:
    put(project, GOOD)
    assert command("cassettes", "verify", "--max-age", "-1").code == 2
    assert command("cassettes", "verify", "--max-age", "99999999").code == 2
