"""A reply as chunks: what a mock says as the JSON of each event of a stream, without the sentinel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any, NamedTuple

from onpaper.mock import Say
from onpaper.wire.template import ABSENT, fill, make_id, mentions
from onpaper.wire.voice import Voice


class Part(NamedTuple):
    """One chunk of one choice: `kind` is `first`, `piece` or `last`, which names its template."""

    kind: str
    values: dict[str, Any]


def chunks(voice: Voice, say: Say) -> list[Any]:
    """The JSON of each chunk of a streamed reply, from the preamble to the usage."""
    contract = voice.contract
    preamble = contract.get("stream.preamble")
    out: list[Any] = [] if preamble is None else [fill(preamble, voice.values)]
    per_choice = [list(_parts(voice, say, index)) for index in range(voice.asked.choices)]
    parts = [part for group in zip_longest(*per_choice) for part in group if part is not None]
    for number, part in enumerate(parts):
        out.append(
            fill(
                _template(voice, part),
                voice.values | _fresh(voice) | part.values | _counted(voice, say, part, number, parts),
            )
        )
    out += _after(voice, say)
    if out and "tail" in contract.get("stream", {}):
        out[-1] = out[-1] | fill(contract.get("stream.tail"), voice.values)
    return out


def _template(voice: Voice, part: Part) -> Any:
    chunk = voice.contract.get("stream.chunk", {})
    if part.kind == "last":
        last = voice.contract.get("stream.last", chunk)
        return last if "own" in usage_places(voice) else voice.contract.get("stream.last_alone", last)
    return voice.contract.get("stream.first", chunk) if part.kind == "first" else chunk


def _after(voice: Voice, say: Say) -> Iterator[Any]:
    """The chunks that follow the finish: the finish once more, and the usage on its own."""
    contract, places = voice.contract, usage_places(voice)
    shape = _usage_template(voice)
    values = voice.values | voice.counts(say) | {"finish": voice.finish(say), "index": 0}
    values["counts"] = voice.usage(say, shape)
    again = contract.get("stream.repeat_finish")
    if again is not None and ("repeat" not in contract.get("stream.usage.at", ()) or "repeat" in places):
        usage = values["counts"] if "repeat" in places else _no_usage(voice)
        yield fill(again, values | _fresh(voice) | {"usage": usage})
    own = contract.get("stream.usage.own") or {**contract.get("stream.chunk", {}), "choices": []}
    if "own" in places and say.usage is not None:
        for _ in range(voice.asked.choices if contract.get("stream.usage.each_choice") else 1):
            yield fill(own, values | _fresh(voice) | {"usage": values["counts"]})


# ---- counts in a stream ------------------------------------------------------------------------------------


def usage_places(voice: Voice) -> tuple[str, ...]:
    """Where this reply carries its usage: see `stream.usage` in the schema."""
    usage = voice.contract.get("stream.usage", {})
    at = tuple(usage.get("at", ("own",)))
    when = usage.get("when", "asked")
    if when == "never":
        return ()
    if voice.asked.continuous and usage.get("continuous"):
        return ("every", *at)
    if when == "always" or voice.asked.usage:
        return at
    return tuple(usage.get("unasked", ()))


def _usage_template(voice: Voice) -> Any:
    return voice.contract.get("stream.usage.template", voice.contract.get("reply.usage"))


def _counted(voice: Voice, say: Say, part: Part, number: int, parts: list[Part]) -> dict[str, Any]:
    """What a chunk says of the counts: all of them, those so far, or nothing."""
    places, final = usage_places(voice), part.kind == "last"
    shape = _usage_template(voice)
    share = 1.0 if final else (number + 1) / len(parts)
    values = {"counts": voice.usage(say, shape, share)}
    if "every" in places or (final and "finish" in places) or (number == 0 and "first" in places):
        early = shape if final else voice.contract.get("stream.usage.early", shape)
        return values | voice.counts(say, share) | {"usage": voice.usage(say, early, share)}
    return values | {"usage": _no_usage(voice)}


def _no_usage(voice: Voice) -> Any:
    elsewhere = voice.contract.get("stream.usage.elsewhere")
    if elsewhere == "always-null":
        return None
    return None if usage_places(voice) and elsewhere == "null" else ABSENT


def _fresh(voice: Voice) -> dict[str, Any]:
    """What is new in every chunk."""
    fresh: dict[str, Any] = {}
    if voice.contract.get("stream.obfuscation") and voice.asked.obfuscated:
        length = voice.rng.randrange(16)
        fresh["obfuscation"] = make_id(f"{{alnum:{length}}}", voice.rng) if length else ""
    if voice.contract.get("stream.changing_id"):
        fresh["id"] = voice.new_id()
    return fresh


# ---- deltas ------------------------------------------------------------------------------------------------


def _parts(voice: Voice, say: Say, index: int) -> Iterator[Part]:
    contract = voice.contract
    templates = _delta_templates(voice, say)
    deltas = list(_deltas(voice, say, templates))
    merge = contract.get("stream.merge_last", "never")
    if deltas and (merge == "always" or merge == ("tools" if say.tool_calls else "text")):
        closing = deltas.pop()
    else:
        closing = templates.get("closing", {})
        if say.tool_calls:
            closing = templates.get("closing_tool", closing)
        closing = fill(closing, voice.values)
    said = ""
    for number, delta in enumerate(deltas):
        said += _words(delta)
        yield Part("piece" if number else "first", {"index": index, "delta": delta, "said": said})
    if contract.get("stream.finishes", True):
        said += _words(closing)
        yield Part("last", {"index": index, "delta": closing, "said": said, "finish": voice.finish(say)})


def _words(delta: Any) -> str:
    """The text of a delta, for templates that say all the text so far."""
    content = delta.get("content") if isinstance(delta, Mapping) else None
    return content if isinstance(content, str) else ""


def _delta_templates(voice: Voice, say: Say) -> Mapping[str, Any]:
    """The templates of the deltas; a reply that reasons may have others throughout."""
    plain = voice.contract.get("stream.delta", {})
    reasoned = voice.contract.get("stream.reasoned", {}) if say.reasoning else {}
    return {key: value for key, value in {**plain, **reasoned}.items() if value is not False}


def _deltas(voice: Voice, say: Say, templates: Mapping[str, Any]) -> Iterator[Any]:
    contract, values = voice.contract, voice.values
    reasoning, text = list(say.reasoning), list(say.text)
    mode = contract.get("stream.reasoning", contract.get("reply.reasoning", "field"))
    if mode == "tags" and reasoning:
        text, reasoning = ["<think>", *reasoning, "</think>", *text], []
    elif mode == "hidden" or ("reasoning" not in templates and "opening_reasoning" not in templates):
        reasoning = []
    fragments = list(_fragments(voice, say, templates))
    opening, carried = _opening(templates, reasoning, text, say, fragments)
    if opening is not None:
        yield fill(opening, values | carried)
    reasoned = bool(reasoning) or "opening_reasoning" in templates
    for piece in reasoning:
        yield fill(templates.get("reasoning", {}), values | {"text": piece})
    if say.reasoning and reasoned and "reasoning_end" in templates:
        yield fill(templates["reasoning_end"], values)
    for piece in text:
        yield fill(templates.get("text", {}), values | {"text": piece})
    for piece in say.refusal:
        yield fill(templates.get("refusal", templates.get("text", {})), values | {"text": piece})
    around = templates.get("tool", {"tool_calls": "{calls}"})
    for group in fragments:
        yield fill(around, values | {"calls": group})
    if "idle" in templates:
        yield fill(templates["idle"], values)


def _opening(
    templates: Mapping[str, Any], reasoning: list[str], text: list[str], say: Say, fragments: list[list[Any]]
) -> tuple[Any, dict[str, Any]]:
    """The template of the first delta and what it carries; what it carries is taken from the pieces.

    Only `opening_reasoning` may carry reasoning: `opening` goes out without its text before a reply that
    reasons.
    """
    if reasoning and "opening_reasoning" in templates:
        opening = templates["opening_reasoning"]
        return opening, {"text": reasoning.pop(0)} if mentions(opening, "text") else {}
    if not reasoning and not text and fragments and "opening_tool" in templates:
        several = len(say.tool_calls) > 1 and "opening_tools" in templates
        opening = templates["opening_tools" if several else "opening_tool"]
        return opening, {"first_call": fragments.pop(0)} if mentions(opening, "first_call") else {}
    if not reasoning and not text and say.refusal and "opening_refusal" in templates:
        return templates["opening_refusal"], {"text": ""}
    opening = templates.get("opening")
    if not mentions(opening, "text"):
        return opening, {}
    if reasoning:
        return opening, {"text": ABSENT}
    if text:
        return opening, {"text": text.pop(0)}
    return (None, {}) if fragments else (opening, {"text": ""})


def _fragments(voice: Voice, say: Say, templates: Mapping[str, Any]) -> Iterator[list[Any]]:
    """The tool-call fragments, grouped by the chunk that carries them."""
    contract = voice.contract
    split = contract.get("stream.tools.split", "empty-first")
    first, following = templates.get("tool_first", {}), templates.get("tool_next", {})
    together: list[Any] = []
    for number, call in enumerate(say.tool_calls):
        pieces = ["".join(call.arguments)] if split == "whole" else list(call.arguments)
        if split in ("empty-first", "paired"):
            pieces.insert(0, "")
        values = voice.call_values(call, number, pieces[0], before=bool(say.text))
        opening = [fill(first, voice.values | values)]
        rest = [fill(following, voice.values | values | {"arguments": piece}) for piece in pieces[1:]]
        if split == "whole" and contract.get("stream.tools.together"):
            together += opening
            continue
        if split == "paired":
            opening, rest = [*opening, *rest[:1]], rest[1:]
        yield opening
        yield from ([fragment] for fragment in rest)
    if together:
        yield together
