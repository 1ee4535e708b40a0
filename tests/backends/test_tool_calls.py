"""Tool calls put together from fragments, decoded, and encoded again."""

from __future__ import annotations

from typing import Any

import pytest

from onpaper.backends.errors import UnusableReply
from onpaper.backends.tool_calls import (
    ToolCalls,
    history_with_object_arguments,
    history_with_text_arguments,
)


def fragment(arguments: Any = None, name: Any = None, **entry: Any) -> dict[str, Any]:
    return {**entry, "function": {"name": name, "arguments": arguments}}


def assembled(*fragments: dict[str, Any], finish: str = "tool_calls") -> list[tuple[str, str, Any]]:
    calls = ToolCalls()
    for each in fragments:
        calls.add_fragments([each])
    return [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in calls.finished(finish)]


def decoded(arguments: Any) -> Any:
    calls = ToolCalls()
    calls.add_whole([fragment(arguments, "f", id="a")])
    return calls.finished(None)[0]["function"]["arguments"]


def test_fragments_of_one_index_are_one_call() -> None:
    assert assembled(
        fragment("", "f", index=0, id="a"), fragment('{"x"', index=0), fragment(":1}", index=0)
    ) == [("a", "f", {"x": 1})]


def test_interleaved_indexes_are_kept_apart() -> None:
    assert assembled(
        fragment('{"x"', "f", index=0, id="a"),
        fragment('{"y"', "g", index=1, id="b"),
        fragment(":1}", index=0),
        fragment(":2}", index=1),
    ) == [("a", "f", {"x": 1}), ("b", "g", {"y": 2})]


def test_the_id_may_come_late() -> None:
    assert assembled(fragment("{", "f", index=0), fragment("}", index=0, id="a")) == [("a", "f", {})]


def test_the_name_may_come_late() -> None:
    assert assembled(fragment("{", index=0, id="a"), fragment("}", "f", index=0)) == [("a", "f", {})]


def test_id_and_name_repeated_on_each_fragment_are_one_call() -> None:
    assert assembled(fragment("{", "f", index=0, id="a"), fragment("}", "f", index=0, id="a")) == [
        ("a", "f", {})
    ]


def test_empty_id_and_name_continue_a_call() -> None:
    assert assembled(fragment("{", "f", index=0, id="a"), fragment("}", "", index=0, id="")) == [
        ("a", "f", {})
    ]


def test_two_ids_on_one_index_are_two_calls() -> None:
    assert assembled(fragment("{}", "f", index=0, id="a"), fragment("{}", "f", index=0, id="b")) == [
        ("a", "f", {}),
        ("b", "f", {}),
    ]


def test_another_name_on_one_index_is_another_call_also_without_ids() -> None:
    assert [name for _, name, _ in assembled(fragment("{}", "f", index=0), fragment("{}", "g", index=0))] == [
        "f",
        "g",
    ]


def test_a_fresh_id_on_each_fragment_without_a_name_is_one_call() -> None:
    assert assembled(
        fragment("", "f", index=0, id="a"), fragment("{", index=0, id="b"), fragment("}", index=0, id="c")
    ) == [("a", "f", {})]


def test_without_an_index_a_new_id_begins_a_call_and_no_id_continues_it() -> None:
    assert assembled(
        fragment("{", "f", id="a"), fragment("}"), fragment("{", "g", id="b"), fragment("}", id="b")
    ) == [("a", "f", {}), ("b", "g", {})]


def test_whole_calls_without_index_and_id_are_calls_of_their_own_with_distinct_ids() -> None:
    (first, *_), (second, *_) = assembled(fragment("{}", "f", id=""), fragment("{}", "f", id=""))
    assert first and second and first != second


def test_name_and_arguments_as_two_entries_of_one_chunk_are_one_call() -> None:
    calls = ToolCalls()
    calls.add_fragments(
        [{"index": 0, "id": "a", "function": {"name": "f"}}, {"index": 0, "function": {"arguments": "{}"}}]
    )
    assert len(calls.finished(None)) == 1


def test_calls_may_be_numbered_from_one() -> None:
    assert assembled(fragment("{}", "f", index=1, id="a")) == [("a", "f", {})]


def test_an_empty_fragment_after_a_whole_call_adds_nothing() -> None:
    assert assembled(fragment('{"x":1}', "f", index=0, id="a"), fragment("", index=0)) == [
        ("a", "f", {"x": 1})
    ]


def test_null_arguments_are_nothing_yet() -> None:
    assert assembled(fragment(None, "f", index=0, id="a"), fragment("{}", index=0)) == [("a", "f", {})]


def test_a_call_that_never_gets_a_name_raises() -> None:
    with pytest.raises(UnusableReply, match="never got a name"):
        assembled(fragment("{}", index=0, id="a"))


@pytest.mark.parametrize("entries", [{"id": "a"}, ["a"], "a"])
def test_tool_calls_that_are_no_list_of_objects_raise(entries: Any) -> None:
    with pytest.raises(UnusableReply, match="not a list of objects"):
        ToolCalls().add_whole(entries)


@pytest.mark.parametrize("arguments", ["", "  ", None, {}, "{}"])
def test_a_call_without_arguments_has_an_empty_dict(arguments: Any) -> None:
    assert decoded(arguments) == {}


@pytest.mark.parametrize("arguments", ["{bad", "null", "[1]", '"x"', "7", "NaN", "[" * 100_000])
def test_arguments_that_are_no_object_raise_with_the_raw_text(arguments: str) -> None:
    with pytest.raises(UnusableReply, match="not a JSON object") as caught:
        decoded(arguments)
    assert arguments[:20] in str(caught.value)


@pytest.mark.parametrize("arguments", [[1], 7, True])
def test_arguments_of_another_type_raise(arguments: Any) -> None:
    with pytest.raises(UnusableReply, match="are no object"):
        decoded(arguments)


def test_arguments_that_the_token_limit_cut_say_so() -> None:
    with pytest.raises(UnusableReply, match="token limit"):
        assembled(fragment('{"x": "', "f", index=0, id="a"), finish="length")


def test_unicode_and_large_numbers_in_arguments_survive() -> None:
    assert decoded('{"名": "日本 🦜", "n": 123456789012345678901234567890}') == {
        "名": "日本 🦜",
        "n": 123456789012345678901234567890,
    }


def test_a_character_cut_between_two_fragments_is_whole_again() -> None:
    assert assembled(fragment('{"x":"\ud83e', "f", index=0, id="a"), fragment('\udd9c"}', index=0)) == [
        ("a", "f", {"x": "🦜"})
    ]


def test_history_goes_out_as_text_or_as_an_object_and_the_callers_is_not_touched() -> None:
    def history(arguments: Any) -> list[dict[str, Any]]:
        return [
            {
                "role": "assistant",
                "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": arguments}}],
            }
        ]

    as_object, as_text = history({"x": "ü"}), history('{"x": "ü"}')
    assert history_with_text_arguments(as_object) == history('{"x": "ü"}')
    assert history_with_text_arguments(as_text) == as_text
    assert history_with_object_arguments(as_text) == history({"x": "ü"})
    assert history_with_object_arguments(as_object) == as_object == history({"x": "ü"})


def test_history_arguments_that_are_no_object_are_refused_where_an_object_is_wanted() -> None:
    with pytest.raises(ValueError, match="not a JSON object"):
        history_with_object_arguments([{"tool_calls": [{"function": {"name": "f", "arguments": "{bad"}}]}])


def test_messages_without_tool_calls_pass_as_they_are() -> None:
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "tool_calls": None}, "odd"]
    assert history_with_text_arguments(messages) == messages
