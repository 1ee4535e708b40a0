"""The cases: what is asked, and what it costs at most."""

import json

import pytest

from onpaper.cassettes import CassetteError
from onpaper.cassettes.cases import CASES, Case, bill, select

WANTED = {
    *("chat", "chat-stream", "stream-usage", "tools", "tool-stream", "parallel-tools", "named-tool-choice"),
    *("json-output", "stop", "max-tokens", "unicode", "reasoning", "bad-key", "unknown-parameter"),
    *("unknown-model", "malformed-body", "context-overflow", "models"),
}


def test_every_promised_case_can_be_asked() -> None:
    assert {case.name for case in select(context=1000)} >= WANTED


def test_names_are_unique_and_said_in_the_order_of_the_list() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert [case.name for case in select(["chat", "models"])] == ["models", "chat"]


def test_an_unknown_case_is_named_with_the_nearest() -> None:
    with pytest.raises(CassetteError, match="there is no case 'tool-steam'; did you mean 'tool-stream'"):
        select(["tool-steam"])


def test_the_overflow_needs_the_size_of_the_window() -> None:
    assert "context-overflow" not in {case.name for case in select()}
    with pytest.raises(CassetteError, match="'context-overflow' needs the size of the context window"):
        select(["context-overflow"])
    (case,) = select(["context-overflow"], context=4096)
    assert json.loads(case.content("m"))["messages"][0]["content"].count("hello") > 4096


def test_cases_for_the_scripted_model_are_asked_of_it_only() -> None:
    more = {case.name for case in select(scripted=True)} - {case.name for case in select()}
    assert more == {case.name for case in CASES if case.scripted} and more


@pytest.mark.parametrize("case", select(context=100, scripted=True), ids=lambda case: case.name)
def test_a_body_is_json_but_for_the_malformed_one(case: Case) -> None:
    content = case.content("tiny", scripted=True)
    if case.path == "models":
        assert content == b""
    elif case.name == "malformed-body":
        with pytest.raises(json.JSONDecodeError):
            json.loads(content)
    else:
        body = json.loads(content)
        assert body["model"] == ("no-such-model" if "unknown-model" in case.name else "tiny")
        assert body.get("max_tokens", 0) == case.output
        assert ("[[" in content.decode()) == bool(case.marker)
        assert (case.name.endswith(("stream", "-usage")) or case.name == "tool-result") == bool(
            body.get("stream")
        )


def test_the_bill_counts_requests_and_bounds_the_tokens() -> None:
    cases = select(["chat", "models", "bad-key"])
    total = bill(cases)
    chat, refused = (next(case for case in cases if case.name == name) for name in ("chat", "bad-key"))
    assert total.requests == 3
    assert total.tokens == chat.tokens + refused.tokens and total.refused == refused.tokens
    assert chat.tokens >= 64 + len("Say hello in one short sentence.") // 3
    assert bill(select()).tokens < 10_000


def test_the_prompts_are_not_changed_by_asking() -> None:
    before = [case.content("m") for case in CASES]
    for case in CASES:
        case.content("m", scripted=True)
    assert [case.content("m") for case in CASES] == before
