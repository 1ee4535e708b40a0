"""Conversations as callers hand them to a client: messages, tools, and the choice among them.

The dialect is the one that every chat completions client takes; `request_bodies` has what a contract takes
beyond it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from hypothesis import strategies as st

from onpaper.strategies.accepted import repeated
from onpaper.strategies.texts import json_objects, json_schemas, names, texts

Message = dict[str, Any]


def call_id(number: int) -> str:
    """An id of a tool call that the strictest provider takes: nine letters and digits."""
    return f"call{number:05d}"


def messages(*, objects: bool = False, surrogates: bool = False) -> st.SearchStrategy[list[Message]]:
    """A history that a provider takes: perhaps a system message, then turns, every tool call with its
    result, and a last message that wants an answer. Text may be odd, empty or long (see `texts`). Shrinks
    to one user message.

    The arguments of tool calls are JSON text; with `objects` some are objects, as clients hand them out.

    >>> from hypothesis import given
    >>> @given(messages())
    ... def test_every_tool_call_has_its_result(history):
    ...     calls = [call["id"] for one in history for call in one.get("tool_calls", ())]
    ...     assert calls == [one["tool_call_id"] for one in history if one["role"] == "tool"]
    >>> test_every_tool_call_has_its_result()
    """
    return _histories(objects, surrogates)


@lru_cache
def _histories(objects: bool, surrogates: bool) -> st.SearchStrategy[list[Message]]:
    said = texts(surrogates=surrogates)
    system, question, answer = (said.map(partial(_message, role)) for role in ("system", "user", "assistant"))
    arguments = _arguments(objects)

    @st.composite
    def talk(draw: st.DrawFn) -> list[Message]:
        return [draw(question), draw(answer)]

    @st.composite
    def use_of_tools(draw: st.DrawFn) -> list[Message]:
        """A question, an assistant that calls one tool or two for it, and the results in the same order."""
        asked = draw(question)
        calls, results = [], []
        for _ in range(draw(st.integers(1, 2))):
            function = {"name": draw(names()), "arguments": draw(arguments)}
            calls.append({"id": "", "type": "function", "function": function})
            results.append({"role": "tool", "tool_call_id": "", "content": draw(said)})
        content = draw(CONTENT_BESIDE_CALLS)
        return [asked, {"role": "assistant", "content": content, "tool_calls": calls}, *results]

    @st.composite
    def use_in_talk(draw: st.DrawFn) -> list[Message]:
        return [*draw(used), draw(answer)]

    used = use_of_tools()
    begun, turns = st.lists(system, max_size=1), st.lists(talk() | use_in_talk(), max_size=2)
    last = question.map(_alone) | used

    @st.composite
    def history(draw: st.DrawFn) -> list[Message]:
        return _numbered([*draw(begun), *(one for turn in draw(turns) for one in turn), *draw(last)])

    return history()


CONTENT_BESIDE_CALLS = st.sampled_from(("", None, "Let me see."))


def _message(role: str, text: str) -> Message:
    return {"role": role, "content": text}


def _alone(message: Message) -> list[Message]:
    return [message]


@lru_cache
def _arguments(objects: bool) -> st.SearchStrategy[Any]:
    """The arguments of a tool call as JSON text; with `objects` as an object, too."""
    as_text = json_objects().map(partial(json.dumps, ensure_ascii=False))
    return as_text | json_objects() if objects else as_text


def _numbered(history: list[Message]) -> list[Message]:
    """The history with ids for its tool calls and their results, in the order that they stand in."""
    calls = [call for message in history for call in message.get("tool_calls", ())]
    results = [message for message in history if message["role"] == "tool"]
    for number, (call, result) in enumerate(zip(calls, results, strict=True), start=1):
        call["id"] = result["tool_call_id"] = call_id(number)
    return history


def tools() -> st.SearchStrategy[list[dict[str, Any]]]:
    """One tool or a few, now and then 128, each with a name of its own. Shrinks to one without parameters.

    >>> from hypothesis import given
    >>> @given(tools())
    ... def test_no_two_tools_share_a_name(offered):
    ...     assert len({tool["function"]["name"] for tool in offered}) == len(offered)
    >>> test_no_two_tools_share_a_name()
    """
    few = st.lists(_tool(), min_size=1, max_size=3, unique_by=lambda tool: tool["function"]["name"])
    return few | few | few | _tool().map(lambda tool: repeated([tool], 128))


@st.composite
def _tool(draw: st.DrawFn) -> dict[str, Any]:
    function: dict[str, Any] = {"name": draw(names()), "parameters": draw(json_schemas())}
    if draw(st.booleans()):
        function["description"] = draw(texts())
    return {"type": "function", "function": function}


def tool_choice(offered: Sequence[Mapping[str, Any]]) -> st.SearchStrategy[Any]:
    """A choice among the offered tools: `auto`, `none`, `required`, or one of them by name."""
    named = [
        {"type": "function", "function": {"name": tool["function"]["name"]}}
        for tool in offered
        if isinstance(tool.get("function"), Mapping)
    ]
    words = st.sampled_from(("auto", "none", "required"))
    return words | st.sampled_from(named) if named else words


def paired(history: Iterable[Message], *, objects: bool) -> list[Message]:
    """The messages with every tool call answered and every tool result asked for; `objects`: arguments are
    objects.

    Messages drawn one by one know nothing of each other; a provider refuses a call without result, and the
    reverse.
    """
    out: list[Message] = []
    open_ids: list[str | None] = []
    number = 0
    for message in history:
        if message.get("role") == "tool":
            if not open_ids:
                number += 1
                open_ids = [message.get("tool_call_id") or call_id(number)]
                call = {"id": open_ids[0], "type": "function", "function": _call(objects)}
                out.append({"role": "assistant", "tool_calls": [call]})
            own = open_ids.pop(0)
            out.append(message if own is None else {**message, "tool_call_id": own})
            continue
        out += _results(open_ids)
        open_ids = []
        calls = message.get("tool_calls")
        if calls and all(isinstance(call, dict) for call in calls):
            seen: set[str] = set()
            for call in calls:
                if "id" in call and call["id"] in seen:
                    number += 1
                    call["id"] = call_id(90000 + number)
                seen.add(call.get("id", ""))
            open_ids = [call.get("id") for call in calls]
        out.append(message)
    return out + _results(open_ids)


def _results(ids: Iterable[str | None]) -> list[Message]:
    return [{"role": "tool", "content": "ok"} | ({} if one is None else {"tool_call_id": one}) for one in ids]


def _call(objects: bool) -> dict[str, Any]:
    return {"name": "look_up", "arguments": {} if objects else "{}"}
