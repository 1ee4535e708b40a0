"""What the chunks of a chat stream mean, and when a stream is complete."""

from __future__ import annotations

from dataclasses import replace

from onpaper.clauses import INTERFACE, OPENAI, clause
from onpaper.clauses.auth import applicable
from onpaper.clauses.sse import same_text
from onpaper.contract import Contract
from onpaper.driving.play import Play, answer_of, plays
from onpaper.driving.run import Run
from onpaper.driving.stage import Stage, streaming
from onpaper.driving.verdict import Broken, NotApplicable
from onpaper.exchange import Request
from onpaper.script import Script

THREE = ("events", "bytewise", "random")


def keeps(name: str, *mocks: str, why: str, source: str, covers: tuple[int, ...], cuts: tuple[str, ...] = ("events", "random")):  # type: ignore[no-untyped-def]
    """A clause judged by the text, the usage and the end that come out of a play."""
    return clause(f"stream/{name}", protocol="sse", cases=plays(*mocks, cuts=cuts), source=source, covers=covers, why=why)


@clause("stream/text", cases=plays("hello", "long-answer", "verbatim", cuts=("events", "whole")), covers=(47, 56), source=OPENAI,
        why="The plainest stream there is; when this fails, read nothing into the rest.")  # fmt: skip
async def text(stage: Stage, play: Play) -> None:
    """The text of an ordinary stream comes out whole, in order and once."""
    run = await stage.stream(play)
    run.must_say()


def _recorded_streams(contract: Contract) -> tuple[Play, ...]:
    from onpaper.driving.tapes import tapes

    return tuple(Play(t.name, cut, "cassette") for t in tapes(contract) if t.streams for cut in ("recorded", "whole", "random"))


@clause("stream/recorded", cases=_recorded_streams, covers=(47, 102), source=INTERFACE,
        why="Mocks are what somebody thought of; recordings are what a server sent.")  # fmt: skip
async def recorded(stage: Stage, play: Play) -> None:
    """A recorded stream of the provider comes out with the text and the error that its bytes say, in its own chunks,
    whole, and cut at random.
    """
    from onpaper.driving.tapes import tapes

    tape = next(one for one in tapes(stage.contract) if one.name == play.name)
    run = await stage.stream(play, messages=tape.messages)
    judge_reading(run, play.name)


def judge_reading(run: Run, name: str) -> None:
    """Hold a run to the reading of what was played: text, or an error where the reply is one or is incomplete."""
    try:
        wanted = run.reading
        status = run.scripts[-1].status
        if status >= 400 or wanted.error is not None or wanted.problems:
            run.must_raise(f"the reply is an error ({status})" if status >= 400 else "the reply is not a sound one")
        elif wanted.tool_calls or wanted.refusal:
            if run.error is None:
                _signalled(run)
                run.must_say()
        else:
            run.must_say()
    except Broken as broken:
        raise Broken(f"{name}: {broken}") from None


@keeps("choices-empty", "choices-empty-first", "choices-empty", why="Azure's first chunk and OpenAI's usage chunk have no choices; choices[0] raises IndexError.",
       source="https://github.com/simonw/llm/issues/294", covers=(63,))  # fmt: skip
async def choices_empty(stage: Stage, play: Play) -> None:
    """A chunk whose `choices` is empty is passed over."""
    await same_text(stage, play)


@keeps("choices-null", "choices-null", "choices-absent", why="Some gateways write null, or leave the key out, in keep-alive and metadata chunks.",
       source="https://github.com/awslabs/llmeter/pull/34", covers=(64,))  # fmt: skip
async def choices_null(stage: Stage, play: Play) -> None:
    """A chunk whose `choices` is null or absent is passed over."""
    await same_text(stage, play)


@keeps("role", "role-null", why="`role` comes once, on every chunk, as null or empty: it is never text.", source=OPENAI, covers=(65,))
async def role(stage: Stage, play: Play) -> None:
    """A delta that has only a role, also null or empty, yields nothing."""
    await same_text(stage, play)


@keeps("content-null", "content-null", why="`None` that is joined into a text raises, or becomes the word None.", source=OPENAI, covers=(66,))
async def content_null(stage: Stage, play: Play) -> None:
    """`content` that is null, empty or absent yields nothing."""
    await same_text(stage, play)


