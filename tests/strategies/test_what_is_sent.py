"""Sampling parameters, bodies and conversations: all of the valid ones are taken, none of the others."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from onpaper import folders, strategies
from onpaper.answer import Provider
from onpaper.contract import Contract
from onpaper.errors import BadInput
from onpaper.exchange import Request
from onpaper.strategies.sampling import ALIASES, named_by, place

CONTRACTS = folders.names("contracts")
FEW = settings(
    max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
)
OPENAI = Contract.load("openai")
contracts = pytest.mark.parametrize("name", CONTRACTS)


def every(strategy: st.SearchStrategy[Any], examples: int = 20) -> list[Any]:
    """What a strategy draws."""
    drawn: list[Any] = []

    @given(strategy)
    @settings(FEW, max_examples=examples)
    def draw(value: Any) -> None:
        drawn.append(value)

    draw()
    return drawn


def smallest(strategy: st.SearchStrategy[Any], condition: Callable[[Any], Any]) -> Any:
    """What a strategy shrinks to where a condition holds."""
    chosen = settings(max_examples=2000, database=None)
    return find(strategy, lambda value: bool(condition(value)), settings=chosen, random=Random(0))


@contracts
def test_every_set_of_parameters_is_one_that_the_contract_takes(name: str) -> None:
    contract = Contract.load(name)
    for params in every(strategies.sampling(contract)):
        assert contract.violations(strategies.body_with(contract, params)) == []


@contracts
def test_every_wrong_set_has_exactly_the_violation_that_it_names(name: str) -> None:
    contract = Contract.load(name)
    for wrong in every(strategies.sampling(contract, valid=False)):
        violations = contract.violations(strategies.body_with(contract, wrong.params))
        assert {(one.situation, one.pointer) for one in violations} == {
            (wrong.violation.situation, wrong.violation.pointer)
        }


@contracts
def test_every_body_is_one_that_the_contract_takes(name: str) -> None:
    contract = Contract.load(name)
    for body in every(strategies.request_bodies(contract)):
        assert contract.violations(body) == []


@contracts
def test_every_wrong_body_has_exactly_the_violation_that_it_names(name: str) -> None:
    contract = Contract.load(name)
    for wrong in every(strategies.request_bodies(contract, valid=False)):
        violations = contract.violations(wrong.body)
        assert wrong.violation in violations
        assert len({(one.situation, one.pointer) for one in violations}) == 1


@pytest.mark.parametrize("name", ["openai", "litellm", "vllm", "ollama"])
def test_a_strict_gateway_answers_the_good_bodies_and_refuses_what_the_provider_refuses(name: str) -> None:
    contract = Contract.load(name)
    provider = Provider(contract, strict=True)
    key = ((contract.auth_header, contract.auth_value("sk-x")),)

    def status(body: Any) -> int:
        return provider(Request("POST", contract.chat_path, key, json.dumps(body).encode())).status

    for body in every(strategies.request_bodies(contract)):
        assert status(body) == 200
    if contract.get("body.unknown") == "refuse":
        for wrong in every(strategies.request_bodies(contract, valid=False)):
            if wrong.violation.value is not None or wrong.violation.situation == "missing_parameter":
                assert status(wrong.body) in range(400, 500)  # a null may count as left out


def test_zeros_and_limits_come_up_often() -> None:
    drawn = every(strategies.sampling(OPENAI), 200)
    temperatures = [params["temperature"] for params in drawn if "temperature" in params]
    assert 0 in temperatures and 2 in temperatures
    assert sum(one in (0, 1, 2) for one in temperatures) >= len(temperatures) // 5
    assert any("temperature" not in params for params in drawn)


def test_every_kind_of_violation_comes_up() -> None:
    drawn = Counter(
        wrong.violation.situation for wrong in every(strategies.request_bodies(OPENAI, valid=False), 250)
    )
    assert drawn.keys() >= {
        "unknown_parameter",
        "missing_parameter",
        "invalid_type",
        "invalid_value",
        "above_maximum",
        "below_minimum",
        "broken_rule",
    }


def test_no_set_says_one_thing_under_two_names() -> None:
    for params in every(strategies.sampling(Contract.load("vllm")), 200):
        assert all(len(params.keys() & set(group)) <= 1 for group in ALIASES)


def test_parameters_stand_where_the_contract_wants_them() -> None:
    ollama = Contract.load("ollama")
    assert place(ollama, "top_k") == ("options", "top_k")
    assert named_by(ollama, "max_tokens") == ("num_predict",)
    assert place(OPENAI, "top_k") is None
    assert strategies.body_with(ollama, {"seed": 7, "num_predict": 0})["options"] == {
        "seed": 7,
        "num_predict": 0,
    }


def test_a_choice_of_keys_narrows_the_parameters() -> None:
    drawn = every(strategies.sampling(OPENAI, keys=["temperature", "stop"]))
    assert {name for params in drawn for name in params} == {"temperature", "stop"}


def test_an_unknown_key_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(BadInput, match="'openai' takes no 'temprature'; did you mean 'temperature'"):
        strategies.sampling(OPENAI, keys=["temprature"])


def test_parameters_shrink_to_the_one_that_matters() -> None:
    found = smallest(strategies.sampling(OPENAI), lambda params: params.get("temperature", 0) > 1)
    assert list(found) == ["temperature"]


def test_a_wrong_set_shrinks_to_the_mistake() -> None:
    drawn = strategies.sampling(OPENAI, valid=False)
    found = smallest(drawn, lambda wrong: wrong.violation.pointer == "/temperature")
    assert list(found.params) == ["temperature"]


def test_a_wrong_body_shrinks_to_what_is_required_and_the_mistake() -> None:
    found = smallest(strategies.request_bodies(OPENAI, valid=False), lambda wrong: True)
    assert len(found.body) <= 3 and found.body["messages"]


def test_a_body_calls_a_tool_that_it_offers() -> None:
    bodies = [body for body in every(strategies.request_bodies(OPENAI), 250) if "tool_choice" in body]
    assert bodies
    for body in bodies:
        choice = body["tool_choice"]
        if isinstance(choice, dict) and "function" in choice:
            assert choice["function"]["name"] in [
                tool.get("function", {}).get("name") for tool in body["tools"]
            ]


def test_tool_calls_in_a_body_have_their_results() -> None:
    for body in every(strategies.request_bodies(OPENAI), 200):
        for at, message in enumerate(body["messages"]):
            ids = [call["id"] for call in message.get("tool_calls", ())]
            results = [one.get("tool_call_id") for one in body["messages"][at + 1 : at + 1 + len(ids)]]
            assert results == ids


@given(strategies.messages())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_conversation_ends_with_what_wants_an_answer(history: list[Any]) -> None:
    assert history[-1]["role"] in ("user", "tool")
    assert all(one["role"] != "system" for one in history[1:])


@given(strategies.messages())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_tool_calls_are_answered_in_their_order(history: list[Any]) -> None:
    for at, message in enumerate(history):
        ids = [call["id"] for call in message.get("tool_calls", ())]
        assert [one.get("tool_call_id") for one in history[at + 1 : at + 1 + len(ids)]] == ids


def test_lone_surrogates_come_only_when_asked_for() -> None:
    def lone(history: list[Any]) -> bool:
        return any("\ud800" <= char <= "\udfff" for one in history for char in one["content"] or "")

    assert not any(map(lone, every(strategies.messages(), 200)))
    assert any(map(lone, every(strategies.messages(surrogates=True), 200)))


def test_a_conversation_shrinks_to_one_short_question() -> None:
    assert smallest(strategies.messages(), lambda history: True) == [{"role": "user", "content": "hi"}]


def test_a_conversation_with_a_tool_call_shrinks_to_that_call() -> None:
    found = smallest(strategies.messages(), lambda history: any("tool_calls" in one for one in history))
    assert [one["role"] for one in found] == ["user", "assistant", "tool"]


def test_arguments_are_objects_only_when_asked_for() -> None:
    def kinds(histories: list[Any]) -> set[type]:
        calls = [call for history in histories for one in history for call in one.get("tool_calls", ())]
        return {type(call["function"]["arguments"]) for call in calls}

    assert kinds(every(strategies.messages(), 100)) == {str}
    assert kinds(every(strategies.messages(objects=True), 100)) == {str, dict}


def test_a_tool_choice_names_an_offered_tool() -> None:
    offered = [{"type": "function", "function": {"name": "a"}}]
    assert {json.dumps(one) for one in every(strategies.tool_choice(offered), 100)} == {
        '"auto"',
        '"none"',
        '"required"',
        '{"type": "function", "function": {"name": "a"}}',
    }


def test_now_and_then_there_are_as_many_tools_as_a_provider_takes() -> None:
    assert max(map(len, every(strategies.tools(), 100))) == 128


def test_a_key_that_looks_like_a_number_is_named_in_its_violation() -> None:
    body = strategies.body_with(OPENAI, {"logit_bias": {"50256": 1000}})
    (violation,) = OPENAI.violations(body)
    assert (violation.pointer, violation.situation) == ("/logit_bias/50256", "above_maximum")
