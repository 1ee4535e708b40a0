"""A reply in one piece: what complete() makes of it."""

from __future__ import annotations

from onpaper.clauses import INTERFACE, OPENAI, Case, clause
from onpaper.clauses.conditions import (
    applicable,
    needs_recorded_way,
    needs_tools,
    offers_tools,
    plain_complete,
    plain_stream,
)
from onpaper.clauses.operations import WEATHER
from onpaper.clauses.stream import FILTERED, WRAPPED, no_thoughts
from onpaper.clauses.tools import calls_of
from onpaper.contract import Contract
from onpaper.driving.play import Play, plays
from onpaper.driving.run import Run
from onpaper.driving.stage import Stage
from onpaper.driving.verdict import Broken, NotApplicable


def replies(name: str, *mocks: str, why: str, source: str = INTERFACE, covers: tuple[int, ...] = (), protocol: str | None = "sse"):  # type: ignore[no-untyped-def]
    """A clause about the replies that some mocks play."""
    return clause(f"reply/{name}", protocol=protocol, cases=plays(*mocks), source=source, covers=covers, why=why)


async def _same(stage: Stage, play: Play) -> Run:
    await plain_complete(stage)
    run = await stage.complete(play)
    run.must_say()
    return run


async def _fails(stage: Stage, play: Play, why: str) -> Run:
    await plain_complete(stage)
    run = await stage.complete(play)
    run.must_raise(why)
    return run


@clause("reply/text", cases=plays("hello", "long-answer", "verbatim", "unicode", "unicode-marks", "pieces-that-look-empty", "sse-unicode-separators", *WRAPPED), source=OPENAI, covers=(94,), why="The plainest reply there is.")
async def text(stage: Stage, play: Play) -> None:
    """The text of an ordinary reply comes out of complete() unchanged."""
    run = await stage.complete(play)
    run.must_say()


@clause("reply/shape", cases=plays("hello", "tool-call"), source=INTERFACE, covers=(110,), why="Calling code is shared: it finds the same four keys whatever the provider.")
async def shape(stage: Stage, play: Play) -> None:
    """complete() gives a dict with content (text), tool_calls (a list, or None), usage (a dict) and done_reason.

    Build the dict in one place, for every provider.
    """
    if play.name == "tool-call":
        needs_tools(stage)
    run = await (stage.complete(play, tools=[WEATHER]) if play.name == "tool-call" and offers_tools(stage) else stage.complete(play))
    missing = [key for key in ("content", "tool_calls", "usage", "done_reason") if key not in run.result]
    if missing:
        raise Broken(f"complete() gave no {', '.join(missing)}: {run.given}")
    content, calls, usage = (run.result[key] for key in ("content", "tool_calls", "usage"))
    if not isinstance(content, str | None):
        raise Broken(f"content is {content!r}, not text")
    if not isinstance(calls, list | tuple | None):
        raise Broken(f"tool_calls is {calls!r}, not a list")
    if not isinstance(usage, dict | None):
        raise Broken(f"usage is {usage!r}, not a dict")


def _recorded_replies(contract: Contract) -> tuple[Play, ...]:
    from onpaper.driving.tapes import tapes

    return tuple(Play(tape.name, "recorded", "cassette") for tape in tapes(contract) if tape.replies)


@clause("reply/recorded", cases=_recorded_replies, source=INTERFACE, covers=(102,), why="Recordings are what a server sent.")
async def recorded(stage: Stage, play: Play) -> None:
    """A recorded reply in one piece comes out with the text, the tool calls and the error that its bytes say."""
    from onpaper.driving.tapes import tapes

    tape = next(one for one in tapes(stage.contract) if one.name == play.name)
    kwargs = {"tools": tape.tools} if tape.tools and offers_tools(stage) else {}
    run = await stage.complete(play, messages=tape.messages, **kwargs)
    needs_recorded_way(run, tape.messages, stream=False)
    _judge(run)


