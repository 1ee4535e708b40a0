"""Tool calls: assembled from fragments, with arguments that are an object or an error."""

from __future__ import annotations

import json
from typing import Any

from onpaper.clauses import INTERFACE, OPENAI, Case, clause
from onpaper.clauses.conditions import (
    needs_result,
    needs_tools,
    needs_value,
    offers_tools,
    plain_complete,
    plain_stream,
)
from onpaper.clauses.operations import HISTORY, WEATHER
from onpaper.driving.play import CUTS, Play, plays
from onpaper.driving.run import Run, call_of, crashed
from onpaper.driving.stage import Stage
from onpaper.driving.verdict import Broken, NotApplicable

Call = tuple[Any, Any, Any]
"""Id, name and arguments of a call."""
ORDINARY = Play("tool-call")


def calls_of(run: Run) -> list[Call]:
    """The tool calls that came out, whichever of the usual shapes they have."""
    holder = run.value.get("tool_calls") if isinstance(run.value, dict) else (run.stats or {}).get("tool_calls")
    return [call_of(call) for call in holder or ()]


def wanted_calls(run: Run) -> list[tuple[str, Any]]:
    """Name and decoded arguments of each call that the server made."""
    return [(call.name, call.decoded) for call in run.reading.tool_calls]


async def _complete(stage: Stage, play: Play, control: bool = True) -> Run:
    """Ask for a reply with tool calls; with `control`, demand first that an ordinary one comes out right."""
    needs_tools(stage)
    await plain_complete(stage)
    tools = {"tools": [WEATHER]} if offers_tools(stage) else {}
    if control:
        _plain_call(await stage.complete(ORDINARY, **tools), "tools/arguments-decoded")
    return await stage.complete(play, **tools)


def _plain_call(run: Run, clause: str) -> None:
    """Demand that an ordinary call came out right, so that the oddity alone is judged. Raises NotApplicable."""
    try:
        must_call(run)
    except Broken:
        raise NotApplicable(f"an ordinary tool call already comes out wrong: see {clause}") from None


def must_call(run: Run) -> None:
    run.must_not_raise()
    given = [(name, arguments) for _, name, arguments in calls_of(run)]
    if given != wanted_calls(run):
        raise Broken(f"{run.operation} gave the calls {given!r}; the server made {wanted_calls(run)!r}", run.wire)
    ids = [(found, call.id) for (found, _, _), call in zip(calls_of(run), run.reading.tool_calls, strict=True) if call.id]
    if run.streamed and any(found != said for found, said in ids):
        raise Broken(f"the ids came out as {[found for found, _ in ids]!r}; the server said {[said for _, said in ids]!r}", run.wire)


@clause("tools/arguments-decoded", cases=plays("tool-call", "two-tool-calls", "tool-calls-alike", "tool-call-after-text"), covers=(103, 106, 110), source=INTERFACE,
        why="Calling code hands the arguments to a function; it should not care who encoded them.")  # fmt: skip
async def decoded(stage: Stage, play: Play) -> None:
    """The arguments of a tool call come out of complete() as a dict, whatever the provider sent; each call comes out, in the
    order of the calls, also one that is like another.
    """
    must_call(await _complete(stage, play, control=False))


@clause("tools/no-arguments", cases=plays("tool-call-no-arguments"), covers=(103,), source="https://github.com/posit-dev/chatlas", why="A tool that takes nothing is called with an empty text.")
async def no_arguments(stage: Stage, play: Play) -> None:
    """Empty arguments are an empty dict."""
    must_call(await _complete(stage, play))


@clause("tools/arguments-object", protocol="sse", cases=plays("reply-arguments-object"), covers=(106,), source="https://github.com/ollama/ollama/blob/main/docs/api.md",
        why="Some gateways send the object itself.")  # fmt: skip
async def arguments_object(stage: Stage, play: Play) -> None:
    """Arguments that are an object already are taken as they are."""
    must_call(await _complete(stage, play))


@clause("tools/arguments-unicode", cases=plays("tool-call-unicode"), covers=(107,), source=OPENAI, why="An id of 17 digits that becomes a float is another id.")
async def arguments_unicode(stage: Stage, play: Play) -> None:
    """Unicode, escapes and large integers in arguments survive."""
    must_call(await _complete(stage, play))


