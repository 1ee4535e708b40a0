"""What a call of a backend becomes on the wire: one request, with the arguments of the call in its body."""

from __future__ import annotations

import asyncio
import copy
import inspect
import json
import math
from dataclasses import replace
from typing import Any

from onpaper.clauses import INTERFACE, OPENAI, Case, clause
from onpaper.clauses.conditions import accepts, needs_tools, needs_value, offers_tools, refused
from onpaper.clauses.operations import HISTORY, UNICODE, WEATHER, accepted, operate
from onpaper.contract import Contract
from onpaper.driving.acts import completing, streaming
from onpaper.driving.play import Play, answer_of
from onpaper.driving.run import Run
from onpaper.driving.stage import HELLO, Setup, Stage
from onpaper.driving.verdict import Broken, NotApplicable
from onpaper.exchange import Request
from onpaper.script import Script

METHODS = (Case("stream"), Case("complete"))


@clause(
    "body/one-request",
    cases=(Case("stream"), Case("complete"), Case("complete-with-tools")),
    covers=(1, 131),
    source=INTERFACE,
    why="A second request is a second bill.",
)
async def one_request(stage: Stage, case: Case) -> None:
    """A call of stream() or complete() makes exactly one request.

    Look for retries, warm-ups and probes that the caller did not ask for.
    """
    if case.id == "complete-with-tools":
        needs_tools(stage)
    run = await operate(stage, case.id)
    if len(run.exchanges) != 1:
        lines = [f"{one.request.method} {one.request.target}" for one in run.exchanges]
        raise Broken(f"{run.operation} made {len(lines)} requests: {', '.join(lines) or 'none'}{run._raised()}")


@clause(
    "body/stream-flag",
    cases=METHODS,
    covers=(10,),
    source=OPENAI,
    why="A text or a number in its place is read as true by one server and refused by another.",
)
async def stream_flag(stage: Stage, case: Case) -> None:
    """`stream` is the JSON value true in stream(); in complete() it is false or absent.

    In Ollama's own protocol, which streams unless told otherwise, complete() has to say false.
    """
    run = await (stage.stream() if case.id == "stream" else stage.complete())
    value = run.body.get("stream")
    wanted = value is True if case.id == "stream" else value is False
    if case.id == "stream" and stage.contract.protocol == "ndjson":
        wanted = value is True or "stream" not in run.body
    if case.id == "complete" and stage.contract.protocol == "sse":
        wanted = wanted or "stream" not in run.body
    if not wanted:
        raise Broken(f"{run.operation} sent stream: {json.dumps(value)}", run.chats[0].request.body, "request body")


@clause(
    "body/model",
    cases=(Case("openai/gpt-4o-mini"), Case("qwen3.5:4b"), Case("Org/Модель-ü:Latest-Q4_K_M"), Case("gpt-4o-mini")),
    covers=(140,),
    source=INTERFACE,
    why="Gateways name models with slashes and colons; a client that cuts or escapes them asks for another model.",
)
async def model(stage: Stage, case: Case) -> None:
    """The model's name goes out exactly as it was configured.

    Do not split, lower-case or quote it.
    """
    run = await stage.stream(setup=Setup(model=case.id))
    if run.phase == "construct":
        raise NotApplicable(f"the backend refuses the model's name: {run.error}")
    if run.body.get("model") != case.id:
        raise Broken(f"model {case.id!r} went out as {run.body.get('model')!r}", run.chats[0].request.body, "request body")


def _objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


@clause(
    "body/unicode",
    cases=METHODS,
    covers=(17,),
    source="https://www.rfc-editor.org/rfc/rfc8259#section-8.1",
    why="Text that is escaped twice, or normalised, is another prompt.",
)
async def unicode_text(stage: Stage, case: Case) -> None:
    """Any text survives the way out: other scripts, emoji, U+2028, control characters, quotes.

    Leave escaping to the JSON library.
    """
    run = await (stage.stream(messages=UNICODE) if case.id == "stream" else stage.complete(messages=UNICODE))
    sent = run.body.get("messages")
    if not _objects(sent) or sent[-1].get("content") != UNICODE[0]["content"]:
        raise Broken("the text of a message was changed on its way out", run.chats[0].request.body, "request body")


