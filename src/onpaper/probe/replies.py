"""The shape of a reply in one piece and of the model list, from recorded ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from onpaper.probe.fact import NULL, Evidence, Fact, fact, literal
from onpaper.probe.ids import pattern

SPOKEN: Mapping[str, str] = {
    "id": "{id}",
    "created": "{created}",
    "model": "{model}",
    "choices": "{choices}",
    "usage": "{usage}",
}
THOUGHTS = ("reasoning_content", "reasoning")
COUNTS = {"prompt_tokens": "{prompt}", "completion_tokens": "{completion}", "total_tokens": "{total}"}


def reply_facts(evidence: Evidence) -> Iterator[Fact]:
    """The `reply` and `models` sections of a draft."""
    yield from _models(evidence)
    body = evidence.json("chat")
    if not isinstance(body, dict) or not evidence.message("chat"):
        return
    yield from _ids(evidence)
    yield fact("reply.body", templated(body, SPOKEN), "chat")
    choice = {"index": "{index}", "message": "{message}", "finish_reason": "{finish}"}
    yield fact("reply.choice", templated(evidence.choice("chat"), choice), "chat")
    yield from _message(evidence)
    if isinstance(body.get("usage"), dict):
        yield fact("reply.usage", counts(body["usage"]), "chat")
    yield from _finish(evidence)
    reply = evidence.reply("chat")
    kind = reply.header("content-type") if reply else None
    if kind:
        yield fact("reply.content_type", kind, "chat")


def templated(value: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """An object as a template: its members of these names are placeholders, the others as they were seen."""
    return {key: names.get(key, literal(item)) for key, item in value.items()}


def counts(usage: Mapping[str, Any]) -> dict[str, Any]:
    """The usage object as a template."""
    return templated(usage, COUNTS)


def _ids(evidence: Evidence) -> Iterator[Fact]:
    seen = [
        value["id"]
        for case in evidence.cassettes
        if isinstance(value := evidence.json(case), dict)
        and "choices" in value
        and isinstance(value.get("id"), str)
    ]
    if seen:
        yield fact("reply.id", pattern(seen), "chat", "a guess from the ids that were seen", verified=False)
    calls = [
        call["id"]
        for case in evidence.cassettes
        for call in evidence.message(case).get("tool_calls") or ()
        if isinstance(call, dict) and isinstance(call.get("id"), str)
    ]
    if calls:
        yield fact(
            "reply.call_id", pattern(calls), "tools", "a guess from the ids that were seen", verified=False
        )


def _message(evidence: Evidence) -> Iterator[Fact]:
    plain, called = evidence.message("chat"), evidence.message("tools")
    thought = evidence.message("reasoning")
    names = {"content": "{content}", "tool_calls": "{tool_calls}", "refusal": "{refusal}"}
    carrier = next((name for name in THOUGHTS if thought.get(name)), "")
    names |= {name: "{reasoning}" if thought.get(name) or not carrier else NULL for name in THOUGHTS}
    has_calls = bool(called.get("tool_calls"))
    merged = {**thought, **called, **plain}
    if not has_calls and "tool_calls" not in merged:
        merged["tool_calls"] = None  # never seen: where the base has it
    template = {key: value for key, value in templated(merged, names).items() if key in names or key in plain}
    shown = "chat, tools" if has_calls else "chat"
    yield fact("reply.message", template, "tools" if has_calls else "chat", f"seen in {shown}")
    yield fact("reply.refusal", absence(plain, "refusal"), "chat")
    yield fact("reply.no_tools", absence(plain, "tool_calls"), "chat")
    if any(name in merged for name in THOUGHTS):
        yield fact("reply.no_reasoning", absence(plain, carrier or "reasoning_content"), "chat")
    if carrier:
        yield fact("reply.reasoning", "field", "reasoning")
    elif isinstance(thought.get("content"), str) and "<think>" in thought["content"]:
        yield fact("reply.reasoning", "tags", "reasoning")
    if has_calls:
        yield fact("reply.content_with_tools", absence(called, "content"), "tools")
        yield from _call(called["tool_calls"][0])


def _call(call: Any) -> Iterator[Fact]:
    if not isinstance(call, dict):
        return
    yield fact("reply.tool_call", call_template(call), "tools")
    arguments = (call.get("function") or {}).get("arguments")
    yield fact("reply.arguments", "object" if isinstance(arguments, dict) else "text", "tools")


def call_template(call: Mapping[str, Any]) -> dict[str, Any]:
    """A tool call, or a fragment of one, as a template."""
    template = templated(
        call, {"id": "{id}", "index": "{index}"} if call.get("id") is not None else {"index": "{index}"}
    )
    function = call.get("function")
    if isinstance(function, dict):
        said = {"arguments": "{arguments}"} | ({"name": "{name}"} if function.get("name") else {})
        template["function"] = templated(function, said)
    return template


def absence(message: Mapping[str, Any], key: str) -> str:
    """How a message says that it has nothing under a key."""
    if key not in message:
        return "missing"
    return "null" if message[key] is None else "empty"


def _finish(evidence: Evidence) -> Iterator[Fact]:
    words = {"stop": "chat", "length": "max-tokens", "tool_calls": "tools", "named_tool": "named-tool-choice"}
    for ending, case in words.items():
        word = evidence.choice(case).get("finish_reason")
        called = bool(evidence.message(case).get("tool_calls"))
        if isinstance(word, str) and called == (ending in ("tool_calls", "named_tool")):
            if ending == "length" and evidence.choice("chat").get("finish_reason") == word:
                continue  # the limit did not cut it
            yield fact(f"reply.finish.{ending}", word, case)


def _models(evidence: Evidence) -> Iterator[Fact]:
    if evidence.refused("models"):
        yield fact("models.list", False, "models")
    value = evidence.json("models")
    entries = value.get("data") if isinstance(value, dict) else value
    if isinstance(entries, list) and entries and isinstance(entries[0], dict):
        shape = {**templated(value, {}), "data": "{entries}"} if isinstance(value, dict) else "{entries}"
        named = {"first_id": "{first}", "last_id": "{last}"}
        if isinstance(shape, dict):
            shape |= {key: text for key, text in named.items() if key in shape}
        yield fact("models.list", shape, "models")
        entry = next((one for one in entries if one.get("id") == evidence.model), entries[0])
        yield fact("models.entry", _entry(entry), "models")
    said = [evidence.json(case) for case in ("chat", "stop", "tools")]
    names = {one["model"] for one in said if isinstance(one, dict) and isinstance(one.get("model"), str)}
    unknown = evidence.json("unknown-model")
    served = unknown.get("model") if isinstance(unknown, dict) else None
    if len(names) == 1 and served in names:
        yield fact("models.resolved", served, "unknown-model", "whatever model is asked for")
    elif len(names) == 1:
        (name,) = names
        resolved = "{model}" if name == evidence.model else {evidence.model: name, "*": "{model}"}
        yield fact("models.resolved", resolved, "chat")


def _entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of the list as a template; wherever it repeats its id, the id of the one that is listed."""
    known = entry.get("id")
    return {
        key: "{model}" if item == known and key != "object" else literal(item) for key, item in entry.items()
    }