@clause("tools/ids", cases=plays("two-tool-calls", "tool-calls-alike", "tool-ids-long"), covers=(108,), source=OPENAI, why="The result of a call is sent back under its id.")
async def ids(stage: Stage, play: Play) -> None:
    """The ids of tool calls are kept, whatever they are made of and however long."""
    run = await _complete(stage, play)
    run.must_not_raise()
    given, wanted = [one for one, _, _ in calls_of(run)], [call.id for call in run.reading.tool_calls]
    if given != wanted:
        raise Broken(f"the ids came out as {given!r}; the server said {wanted!r}", run.wire)


@clause("tools/broken-arguments", protocol="sse", cases=plays("tool-call-broken-arguments", "tool-call-two-objects", "tool-call-python-arguments", "tool-call-cut-by-length"), covers=(104, 109),
        source="https://github.com/NousResearch/hermes-agent/issues/62940", why="A tool that ran with empty arguments because the real ones did not parse.")  # fmt: skip
async def broken_arguments(stage: Stage, play: Play) -> None:
    """Arguments that are not JSON are an error, or come out as the raw text, flagged; they are never `{}`, nor what the
    server might have meant.

    Raise, or keep the text beside a mark that says so.
    """
    _never_invented(await _complete(stage, play))


@clause("tools/arguments-not-an-object", protocol="sse", cases=plays("tool-call-arguments-null", "tool-call-arguments-list", "tool-call-arguments-text", "tool-call-arguments-number"),
        covers=(105,), source=INTERFACE, why="A function called with a list where it takes names fails far away from here.")  # fmt: skip
async def not_an_object(stage: Stage, play: Play) -> None:
    """Arguments that are JSON but no object are an error, or are flagged; they are never handed on as if they were a dict.

    `null` may count as no arguments.
    """
    run = await _complete(stage, play)
    if run.error is not None:
        return
    raw = "".join(str(call.arguments) for call in run.reading.tool_calls)
    if not calls_of(run) and not any(call.name in str(run.value) for call in run.reading.tool_calls):
        raise Broken(f"the call with the arguments {raw!r} vanished: {run.given}", run.wire)
    for _, _, arguments in calls_of(run):
        if play.name.endswith("null") and arguments == {}:
            continue
        if arguments == {}:
            raise Broken(f"the arguments {raw!r} became an empty dict", run.wire)
        if not isinstance(arguments, dict) and arguments != raw:
            raise Broken(f"the arguments {raw!r} came out as {arguments!r}: neither a dict, nor the raw text, nor an error", run.wire)


def _never_invented(run: Run) -> None:
    if run.error is not None:
        if type(run.error).__name__ == "Hung":
            run.must_not_raise()
        return
    calls = calls_of(run)
    raw = "".join(str(call.arguments) for call in run.reading.tool_calls)
    if not calls:
        if raw in str(run.value) or (isinstance(run.value, dict) and run.value.get("done_reason") == "length"):
            return
        raise Broken(f"the call with the arguments {raw!r} vanished: {run.given}", run.wire)
    for _, _, arguments in calls:
        if not _holds(arguments, raw):
            raise Broken(f"the arguments {raw!r} became {arguments!r}", run.wire)


def _holds(value: Any, raw: str) -> bool:
    """Whether the text that the server sent is found in a value."""
    if isinstance(value, dict | list | tuple):
        return any(_holds(one, raw) for one in (value.values() if isinstance(value, dict) else value))
    return raw in str(value)


@clause("tools/finish-stop", protocol="sse", cases=plays("reply-tools-with-stop"), covers=(92,), source="https://github.com/open-webui/computer/issues/224",
        why="OpenAI itself says stop when a tool was named; Gemini always does.")  # fmt: skip
async def finish_stop(stage: Stage, play: Play) -> None:
    """Tool calls are delivered whatever the finish reason says."""
    must_call(await _complete(stage, play))


@clause("tools/history", covers=(16,), cases=(Case("dict-arguments"), Case("text-arguments"), Case("broken-text")), source="https://github.com/su-kaka/gcli2api/pull/406",
        why="The dict that complete() gave is sent back as history; as an object it is a 400 at OpenAI.")  # fmt: skip
