"""Templates, first chunks, places of usage, and the other ways in which a contract puts a mock into words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from onpaper import Contract
from onpaper.mock import Call, Injection, Say
from onpaper.wire.dialect import Asked, Speaker
from onpaper.wire.sse import decode
from onpaper.wire.template import ABSENT, fill, make_id, mentions


def chunks(name: str, say: Say, **asked: Any) -> list[Any]:
    return Speaker(Contract.load(name), Asked(stream=True, **asked)).chunks(say)


def deltas(name: str, say: Say, **asked: Any) -> list[Any]:
    return [chunk["choices"][0]["delta"] for chunk in chunks(name, say, **asked) if chunk["choices"]]


def test_a_placeholder_alone_keeps_its_type_and_inside_a_text_becomes_text() -> None:
    assert fill({"a": "{n}", "b": "n is {n}"}, {"n": 5}) == {"a": 5, "b": "n is 5"}


def test_what_has_nothing_to_say_is_left_out_with_the_table_around_it() -> None:
    assert fill({"a": "{x}", "b": {"c": "{x}"}, "d": {}}, {"x": ABSENT}) == {"d": {}}


def test_null_is_written_out_and_an_optional_null_is_left_out() -> None:
    assert fill({"a": "{null}", "b": "{x}", "c": "{x?}"}, {"x": None}) == {"a": None, "b": None}


def test_an_unknown_placeholder_is_ordinary_text() -> None:
    assert fill("{unknown} {a}", {"a": 1}) == "{unknown} 1"


def test_mentions_looks_into_lists_and_tables() -> None:
    assert mentions({"a": [{"b": "x {text}"}]}, "text")
    assert not mentions({"a": ["{other}"]}, "text")


def test_ids_repeat_with_their_seed() -> None:
    import random

    first = make_id("id-{hex:4}-{digits:3}-{uuid}", random.Random(1))
    assert first == make_id("id-{hex:4}-{digits:3}-{uuid}", random.Random(1))
    assert len(first) == len("id-") + 4 + 1 + 3 + 1 + 36


def test_an_opening_that_carries_text_never_carries_reasoning(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'extends = "openai"\n[stream.delta]\nopening = { role = "assistant", content = "{text}" }\n'
        'opening_tool = false\nreasoning = { reasoning_content = "{text}" }\n'
    )
    said = Speaker(Contract.read(path), Asked(stream=True)).chunks(Say(reasoning=("So",), text=("Hi",)))
    found = [chunk["choices"][0]["delta"] for chunk in said]
    assert found == [{"role": "assistant"}, {"reasoning_content": "So"}, {"content": "Hi"}, {}]


def test_only_an_opening_of_its_own_carries_reasoning() -> None:
    assert deltas("xai", Say(reasoning=("So", "!"), text=("Hi",)))[:2] == [
        {"role": "assistant", "reasoning_content": "So"},
        {"reasoning_content": "!"},
    ]


def test_a_reply_that_reasons_may_have_other_deltas_throughout() -> None:
    assert deltas("deepseek", Say(text=("Hi",)))[1:] == [{"content": "Hi"}, {"content": ""}]
    assert deltas("deepseek", Say(reasoning=("So",), text=("Hi",)))[1:] == [
        {"content": None, "reasoning_content": "So"},
        {"content": "Hi", "reasoning_content": None},
        {"content": "", "reasoning_content": None},
    ]


def test_one_call_travels_in_the_first_delta_and_two_do_not() -> None:
    one, two = Call("a", ("{}",), "id1"), Call("b", ("{}",), "id2")
    assert "tool_calls" in deltas("openai", Say(tool_calls=(one,)))[0]
    assert deltas("openai", Say(tool_calls=(one, two)))[0] == {"role": "assistant", "content": None}


def test_a_chunk_may_hold_two_entries_of_one_call() -> None:
    found = deltas("vllm", Say(tool_calls=(Call("add", ('{"a"', ": 1}"), "id1"),)))
    assert found[1]["tool_calls"] == [
        {"id": "id1", "type": "function", "index": 0, "function": {"name": "add"}},
        {"index": 0, "function": {"arguments": '{"a"'}},
    ]
    assert found[2]["tool_calls"] == [{"index": 0, "function": {"arguments": ": 1}"}}]


def test_a_call_after_text_has_the_index_of_its_block_at_anthropic() -> None:
    found = deltas("anthropic-compat", Say(text=("Hm",), tool_calls=(Call("add"),)))
    assert [call["index"] for delta in found for call in delta.get("tool_calls", ())] == [1, 1]


def test_several_calls_travel_together_at_mistral_in_the_finishing_chunk() -> None:
    last = chunks("mistral", Say(tool_calls=(Call("a"), Call("b"))))[-1]["choices"][0]
    assert [call["function"]["name"] for call in last["delta"]["tool_calls"]] == ["a", "b"]
    assert last["finish_reason"] == "tool_calls"


def test_usage_stands_where_the_provider_puts_it() -> None:
    say = Say(text=("Hel", "lo"), usage={"prompt": 3, "completion": 2})

    def places(name: str, **asked: Any) -> list[int]:
        return [number for number, chunk in enumerate(chunks(name, say, **asked)) if chunk.get("usage")]

    assert places("openai") == []
    assert places("openai", usage=True) == [4]
    assert places("groq") == [3]
    assert places("groq", usage=True) == [3, 4]
    assert places("databricks") == [0, 1, 2]
    assert places("openrouter") == [3]
    assert places("vllm", usage=True, continuous=True) == [0, 1, 2, 3, 4]


def test_usage_before_the_end_counts_what_is_out() -> None:
    first, *_, last = chunks("databricks", Say(text=("a", "b"), usage={"prompt": 3, "completion": 2}))
    assert (first["usage"]["completion_tokens"], last["usage"]["completion_tokens"]) == (None, 2)


def test_null_usage_stands_elsewhere_only_when_it_was_asked_for() -> None:
    assert "usage" not in chunks("openai", Say(text=("a",)))[0]
    assert chunks("openai", Say(text=("a",)), usage=True)[0]["usage"] is None
    assert chunks("deepseek", Say(text=("a",)))[0]["usage"] is None


def test_the_unfinished_choice_has_null_or_no_finish_reason() -> None:
    assert chunks("openai", Say(text=("a",)))[0]["choices"][0]["finish_reason"] is None
    assert "finish_reason" not in chunks("zai", Say(text=("a",)))[0]["choices"][0]
    assert all(
        "finish_reason" not in one["choices"][0] for one in chunks("snowflake-cortex", Say(text=("a",)))
    )


def test_a_relay_begins_with_a_chunk_that_has_an_id_of_its_own() -> None:
    first, second, *rest = chunks("avian", Say(text=("a", "b")))
    assert first["id"] != second["id"]
    assert {chunk["id"] for chunk in rest} == {second["id"]}


def test_a_key_of_the_very_last_chunk_is_nowhere_else() -> None:
    for asked in ({}, {"usage": True}):
        *others, last = chunks("vllm", Say(text=("a",)), **asked)
        assert "system_fingerprint" in last
        assert not [chunk for chunk in others if "system_fingerprint" in chunk]


def test_padding_is_left_out_when_it_is_not_wanted() -> None:
    assert "obfuscation" in chunks("openai", Say(text=("a",)))[0]
    assert "obfuscation" not in chunks("openai", Say(text=("a",)), obfuscated=False)[0]


def test_the_model_is_called_as_the_provider_resolves_it() -> None:
    assert chunks("openai", Say(text=("a",)), model="gpt-4o-mini")[0]["model"] == "gpt-4o-mini-2024-07-18"
    assert chunks("openai", Say(text=("a",)), model="gpt-4.1")[0]["model"] == "gpt-4.1"
    assert chunks("azure", Say(text=("a",)), model="mine")[1]["model"] == "mine-2024-07-18"


def test_reasoning_is_a_field_tags_parts_or_hidden() -> None:
    say = Say(reasoning=("So",), text=("Hi",))

    def message(name: str) -> Any:
        return Speaker(Contract.load(name), Asked()).body(say)["choices"][0]["message"]

    assert message("deepseek")["reasoning_content"] == "So"
    assert message("fireworks@tags")["content"] == "<think>So</think>Hi"
    assert [part["type"] for part in message("mistral")["content"]] == ["thinking", "text"]
    assert message("databricks")["content"][0]["summary"] == [{"type": "summary_text", "text": "So"}]
    assert "So" not in json.dumps(message("cohere-compat"))


def test_arguments_that_were_cut_short_are_no_object() -> None:
    body = Speaker(Contract.load("ollama"), Asked()).body(Say(tool_calls=(Call("add", ('{"a',)),)))
    assert body["message"]["tool_calls"][0]["function"]["arguments"] == {}


def test_structured_content_may_be_the_object_itself() -> None:
    say = Say(text=('{"a"', ": 1}"))
    contract = Contract.load("cloudflare")
    assert Speaker(contract, Asked()).body(say)["choices"][0]["message"]["content"] == '{"a": 1}'
    assert Speaker(contract.variant("json"), Asked()).body(say)["choices"][0]["message"]["content"] == {
        "a": 1
    }


def test_what_is_injected_stands_where_it_was_said_whatever_else_is() -> None:
    own = Say(events=("0", "1", "2", "3", "4"))
    both = replace(own, inject=(Injection(-1, data="last but one"), Injection(-2, data="before that"), Injection(0, data="first")))
    events, _ = decode([Speaker(Contract.load("openai"), Asked(stream=True)).script(both).body])
    assert [event.data for event in events] == ["first", "0", "1", "2", "before that", "3", "last but one", "4"]