@clause(
    "body/caller-objects",
    cases=(*METHODS, Case("prefill")),
    covers=(15,),
    source=INTERFACE,
    why="The application keeps the list and sends it again; a changed one grows a wrong history.",
)
async def caller_objects(stage: Stage, case: Case) -> None:
    """The caller's messages and tools are not changed.

    Copy what you need to rewrite.
    """
    stage.needs(case.id)
    needs_value(stage, messages=HISTORY)
    messages, tools = copy.deepcopy(list(HISTORY)), [copy.deepcopy(WEATHER)]
    before = copy.deepcopy((messages, tools))

    async def act(backend: Any, run: Run) -> None:
        if case.id == "stream":
            source = backend.stream(messages)  # the caller's own objects, not copies
            async for _ in await source if inspect.isawaitable(source) else source:
                pass
        elif case.id == "prefill":
            await backend.prefill(messages)
        else:
            kwargs = {"tools": tools} if offers_tools(stage) else {}
            await backend.complete(messages, **kwargs)

    run = await stage.drive(case.id + "()", act)
    if (messages, tools) != before:
        raise Broken(f"{run.operation} changed the caller's objects: {str((messages, tools))[:500]}")


@clause(
    "body/stop",
    cases=tuple(
        Case(f"{method}-{name}", (method, value))
        for method in ("stream", "complete")
        for name, value in (("none", None), ("empty", []), ("text", "END"), ("list", ["END", "###"]), ("blanks", ["\n", " END "]))
    ),
    covers=(12,),
    source=OPENAI,
    why="`stop: null` and `stop: []` are refused; a list joined into one text never stops anything.",
)
async def stop(stage: Stage, case: Case) -> None:
    """`stop` goes out unchanged, and is left out when it is None or empty.

    A text may also go out as a list of one.
    """
    method, value = case.value
    if not stage.takes(method, "stop"):
        raise NotApplicable(f"{method}() takes no stop")
    if value:
        needs_value(stage, stop=value)
    call = stage.stream if method == "stream" else stage.complete
    run = await call(stop=value)
    refused(stage, run, "stop")
    options = run.body.get("options")
    holder = options if isinstance(options, dict) and stage.contract.protocol == "ndjson" else run.body
    sent = holder.get("stop", "absent")
    allowed = ("absent",) if not value else (value, [value] if isinstance(value, str) else value)
    if sent not in allowed:
        raise Broken(f"stop={value!r} went out as {sent!r}", run.chats[0].request.body, "request body")


@clause(
    "body/none-left-out",
    cases=tuple(Case(f"{m}-{p}", (m, p)) for m in ("stream", "complete")
                for p in ("max_tokens", "temperature", "top_p", "presence_penalty", "top_k")),
    covers=(5,),
    source="https://github.com/ztjhz/BetterChatGPT/issues/248",
    why="None means: not given. Sent as null it is refused, or switches something off.",
)  # fmt: skip
async def none_left_out(stage: Stage, case: Case) -> None:
    """A parameter that is None is left out, or replaced by the default; it never goes out as null."""
    method, parameter = case.value
    if not stage.takes(method, parameter):
        raise NotApplicable(f"{method}() takes no {parameter}")
    call = stage.stream if method == "stream" else stage.complete
    run = await call(**{parameter: None})
    may_refuse = not accepts(stage.contract, parameter) or stage.declared.can(parameter) == "refuses"
    if run.refused and may_refuse:
        raise NotApplicable(f"{method}() refuses {parameter}, as it may")
    run.must_not_raise()
    found = [where for where, value in _walk(run.body) if value is None and where.endswith(_wire_names(parameter))]
    if found:
        raise Broken(f"{parameter}=None went out as null at {found[0]}", run.chats[0].request.body, "request body")


def _wire_names(parameter: str) -> tuple[str, ...]:
    return ("/max_tokens", "/max_completion_tokens", "/num_predict") if parameter == "max_tokens" else (f"/{parameter}",)


def _walk(value: Any, at: str = "") -> Any:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _walk(item, f"{at}/{key}")
    yield at, value