async def history(stage: Stage, case: Case) -> None:
    """In the history, a call's arguments go out as the protocol wants them (JSON text; an object in Ollama's own), also when they came in as a dict; text that is no JSON goes out as it is, or is refused."""
    needs_value(stage, messages=HISTORY)
    needs_tools(stage)
    if case.id == "broken-text":
        await _broken_history(stage)
        return
    run = await stage.complete(messages=HISTORY if case.id == "dict-arguments" else _as_text(HISTORY))
    if run.refused and not crashed(run):
        raise NotApplicable(f"the backend refuses a history with tool calls before it sends anything: {run.given}")
    sent = run.body.get("messages")
    try:
        arguments = sent[1]["tool_calls"][0]["function"]["arguments"]
    except (TypeError, KeyError, IndexError):
        raise Broken("the tool call of the history did not go out", run.chats[0].request.body, "request body") from None
    wants_object = stage.contract.get("reply.arguments", "text") == "object"
    wanted = {"city": "Paris"}
    if wants_object:
        good = arguments == wanted
    else:
        try:
            good = isinstance(arguments, str) and json.loads(arguments) == wanted
        except ValueError:
            good = False
    if not good:
        raise Broken(f"the arguments went out as {arguments!r}", run.chats[0].request.body, "request body")


BROKEN_TEXT = '{"city": "Par'


async def _broken_history(stage: Stage) -> None:
    if stage.contract.get("reply.arguments", "text") == "object":
        raise NotApplicable("the provider takes objects, which such text is none of")
    messages = _as_text(HISTORY)
    messages[1]["tool_calls"][0]["function"]["arguments"] = BROKEN_TEXT
    run = await stage.complete(messages=messages)
    if run.refused:
        return
    sent = run.body["messages"][1].get("tool_calls") or [{}]
    arguments = (sent[0].get("function") or {}).get("arguments")
    if arguments != BROKEN_TEXT:
        raise Broken(f"the arguments {BROKEN_TEXT!r} of the history went out as {arguments!r}", run.chats[0].request.body, "request body")