@keeps("delta-null", "delta-null", "delta-absent", why="Two of seven clients measured crash on it.", source=OPENAI, covers=(66,))
async def delta_null(stage: Stage, play: Play) -> None:
    """A choice whose `delta` is null or absent is passed over."""
    await same_text(stage, play)


@keeps("finish-empty", "finish-empty", why="An empty finish reason on every chunk made clients stop at the first token.",
       source="https://github.com/ollama/ollama/issues/4357", covers=(67,))  # fmt: skip
async def finish_empty(stage: Stage, play: Play) -> None:
    """A `finish_reason` that is the empty text, or absent, does not end the reply."""
    await same_text(stage, play)


@keeps("text-with-finish", "text-in-finish-chunk", why="The last words are lost when the finish reason is looked at first.",
       source="https://github.com/vllm-project/vllm/pull/36944", covers=(68,))  # fmt: skip
async def text_with_finish(stage: Stage, play: Play) -> None:
    """Text in the chunk that carries the finish reason is delivered."""
    await same_text(stage, play)


@clause("stream/unknown-finish", cases=plays("unknown-finish"), covers=(69,), source=OPENAI, why="Providers have words of their own: eos, sleepy, end_turn.")
async def unknown_finish(stage: Stage, play: Play) -> None:
    """A finish reason that nobody has heard of ends the reply like any other."""
    await same_text(stage, play)


@keeps("content-parts", "content-parts", why="Typed parts where text was expected yield a list, or the text of a Python list.", source="https://docs.mistral.ai/capabilities/reasoning", covers=(83,))
async def content_parts(stage: Stage, play: Play) -> None:
    """`content` that is a list of typed parts yields the text of its text parts."""
    await same_text(stage, play)


@keeps("one-choice", "second-choice", why="The text of two candidates mixed into one is nobody's answer.", source=OPENAI, covers=(84,))
async def one_choice(stage: Stage, play: Play) -> None:
    """Only the choice with index 0 is the reply, also when choices are interleaved or reordered."""
    await same_text(stage, play)


@keeps("unknown-keys", "unknown-keys", why="Padding, fingerprints, logprobs and annotations come and go.", source="https://github.com/mozilla-ai/any-llm/issues/1164", covers=(85,))
async def unknown_keys(stage: Stage, play: Play) -> None:
    """Keys nobody knows are ignored, at every level."""
    await same_text(stage, play)


@clause("stream/empty-answer", cases=plays("empty-answer"), covers=(66,), source=OPENAI, why="A model may say nothing; that is no error.")
async def empty_answer(stage: Stage, play: Play) -> None:
    """A stream that ends properly without text is an empty reply, not an error."""
    await stage.plain_stream()
    run = await stage.stream(play)
    run.must_say("")


# ---- the end ------------------------------------------------------------------------------------------------------


@keeps("no-done", "no-done", why="Cerebras, Perplexity and TGI never send it.", source="https://github.com/lidge-jun/opencodex/issues/1170", covers=(58,))
async def no_done(stage: Stage, play: Play) -> None:
    """A stream that ends after a finish reason is complete without [DONE]."""
    await same_text(stage, play)


@clause("stream/done-without-finish", protocol="sse", cases=plays("done-without-finish"), covers=(57,), level="should", source=INTERFACE,
        why="The sentinel says that the server meant to end here.")  # fmt: skip
async def done_without_finish(stage: Stage, play: Play) -> None:
    """A stream that ends with [DONE] and no finish reason is complete."""
    await same_text(stage, play)


@keeps("after-done", "after-done", why="Text after the end is not part of the reply; usage after it is not its usage.", source=INTERFACE, covers=(57,))
async def after_done(stage: Stage, play: Play) -> None:
    """Nothing after [DONE] is yielded or counted."""
    await same_text(stage, play)


def _silent_after(script: Script) -> Script:
    return replace(script, end="hang")


@clause("stream/stays-open", timed=True, protocol="sse", cases=plays("hello"), covers=(59,), source="https://github.com/openai/openai-python/pull/3566",
        why="A client that drains the connection without a bound waits as long as the server likes.")  # fmt: skip
async def stays_open(stage: Stage, play: Play) -> None:
    """The call ends within a second after [DONE], also when the server keeps the connection open.

    Drain what follows the sentinel, but only for a moment.
    """
    await stage.plain_stream()
    answer = answer_of(play, stage.contract)

    def hanging(request: Request) -> Script:
        return _silent_after(answer(request))

    run = await stage.drive("stream()", streaming(), hanging, patience=2.0)
    run.must_say()