def _judge(run: Run) -> None:
    wanted, status = run.reading, run.scripts[-1].status
    if status >= 400 or wanted.error is not None or wanted.problems:
        run.must_raise(f"the reply is an error ({status})" if status >= 400 else "the reply is not a sound one")
        return
    if wanted.tool_calls and run.error is not None:
        for call in wanted.tool_calls:
            try:
                sound = isinstance(call.decoded, dict)
            except ValueError:
                sound = False
            if not sound:
                return  # arguments that are not an object may be refused
    run.must_say()
    given = calls_of(run)
    if [name for _, name, _ in given] != [call.name for call in wanted.tool_calls]:
        raise Broken(f"tool calls {given!r}; the server made {[c.name for c in wanted.tool_calls]}", run.wire)


@replies("content-null", "reply-content-null", "reply-content-absent", why="A reply with tool calls, or with nothing to say, has no content.", source=OPENAI, covers=(94,))
async def content_null(stage: Stage, play: Play) -> None:
    """`content` that is null or absent is the empty text."""
    await _same(stage, play)


@replies("content-parts", "reply-content-parts", why="Typed parts in place of text.", source="https://docs.mistral.ai/capabilities/reasoning", covers=(98,))
async def content_parts(stage: Stage, play: Play) -> None:
    """`content` that is a list of typed parts gives their text."""
    await _same(stage, play)


@replies("reasoning-apart", "reply-reasoning", "reply-reasoning-only", why="Thoughts are not the answer.", source="https://github.com/betagouv/ComparIA/pull/330", covers=(79,))
async def reasoning_apart(stage: Stage, play: Play) -> None:
    """Reasoning beside the answer, or in its place, never gets into the content."""
    if play.name == "reply-reasoning-only":
        await plain_complete(stage)
        no_thoughts(await stage.complete(play))
        return
    await _same(stage, play)


@replies("choice-by-index", "reply-choices-reordered", why="The order of candidates is not promised.", source=OPENAI, covers=(97,))
async def by_index(stage: Stage, play: Play) -> None:
    """The reply is the choice with index 0, wherever it stands."""
    await _same(stage, play)


@replies("unknown-keys", "reply-unknown-keys", why="Strict models of the reply break with every new key.", source="https://github.com/mozilla-ai/any-llm/issues/1164", covers=(100,))
async def unknown_keys(stage: Stage, play: Play) -> None:
    """Keys nobody knows, `created: null` and an empty id are no reason to fail."""
    await _same(stage, play)


@replies("any-object", "reply-object-absent", why="Clients that check it refuse a whole server.", source="https://github.com/caozhiyuan/copilot-api/pull/247", covers=(100,))
async def any_object(stage: Stage, play: Play) -> None:
    """A reply without `object` is a reply."""
    await _same(stage, play)


@replies("index-absent", "reply-index-absent", why="A gateway that leaves it out has one choice, and that is the reply.", source="https://github.com/songquanpeng/one-api/issues/1037", covers=(97,))
async def index_absent(stage: Stage, play: Play) -> None:
    """A choice without an `index` is the reply."""
    await _same(stage, play)


@replies("error-null", "reply-error-null", why="Some servers write every key that they know: `error` too, as null.", source="https://github.com/microsoft/foundry-local/issues/263", covers=(96, 100))
async def error_null(stage: Stage, play: Play) -> None:
    """`error` that is null beside ordinary choices is no error."""
    await _same(stage, play)


@replies("no-choices", "reply-choices-missing", "reply-choices-null", "reply-choices-empty", why="A reply without choices that becomes an empty text hides an outage.",
         source="https://github.com/open-jarvis/OpenJarvis/issues/970", covers=(95,))  # fmt: skip
async def no_choices(stage: Stage, play: Play) -> None:
    """A reply without choices is an error."""
    run = await _fails(stage, play, "the reply has no choices")
    if type(run.error).__name__ in ("KeyError", "IndexError", "TypeError", "AttributeError"):
        raise Broken(f"a bare {type(run.error).__name__} says nothing about the reply: {run.error}", run.wire)


@clause("reply/error-in-200", cases=plays("error-200", "error-200-string"), source="https://github.com/SWE-agent/mini-swe-agent/pull/902", covers=(96, 142),
        why="Some gateways report every failure with status 200.")  # fmt: skip