def _as_text(messages: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
    """The messages with each call's arguments as JSON text, as a provider sent them."""

    def call(one: dict[str, Any]) -> dict[str, Any]:
        return {**one, "function": {**one["function"], "arguments": json.dumps(one["function"]["arguments"])}}

    return [{**one, "tool_calls": [call(each) for each in one["tool_calls"]]} if "tool_calls" in one else one for one in messages]


# ---- fragments in a stream ---------------------------------------------------------------------------------------


def fragments(name: str, *mocks: str, why: str, source: str, covers: tuple[int, ...], cuts: tuple[str, ...] = ("events", "random")):  # type: ignore[no-untyped-def]
    """A clause about tool calls in a stream, for backends that declare stats["tool_calls"]."""
    return clause(f"tools/{name}", protocol="sse", cases=plays(*mocks, cuts=cuts), source=source, covers=covers, why=why)


async def _streamed(stage: Stage, play: Play, control: bool = True) -> Run:
    """Stream tool calls; with `control`, demand first that an ordinary one comes out right."""
    needs_result(stage, "tool_calls")
    await plain_stream(stage)
    if control:
        _plain_call(await stage.stream(ORDINARY), "tools/streamed")
    return await stage.stream(play)


@clause("tools/streamed", cases=(*plays("tool-call", "two-tool-calls", "tool-calls-alike", "tool-call-after-text", "tool-call-unicode", cuts=("events", *CUTS)), *plays("tool-ids-long")), covers=(86,),
        source="https://github.com/QwenLM/Qwen-Agent/pull/943", why="Each provider cuts a call into other fragments.")  # fmt: skip
async def streamed(stage: Stage, play: Play) -> None:
    """A backend that declares `tool_calls` gives the calls of a stream in stats["tool_calls"], whole and in order, with the same shape as complete()."""
    must_call(await _streamed(stage, play, control=False))


@fragments("late-name", "tool-name-late", "tool-name-repeated", why="Id and name may come in different fragments.", source="https://github.com/QwenLM/Qwen-Agent/pull/943", covers=(86,))
async def late_name(stage: Stage, play: Play) -> None:
    """Id and name may come late, and more than once; they are not joined."""
    must_call(await _streamed(stage, play))


@fragments("index-missing", "tool-index-missing", why="Gemini sends no index at all.", source="https://github.com/AstrBotDevs/AstrBot/pull/6692", covers=(87,))
async def index_missing(stage: Stage, play: Play) -> None:
    """Without an index, a new id starts a new call."""
    must_call(await _streamed(stage, play))


@fragments("index-shared", "tool-index-shared", why="Two calls under index 0 become one call with arguments that do not parse.", source="https://github.com/huggingface/smolagents/pull/1958", covers=(88,))
async def index_shared(stage: Stage, play: Play) -> None:
    """The same index with another id is another call."""
    must_call(await _streamed(stage, play))


@fragments("index-from-one", "tool-index-from-one", why="After a text block Anthropic's compatible endpoint begins with index 1.", source="https://github.com/vercel/ai", covers=(86,))
async def index_from_one(stage: Stage, play: Play) -> None:
    """The first index need not be 0."""
    must_call(await _streamed(stage, play))


@fragments("arguments-null", "tool-arguments-null", "tool-null-continuations", why="None that is added to a text raises, or becomes the word None.", source="https://github.com/open-webui/open-webui/issues/27195", covers=(89,))
async def arguments_null(stage: Stage, play: Play) -> None:
    """Null ids, names and arguments in a fragment add nothing."""
    must_call(await _streamed(stage, play))


@fragments("whole-before-end", "tool-empty-tail", "tool-prefix-parses", why="`{}` or `1` parses long before the arguments are complete.", source=INTERFACE, covers=(90, 105))
async def whole_before_end(stage: Stage, play: Play) -> None:
    """Arguments that parse before their end are not taken for complete, and an empty last fragment changes nothing."""
    run = await _streamed(stage, play)
    if play.name == "tool-prefix-parses" and run.error is not None:
        return  # the second call's arguments are the number 12, which may be refused
    run.must_not_raise()
    given = {name: arguments for _, name, arguments in calls_of(run)}
    for name, arguments in wanted_calls(run):
        raw = next(call.arguments for call in run.reading.tool_calls if call.name == name)
        if name not in given or (isinstance(arguments, dict) and given[name] != arguments):
            raise Broken(f"{name} was called with {given.get(name)!r}; the server said {raw!r}", run.wire)
        if not isinstance(arguments, dict) and given[name] not in (raw, arguments):
            raise Broken(f"{name} was called with {given[name]!r}; the server said {raw!r}", run.wire)


@fragments("interleaved", "tool-interleaved", "tool-two-in-one-chunk", why="Parallel calls grow side by side.", source=OPENAI, covers=(86,))
async def interleaved(stage: Stage, play: Play) -> None:
    """Fragments of several calls may be interleaved, or share a chunk."""
    must_call(await _streamed(stage, play))


@fragments("streamed-finish-stop", "tool-finish-stop", why="The finish reason says stop, and the calls are there.", source="https://github.com/open-webui/computer/issues/224", covers=(92,))
async def streamed_finish_stop(stage: Stage, play: Play) -> None:
    """Streamed tool calls are delivered whatever the finish reason says."""
    must_call(await _streamed(stage, play))


@fragments("unnamed", "tool-unnamed", why="Nobody can call a function without a name.", source="https://github.com/vercel/ai", covers=(91,))
async def unnamed(stage: Stage, play: Play) -> None:
    """A call that never gets a name is an error."""
    run = await _streamed(stage, play)
    if run.error is None and any(not name for _, name, _ in calls_of(run)):
        raise Broken(f"a call without a name came out: {calls_of(run)!r}", run.wire)
    if run.error is None and not calls_of(run):
        raise Broken(f"a call without a name vanished: {run.given}", run.wire)


@fragments("streamed-broken-arguments", "tool-call-broken-arguments", "tool-call-two-objects", "tool-call-python-arguments", "tool-call-cut-by-length", why="As in complete().", source="https://github.com/14790897/MiqroForge-Desktop/pull/1100", covers=(104, 109))
async def streamed_broken(stage: Stage, play: Play) -> None:
    """Streamed arguments that are not JSON are an error, or the raw text, flagged; never `{}`, nor repaired."""
    run = await _streamed(stage, play)
    if run.error is None and not calls_of(run):
        if (run.stats or {}).get("done_reason") == "length":
            raise NotApplicable("the finish reason says that the reply was cut")
        raise Broken(f"the call vanished: {run.given}", run.wire)
    _never_invented(run)