@clause(
    "body/tools-omitted",
    cases=(Case("none", None), Case("empty", [])),
    covers=(13,),
    source="https://github.com/BerriAI/litellm/issues/9080",
    why="An empty list of tools is a 400 at several providers.",
)
async def tools_omitted(stage: Stage, case: Case) -> None:
    """`tools` is left out when there are none; an empty list may go out where the contract calls it right."""
    if not stage.takes("complete", "tools"):
        raise NotApplicable("complete() takes no tools")
    run = await stage.complete(tools=case.value)
    if "tools" in run.body and (run.body["tools"] != [] or not _takes(stage.contract, [])):
        raise Broken(f"tools={case.value!r} went out as {run.body['tools']!r}", run.chats[0].request.body, "request body")


ODD_TOOL = {
    "type": "function",
    "function": {
        "name": "Odd-Tool_2",
        "description": " Odd.\n",
        "parameters": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "$defs": {"leaf": {"enum": ["", "a", None]}},
            "properties": {"x": {"type": ["string", "null"]}, "y": {"$ref": "#/$defs/leaf"}, "z": {"default": 0}},
            "additionalProperties": False,
        },
    },
}


@clause(
    "body/tools-unchanged",
    cases=(Case("definitions"), Case("beside-them")),
    covers=(14,),
    source="https://github.com/BerriAI/litellm/issues/9080",
    why="A schema that is tidied up on the way (empty enums, type lists, $defs) asks the model for something else.",
)
async def tools_unchanged(stage: Stage, case: Case) -> None:
    """Tool definitions go out exactly as they were given: all of them, in their order, with their names, their schemas,
    and `strict` where the provider knows it; what was given beside them goes out as it does without them.

    Pass them through; do not put them together anew from the keys that you know.
    """
    if not offers_tools(stage):
        raise NotApplicable("complete() takes no tools")
    if case.id == "beside-them":
        await _beside_tools(stage)
        return
    tools = [_strict(stage.contract) or WEATHER, ODD_TOOL, *_more(stage.contract)]
    run = await stage.complete(Play("tool-call"), tools=tools)
    if run.body.get("tools") != tools:
        raise Broken("the tool definitions were changed", run.chats[0].request.body, "request body")


async def _beside_tools(stage: Stage) -> None:
    """Demand of a call with tools the messages and the parameters of one without; in its history one was called already."""
    needs_value(stage, messages=HISTORY)
    given = {"messages": HISTORY, **accepted(stage, "complete")}
    alone, run = await stage.complete(**given), await stage.complete(tools=[WEATHER], **given)
    if alone.refused or run.refused:
        raise NotApplicable(f"the backend refuses such a call before it sends anything: {run.given}")
    if run.body.get("tools") != [WEATHER]:
        raise Broken("the tools did not go out beside a history in which one was called", run.chats[0].request.body, "request body")
    for key, value in alone.body.items():
        if (found := run.body.get(key, "nothing")) != value:
            raise Broken(f"beside tools {key} went out as {str(found)[:200]}, without them as {str(value)[:200]}", run.chats[0].request.body, "request body")


MOST = 128
"""How many tools are given where the contract takes so many: more than a client has a reason to cut off."""


def _more(contract: Contract) -> list[dict[str, Any]]:
    """As many more as make the most that is given; none where the contract takes fewer."""
    more = [{**WEATHER, "function": {**WEATHER["function"], "name": f"get_weather_{number}"}} for number in range(MOST - 2, 0, -1)]
    return more if _takes(contract, more) else []


def _strict(contract: Contract) -> dict[str, Any] | None:
    """A tool that asks for a strict schema; None where the contract does not know that key, or refuses it."""
    function = WEATHER["function"]
    strict = {**WEATHER, "function": {**function, "strict": True, "parameters": {**function["parameters"], "additionalProperties": False}}}
    known = "strict" in contract.get("body.definitions.function.properties", {})
    return strict if known and _takes(contract, [strict]) else None


def _takes(contract: Contract, tools: list[dict[str, Any]]) -> bool:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": tools}
    return not contract.violations(body)