async def error_in_200(stage: Stage, play: Play) -> None:
    """An error object with status 200 is an error that keeps the server's words."""
    run = await _fails(stage, play, "the reply was an error object")
    run.must_keep_words("upstream exploded: quota drained")


@replies("error-in-choice", "reply-choice-error", why="OpenRouter reports a provider's failure inside the choice.", source="https://github.com/nodetool-ai/nodetool/pull/5755", covers=(96,))
async def error_in_choice(stage: Stage, play: Play) -> None:
    """`choices[0].error` is an error that keeps the server's words."""
    run = await _fails(stage, play, "the choice carried an error")
    run.must_keep_words("upstream exploded: quota drained")


@clause("reply/not-json", cases=plays("html-200", "empty-200", "no-content", "reply-not-json", "reply-cut"), source=INTERFACE, covers=(99,), why="A login page, a proxy's words or half a reply.")
async def not_json(stage: Stage, play: Play) -> None:
    """A success whose body is not JSON, or that has none, is an error."""
    await _fails(stage, applicable(stage, play), "the reply was not JSON")


@clause("reply/connection-lost", cases=(Case("cut"), Case("reset")), source="https://www.rfc-editor.org/rfc/rfc9112#section-8", covers=(62,), why="Half a body must never pass for a whole one.")
async def connection_lost(stage: Stage, case: Case) -> None:
    """A connection that is lost inside the body is an error."""
    from dataclasses import replace

    from onpaper.driving.acts import completing
    from onpaper.driving.play import answer_of
    from onpaper.script import Write

    await plain_complete(stage)
    answer = answer_of(Play("hello"), stage.contract)

    def cut(request):  # type: ignore[no-untyped-def]
        script = answer(request)
        body = script.body
        end = "cut" if case.id == "cut" else "reset"
        return replace(script, writes=(Write(body[: len(body) // 2]),), length=len(body), end=end)

    run = await stage.drive("complete()", completing(), cut)
    run.must_raise("the connection was lost inside the body")


@clause("reply/finish-reason", cases=plays("hello", "length", "unknown-finish", "content-filter"), source=OPENAI, covers=(101,), why="Without it nobody can tell a short answer from one that was cut off.")
async def finish_reason(stage: Stage, play: Play) -> None:
    """done_reason is the server's finish reason.

    Hand it on as it is; a reply that a filter ended may be an error instead.
    """
    await plain_complete(stage)
    run = await stage.complete(applicable(stage, play))
    if play.name == FILTERED and isinstance(run.error, Exception):
        raise NotApplicable("a reply that the filter ended is an error, as it may be")
    given, wanted = run.result.get("done_reason"), run.reading.finish
    if given != wanted:
        raise Broken(f"done_reason is {given!r}; the server said {wanted!r}", run.wire)


@replies("refusal-signalled", "reply-refusal", why="A refusal in its own field leaves the content empty.", source=OPENAI, covers=(82,))
async def refusal_signalled(stage: Stage, play: Play) -> None:
    """A refusal is signalled: by an error, or somewhere in the result; never an empty success."""
    await plain_complete(stage)
    run = await stage.complete(play)
    if run.error is None and "help with that" not in str(run.value) + str(run.stats):
        raise Broken(f"the model refused, and complete() gave {run.given}", run.wire)


@clause("reply/agrees-with-stream", cases=plays("hello", "long-answer", "verbatim", "unicode", "length"), source="https://github.com/langchain-ai/langchainjs/issues/11417", covers=(102,),
        why="The class of bug where only one of the two paths was mended.")  # fmt: skip
async def agrees(stage: Stage, play: Play) -> None:
    """complete() and the joined stream() of the same reply give the same text and the same counts."""
    await plain_complete(stage)
    await plain_stream(stage)
    whole, pieces = await stage.complete(play), await stage.stream(play)
    if whole.text != pieces.text:
        raise Broken(f"complete() gave {whole.text!r}, stream() {pieces.text!r}", pieces.wire)
    usage, stats = whole.usage, pieces.stats or {}
    for one, other in (("prompt", "prompt_tokens"), ("completion", "completion_tokens")):
        if usage.get(one) and stats.get(other) and usage[one] != stats[other]:
            raise Broken(f"complete() counted {usage}, stream() {stats}", pieces.wire)