INCOMPLETE = "https://github.com/griffinwork40/agent-afk/pull/635"


@clause("stream/truncated", protocol="sse", cases=plays("truncated", "truncated-empty", cuts=("events", "random")), covers=(60,), source=INCOMPLETE,
        why="All seven clients measured report half an answer as a whole one.")  # fmt: skip
async def truncated(stage: Stage, play: Play) -> None:
    """A stream that ends with neither a finish reason nor [DONE] is an error.

    Remember whether you saw either; at the end of the body, raise if not, with the partial text on the exception.
    """
    await stage.plain_stream()
    run = await stage.stream(play)
    run.must_raise("the stream ended with neither a finish reason nor [DONE]")


@clause("stream/no-events", protocol="sse", cases=plays("no-events"), covers=(60, 78), source=INCOMPLETE, why="A stream with nothing in it looks like a model with nothing to say.")
async def no_events(stage: Stage, play: Play) -> None:
    """A stream that ends before its first event is an error."""
    await stage.plain_stream()
    run = await stage.stream(play)
    run.must_raise("the stream held no event")


@clause("stream/cut-mid-event", cases=plays("cut-mid-event"), covers=(61,), source=INCOMPLETE, why="Half a JSON object is skipped by clients that skip what they cannot parse.")
async def cut_mid_event(stage: Stage, play: Play) -> None:
    """A body that ends inside an event is an error."""
    await stage.plain_stream()
    run = await stage.stream(play)
    run.must_raise("the body ended inside an event")


@clause("stream/connection-lost", cases=plays("connection-cut", "connection-reset"), covers=(62,), source="https://github.com/openai/openai-python/issues/3440",
        why="A lost connection that is taken for the end gives half an answer.")  # fmt: skip
async def connection_lost(stage: Stage, play: Play) -> None:
    """A connection that closes or is reset before the body is complete is an error; text that had arrived was delivered."""
    await stage.plain_stream()
    run = await stage.stream(play)
    run.must_raise("the connection was lost")
    said = "".join(one for one in run.pieces if isinstance(one, str))
    whole = "Hello, world!"
    if not whole.startswith(said):
        raise Broken(f"before the connection was lost {said!r} came out; the server had begun {whole!r}", run.wire)
    if not said and play.name == "connection-cut":  # a reset may take what had arrived with it
        raise Broken("nothing came out of what had arrived before the connection was lost", run.wire)


# ---- errors inside a 200 ------------------------------------------------------------------------------------------

ERROR_SOURCE = "https://github.com/open-octo/octo-agent/pull/910"
ERROR_MOCKS = ("error-object", "error-object-no-done")


def fails(name: str, *mocks: str, why: str, covers: tuple[int, ...], source: str = ERROR_SOURCE, protocol: str | None = "sse"):  # type: ignore[no-untyped-def]
    """A clause judged by whether an error comes out of a play."""
    return clause(f"stream/{name}", protocol=protocol, cases=plays(*mocks, cuts=("events", "random")), source=source, covers=covers, why=why)


async def _must_fail(stage: Stage, play: Play, why: str) -> None:
    await stage.plain_stream()
    run = await stage.stream(play)
    run.must_raise(why)


@fails("error-object", *ERROR_MOCKS, why="An error in the middle of a stream comes with status 200, because the status was sent long before.", covers=(71,))
async def error_object(stage: Stage, play: Play) -> None:
    """`data: {"error": {…}}` is an error, with and without [DONE] behind it."""
    await _must_fail(stage, play, "the stream carried an error object")


@fails("error-text", "error-string", why="Gateways write `error` as text as well as as an object.", covers=(72,))
async def error_text(stage: Stage, play: Play) -> None:
    """`error` that is text is an error too."""
    await _must_fail(stage, play, "the stream carried an error")


@fails("error-event", "error-event", why="Groq sends `event: error`; a client that reads only the data of messages sees nothing.", covers=(72,),
       source="https://console.groq.com/docs/tool-use")  # fmt: skip
async def error_event(stage: Stage, play: Play) -> None:
    """An event of type `error` is an error."""
    await _must_fail(stage, play, "the stream carried an event of type error")


@fails("error-with-choices", "error-with-choices", why="OpenRouter puts the error beside ordinary choices, with finish_reason error.", covers=(73,),
       source="https://github.com/diegosouzapw/OmniRoute/pull/8210")  # fmt: skip