@clause(
    "body/surrogates",
    cases=METHODS,
    covers=(18,),
    source="https://github.com/Aider-AI/aider/issues/3693",
    why="Half an emoji cannot be encoded; a client that sends its own bytes for it breaks the server's JSON parser.",
)
async def surrogates(stage: Stage, case: Case) -> None:
    """Text with a lone surrogate is refused or repaired before anything is sent; what goes out is UTF-8."""
    text = [{"role": "user", "content": "half an emoji: \ud83d"}]
    run = await (stage.stream(messages=text) if case.id == "stream" else stage.complete(messages=text))
    if run.refused:
        return
    for exchange in run.chats:
        try:
            content = json.loads(exchange.request.body)["messages"][-1]["content"]
            content.encode("utf-8")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Broken(f"a lone surrogate was sent: {error}", exchange.request.body, "request body") from None
    run.must_not_raise()


@clause(
    "body/nan",
    cases=tuple(Case(f"{m}-{n}", (m, v)) for m in ("stream", "complete") for n, v in (("nan", math.nan), ("infinity", math.inf))),
    covers=(19,),
    source="https://www.rfc-editor.org/rfc/rfc8259#section-6",
    why="`NaN` is not JSON: a strict server refuses the whole body, a lenient one samples with it.",
)  # fmt: skip
async def nan(stage: Stage, case: Case) -> None:
    """NaN and infinity are refused before anything is sent."""
    method, value = case.value
    if not stage.takes(method, "temperature"):
        raise NotApplicable(f"{method}() takes no temperature")
    act = streaming(temperature=value) if method == "stream" else completing(temperature=value)
    run = await stage.drive(f"{method}()", act)
    if run.exchanges:
        said = "temperature" in run.exchanges[0].request.body.decode("utf-8", "replace")
        raise Broken(f"temperature={value} was {'sent' if said else 'dropped'}", run.exchanges[0].request.body, "request body")
    if run.error is None:
        raise Broken(f"temperature={value} was neither sent nor refused")
    if not run.refused:
        run.must_not_raise()


@clause(
    "body/deterministic",
    cases=METHODS,
    covers=(171,),
    source=INTERFACE,
    why="A body that differs from call to call misses every cache and every recording.",
)
async def deterministic(stage: Stage, case: Case) -> None:
    """The same arguments give the same body, whatever the server calls the model that replied.

    Ask for the model that you were told, not for the snapshot that a reply names.
    """
    acts = (streaming, completing)
    act = acts[case.id == "complete"]

    async def twice(backend: Any, run: Run) -> None:
        await act()(backend, run)
        await act()(backend, run)

    answer, model = answer_of(HELLO, stage.contract), json.dumps(stage.declared.model_name).encode()

    def of_a_snapshot(request: Request) -> Script:
        script = answer(request)
        writes = tuple(replace(one, data=one.data.replace(model, model[:-1] + b'-2026-11-20"')) for one in script.writes)
        return replace(script, writes=writes)

    run = await stage.drive(f"{case.id}()", twice, of_a_snapshot)
    bodies = [one.request.json() for one in run.chats]
    if len(bodies) >= 2 and bodies[0] != bodies[1]:
        raise Broken("two equal calls sent different bodies", run.chats[1].request.body, "second body")
    if len(bodies) < 2:
        run.must_not_raise()


@clause(
    "body/accepted-strictly",
    cases=(Case("stream"), Case("complete"), Case("complete-with-tools")),
    covers=(37, 22),
    source=INTERFACE,
    why="A mock that answers 200 to everything proves nothing; this one refuses what the provider refuses.",
)
async def accepted_strictly(stage: Stage, case: Case) -> None:
    """The provider played strictly (key, body, model) accepts what the backend sends of its own accord."""
    if stage.contract.get("auth.required") and not stage.keyed:
        raise NotApplicable("the declaration names no environment variable with {key}, and the provider wants one")
    setup = Setup(strict=True)
    if case.id == "stream":
        run = await stage.stream(setup=setup)
    elif case.id == "complete":
        run = await stage.complete(setup=setup)
    else:
        needs_tools(stage)
        if not stage.takes("complete", "tools"):
            raise NotApplicable("complete() takes no tools")
        run = await stage.complete(Play("tool-call"), setup, tools=[WEATHER])
    refusal = next((one for one in run.chats if one.reply is not None and one.reply.status >= 400), None)
    if refusal is not None and refusal.reply is not None:
        raise Broken(f"the provider answers {refusal.reply.status}: {refusal.reply.body[:300]!r}", refusal.request.body, "request body")
    await asyncio.sleep(0)
    run.must_not_raise()
