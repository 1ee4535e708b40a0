"""The messages on their way out: as they were given, whatever they hold."""

from __future__ import annotations

from typing import Any

from onpaper.clauses import INTERFACE, Case, clause
from onpaper.clauses.conditions import plain_complete, plain_stream
from onpaper.clauses.operations import HISTORY
from onpaper.contract import Contract
from onpaper.driving.acts import MESSAGES, copied
from onpaper.driving.run import Run
from onpaper.driving.stage import Stage
from onpaper.driving.verdict import Broken, NotApplicable

Messages = list[dict[str, Any]]

TURN: Messages = [{"role": "assistant", "content": "Hello."}, {"role": "user", "content": "Again."}]
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
SYSTEM, USER = MESSAGES

ORDINARY: dict[str, Messages] = {
    "": [*MESSAGES, *TURN],
    "long": [*MESSAGES, *[*TURN, {"role": "assistant", "content": "Hello. " * 4000}, {"role": "user", "content": "Once more."}] * 20],
}
CALLED: dict[str, Any] = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {"id": f"call_{name}", "type": "function", "function": {"name": name, "arguments": {"city": "Paris"}}}
        for name in ("get_weather", "get_news")
    ],
}
LESS_USUAL: dict[str, Messages] = {
    "image": [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]}],
    "two-of-the-user": [SYSTEM, USER, {"role": "user", "content": "And wave."}],
    "system-in-the-middle": [USER, *TURN[:1], {"role": "system", "content": "The user has left the room."}, TURN[1]],
    "two-of-the-system": [SYSTEM, {"role": "system", "content": "You speak English."}, USER],
    "empty": [SYSTEM, USER, TURN[0], {"role": "user", "content": ""}],
    "null-beside-tool-calls": [{**one, "content": None} if "tool_calls" in one else one for one in HISTORY],
    "assistant-last": [*MESSAGES, {"role": "assistant", "content": "Hel"}],
    "developer": [{**SYSTEM, "role": "developer"}, USER],
    "two-images": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Is this"},
                {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
                {"type": "text", "text": "like that?"},
                {"type": "image_url", "image_url": {"url": PIXEL, "detail": "high"}},
            ],
        }
    ],
    "audio": [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}]}],
    "name": [SYSTEM, {**USER, "name": "alice"}],
    "blanks-at-the-ends": [
        {"role": "system", "content": "\n  You are brief.\n\n"},
        {"role": "user", "content": " Say hello.\n"},
        {"role": "assistant", "content": " Hello. \n"},
        TURN[1],
    ],
    "two-calls-at-once": [
        USER,
        CALLED,
        {"role": "tool", "tool_call_id": "call_get_weather", "content": "  12 degrees, rain \n"},
        {"role": "tool", "tool_call_id": "call_get_news", "content": "Nothing new. " * 4000},
        TURN[1],
    ],
}


@clause(
    "body/messages",
    cases=tuple(
        Case(f"{method}-{name}".rstrip("-"), (method, name)) for method in ("stream", "complete") for name in (*ORDINARY, *LESS_USUAL)
    ),
    covers=(15,),
    source=INTERFACE,
    why="A client that drops, cuts, merges or reorders messages changes the prompt behind the application's back.",
)
async def messages(stage: Stage, case: Case) -> None:
    """The messages go out as they were given, in their order, with images, sounds, names, empty texts and the blanks around
    them; what a client will not send it refuses before anything is sent.

    Pass them through; convert only what the provider's protocol writes differently.
    """
    method, name = case.value
    given = ORDINARY.get(name) or LESS_USUAL[name]
    if name in LESS_USUAL:
        _taken(stage.contract, given)
        await (plain_stream(stage) if method == "stream" else plain_complete(stage))
    run = await (stage.stream(messages=given) if method == "stream" else stage.complete(messages=given))
    if name in LESS_USUAL and run.refused:
        raise NotApplicable(f"the backend refuses such messages before it sends anything: {run.given}")
    _must_arrive(run, given)
    if stage.contract.protocol == "sse":
        _must_belong_together(run, given)


def _must_belong_together(run: Run, given: Messages) -> None:
    """Demand that each call has its id and its name, and each result the id of its call."""
    raw = run.chats[0].request.body
    for number, (one, wanted) in enumerate(zip(run.body["messages"], given, strict=True)):
        if one.get("tool_call_id") != wanted.get("tool_call_id"):
            raise Broken(f"of message {number} tool_call_id {wanted.get('tool_call_id')!r} went out as {one.get('tool_call_id')!r}", raw, "request body")
        sent, named = (_named(each.get("tool_calls")) for each in (one, wanted))
        if sent != named:
            raise Broken(f"of message {number} the calls {named!r} went out as {sent!r}", raw, "request body")


def _named(calls: Any) -> list[tuple[Any, Any]]:
    """Id and name of each tool call."""
    found = calls if isinstance(calls, list) else []
    return [(one.get("id"), (one.get("function") or {}).get("name")) for one in found if isinstance(one, dict)]


def _must_arrive(run: Run, given: Messages) -> None:
    sent, raw = run.body.get("messages"), run.chats[0].request.body
    if not isinstance(sent, list) or len(sent) != len(given):
        number = len(sent) if isinstance(sent, list) else "no"
        raise Broken(f"{len(given)} messages were given, other ones went out: {number} messages", raw, "request body")
    for number, (one, wanted) in enumerate(zip(sent, given, strict=True)):
        for key in ("role", "content", "name"):
            found = one.get(key) if isinstance(one, dict) else None
            nothing = "tool_calls" in wanted and not wanted["content"] and not found
            if found != wanted.get(key) and not (key == "content" and nothing):
                shown = f"{key} {_short(wanted.get(key))} as {_short(found)}"
                raise Broken(f"{len(given)} messages were given, other ones went out: of message {number} {shown}", raw, "request body")


def _taken(contract: Contract, given: Messages) -> None:
    """Demand that the provider takes such messages. Raises NotApplicable."""
    body = {"model": "m", "messages": copied(given)}
    for one in body["messages"]:
        for call in one.get("tool_calls", ()):
            if contract.get("reply.arguments", "text") == "text":
                call["function"]["arguments"] = '{"city": "Paris"}'
    if not all(_known(contract, one) for one in given):
        raise NotApplicable("the provider's messages have no such key")
    refused = [one for one in contract.violations(body) if one.pointer.startswith("/messages")]
    if refused:
        raise NotApplicable(f"the provider does not take such messages: {refused[0].pointer}: {refused[0].message}")


def _known(contract: Contract, message: dict[str, Any]) -> bool:
    """Whether the provider knows each key of a message; one that it passes over need not be sent."""
    definitions = contract.get("body.definitions", {})
    said = definitions.get("message", {})
    if "choose" in said:
        said = definitions.get(said.get(message["role"], {}).get("is"), {})
    return said.get("additionalProperties") is not False or set(message) <= set(said.get("properties", ()))


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:80]}…"