async def error_with_choices(stage: Stage, play: Play) -> None:
    """An error that stands beside ordinary choices is an error, whatever else the chunk holds."""
    await _must_fail(stage, play, "a chunk carried an error beside its choices")


@fails("error-in-choice", "error-in-choice", why="Some gateways report a provider's failure inside the choice.", covers=(74,), source="https://github.com/nodetool-ai/nodetool/pull/5755")
async def error_in_choice(stage: Stage, play: Play) -> None:
    """`choices[0].error` is an error."""
    await _must_fail(stage, play, "a choice carried an error")


@fails("error-first", "error-first", why="A prompt that is too long can be a 200 with one event.", covers=(75,), source="https://github.com/sgl-project/sglang/issues/12081")
async def error_first(stage: Stage, play: Play) -> None:
    """An error that is the first and only event of a 200 is an error."""
    await _must_fail(stage, play, "the only event was an error")


@fails("error-after-finish", "error-after-finish", why="An error that follows the finish reason says that the reply is not to be trusted.", covers=(71,), source=INTERFACE)
async def error_after_finish(stage: Stage, play: Play) -> None:
    """An error after the finish reason is still an error."""
    await _must_fail(stage, play, "an error followed the finish reason")


@fails("malformed-chunk", "malformed-chunk", "chunk-not-an-object", why="A chunk that is skipped is a token that is lost.", covers=(76,), source=INTERFACE)
async def malformed_chunk(stage: Stage, play: Play) -> None:
    """A chunk that is not a JSON object is an error; it is never skipped."""
    await _must_fail(stage, play, "a chunk was not a JSON object")


@clause("stream/words-kept", protocol="sse", cases=plays("error-object", "error-string", "error-event", "error-with-choices", "error-in-choice", "error-first"),
        covers=(71, 142), source=ERROR_SOURCE, why="'Something went wrong' costs an afternoon; 'quota drained' does not.")  # fmt: skip
async def words_kept(stage: Stage, play: Play) -> None:
    """The error keeps the words in which the server reported it."""
    await stage.plain_stream()
    run = await stage.stream(play)
    if run.error is None:
        raise NotApplicable("no error was raised: see the clause about that")
    run.must_keep_words("upstream exploded: quota drained")


@clause("stream/json-reply", protocol="sse", cases=plays("json-for-a-stream"), covers=(77,), source=INTERFACE, why="A proxy that ignores `stream` answers in one piece; an SSE parser finds no event in it.")
async def json_reply(stage: Stage, play: Play) -> None:
    """A reply in one piece to a stream request is read as such, or is an error; it is never an empty reply."""
    await stage.plain_stream()
    run = await stage.stream(play)
    if run.error is None and run.text != run.reading.text:
        raise Broken(f"the server sent one JSON reply, and {run.operation} gave {run.given}", run.wire)
    if run.error is not None and type(run.error).__name__ == "Hung":
        run.must_not_raise()


@clause("stream/not-a-stream", cases=plays("html-200", "empty-200", "error-200"), covers=(78, 75), source=INTERFACE, why="A login page with status 200 has no `data:` lines, so the reply is empty and nobody knows why.")
async def not_a_stream(stage: Stage, play: Play) -> None:
    """A 200 that is no stream (a page, nothing at all, an error object) is an error."""
    await stage.plain_stream()
    run = await stage.stream(play)
    run.must_raise("the reply was no stream")


# ---- reasoning, refusals, tool calls ------------------------------------------------------------------------------


@keeps("reasoning-apart", "reasoning-content", "reasoning-field", "reasoning-twice", "thinking-parts", why="Thoughts read aloud by a voice agent.",
       source="https://github.com/BerriAI/litellm/pull/24019", covers=(79,))  # fmt: skip
async def reasoning_apart(stage: Stage, play: Play) -> None:
    """Reasoning (`reasoning_content`, `reasoning`, thinking parts) never gets into the text."""
    await same_text(stage, play)


@clause("stream/reasoning-result", protocol="sse", cases=plays("reasoning-content", "reasoning-field", "reasoning-twice"), covers=(79,), source="https://github.com/azrtydxb/Fastllm-proxy/issues/23",
        why="Both spellings are in use; when both are sent, the text is the same and counts once.")  # fmt: skip
async def reasoning_result(stage: Stage, play: Play) -> None:
    """A backend that declares `reasoning` gives it in stats["reasoning"], from either field and once."""
    needs_result(stage, "reasoning")
    run = await stage.stream(play)
    run.must_not_raise()
    given = (run.stats or {}).get("reasoning")
    if given != run.reading.reasoning:
        raise Broken(f"stats['reasoning'] is {given!r}; the server said {run.reading.reasoning!r}", run.wire)


def needs_result(stage: Stage, name: str) -> None:
    """Raise NotApplicable unless the backend declares an optional result."""
    if stage.declared.can(name) != "yes":
        raise NotApplicable(f"the backend does not declare {name} = \"yes\"")


@clause("stream/reasoning-only", protocol="sse", cases=plays("reasoning-only"), covers=(80,), source="https://github.com/juspay/neurolink/pull/1073",
        why="`max_tokens` was used up by thinking: an empty text and no sign of why.")  # fmt: skip
async def reasoning_only(stage: Stage, play: Play) -> None:
    """A reply that is all reasoning can be told from an empty one: by the finish reason, the reasoning, or an error."""
    if "yes" not in (stage.declared.can("done_reason"), stage.declared.can("reasoning")):
        raise NotApplicable('the backend declares neither done_reason nor reasoning = "yes"')
    await stage.plain_stream()
    run = await stage.stream(play)
    stats = run.stats or {}
    if run.error is None and stats.get("done_reason") != "length" and not stats.get("reasoning"):
        raise Broken(f"the reply was all reasoning, and {run.operation} gave {run.given}, stats {stats}", run.wire)


@clause("stream/finish-reason", cases=plays("hello", "length", "unknown-finish"), covers=(70, 101), source="https://github.com/Gitlawb/openclaude/pull/1174",
        why="Without it nobody can tell a short answer from one that was cut off.")  # fmt: skip
async def finish_reason(stage: Stage, play: Play) -> None:
    """A backend that declares `done_reason` gives the server's finish reason in stats["done_reason"]."""
    needs_result(stage, "done_reason")
    await stage.plain_stream()
    run = await stage.stream(play)
    run.must_not_raise()
    given = (run.stats or {}).get("done_reason")
    if given != run.reading.finish:
        raise Broken(f"stats['done_reason'] is {given!r}; the server said {run.reading.finish!r}", run.wire)


CALLING = ("tool_calls", "tool_call", "function_call")
"""Finish reasons that say that a tool was called."""


def _signalled(run: Run) -> None:
    stats = run.stats or {}
    wanted = run.reading
    if wanted.tool_calls and not stats.get("tool_calls") and stats.get("done_reason") not in CALLING:
        raise Broken(f"the reply was a tool call, and {run.operation} gave {run.given}, stats {stats}", run.wire)


@clause("stream/tool-calls-signalled", cases=plays("tool-call", "two-tool-calls"), covers=(93, 86), source=INTERFACE,
        why="A stream of tool calls that nobody asked for looks like a model with nothing to say.")  # fmt: skip
async def tool_calls_signalled(stage: Stage, play: Play) -> None:
    """Tool calls where only text was asked for are signalled, in `stats` or by an error; the reply never looks complete and empty."""
    await stage.plain_stream()
    run = await stage.stream(play)
    if run.error is not None:
        return
    stats = run.stats or {}
    if not stats.get("tool_calls") and stats.get("done_reason") not in CALLING:
        raise Broken(f"the reply was a tool call, and {run.operation} gave {run.given}, stats {stats}", run.wire)


@clause("stream/refusal-signalled", protocol="sse", cases=plays("refusal"), covers=(82,), source=OPENAI, why="A refusal in its own field leaves the content empty.")
async def refusal_signalled(stage: Stage, play: Play) -> None:
    """A refusal is signalled: by an error, in `stats`, or as text; never an empty success."""
    await stage.plain_stream()
    run = await stage.stream(play)
    if run.error is None and not run.text and "help with that" not in str(run.stats):
        raise Broken(f"the model refused, and {run.operation} gave {run.given}, stats {run.stats}", run.wire)


@clause("stream/unicode", cases=plays("unicode", "sse-unicode-separators", cuts=THREE), covers=(48, 50), source=OPENAI, why="Text is text.")
async def unicode_text(stage: Stage, play: Play) -> None:
    """Other scripts, emoji and odd separators come through a stream unchanged."""
    await same_text(stage, applicable(stage, play))
