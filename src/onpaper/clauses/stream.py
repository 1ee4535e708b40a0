"""What the chunks of a chat stream mean, and when a stream is complete."""

from __future__ import annotations

import json
from dataclasses import replace

from onpaper.answer import Provider
from onpaper.clauses import INTERFACE, OPENAI, Case, clause
from onpaper.clauses.conditions import applicable, needs_recorded_way, needs_result, plain_stream
from onpaper.clauses.sse import same_text
from onpaper.contract import Contract
from onpaper.driving.acts import streaming
from onpaper.driving.play import Play, answer_of, plays, recut
from onpaper.driving.run import Run
from onpaper.driving.stage import Stage
from onpaper.driving.verdict import Broken, NotApplicable
from onpaper.exchange import Request
from onpaper.mock import Mock
from onpaper.script import Script

WRAPPED = ("wrapped-in-a-fence", "wrapped-in-quotes", "text-that-is-json")
"""Texts that invite somebody to unwrap them."""
FILTERED = "content-filter"
THREE = ("events", "bytewise", "random")


def keeps(name: str, *mocks: str, why: str, source: str, covers: tuple[int, ...], cuts: tuple[str, ...] = ("events", "random")):  # type: ignore[no-untyped-def]
    """A clause judged by the text, the usage and the end that come out of a play."""
    return clause(f"stream/{name}", protocol="sse", cases=plays(*mocks, cuts=cuts), source=source, covers=covers, why=why)


@clause("stream/text", cases=plays("hello", "long-answer", "verbatim", "pieces-that-look-empty", *WRAPPED, cuts=("events", "whole")), covers=(47, 56), source=OPENAI,
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
    needs_recorded_way(run, tape.messages, stream=True)
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


@keeps("any-object", "object-absent", "object-odd", why="A client that looks for chat.completion.chunk in it loses every chunk of a server that leaves it out, or copied it from another endpoint.",
       source="https://github.com/NVIDIA/TensorRT-Edge-LLM/issues/93", covers=(85,))  # fmt: skip
async def any_object(stage: Stage, play: Play) -> None:
    """A chunk counts whatever its `object` says, and without one.

    Look at what a chunk holds, not at how it is named.
    """
    await same_text(stage, play)


@keeps("index-absent", "index-absent", why="A gateway that leaves it out has one choice, and that is the reply.", source="https://github.com/songquanpeng/one-api/issues/1037", covers=(84,))
async def index_absent(stage: Stage, play: Play) -> None:
    """A choice without an `index` is the reply."""
    await same_text(stage, play)


@keeps("error-null", "error-null", why="Some servers write every key that they know on each chunk: `error` too, as null.", source="https://github.com/microsoft/foundry-local/issues/263", covers=(71, 85))
async def error_null(stage: Stage, play: Play) -> None:
    """`error` that is null beside ordinary choices is no error."""
    await same_text(stage, play)


@clause("stream/empty-answer", cases=plays("empty-answer"), covers=(66,), source=OPENAI, why="A model may say nothing; that is no error.")
async def empty_answer(stage: Stage, play: Play) -> None:
    """A stream that ends properly without text is an empty reply, not an error."""
    await plain_stream(stage)
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
    await plain_stream(stage)
    if not stage.contract.get("stream.sentinel"):
        raise NotApplicable("the provider sends no [DONE]: a client has to wait for the end of the body")
    answer = answer_of(play, stage.contract)

    def hanging(request: Request) -> Script:
        return _silent_after(answer(request))

    run = await stage.drive("stream()", streaming(), hanging, patience=2.0)
    run.must_say()


# ---- reasoning, refusals, tool calls ------------------------------------------------------------------------------


@keeps("reasoning-apart", "reasoning-content", "reasoning-field", "reasoning-twice", "thinking-parts", "reasoning-beside-text", "reasoning-only", why="Thoughts read aloud by a voice agent.",
       source="https://github.com/BerriAI/litellm/pull/24019", covers=(79,))  # fmt: skip
async def reasoning_apart(stage: Stage, play: Play) -> None:
    """Reasoning (`reasoning_content`, `reasoning`, thinking parts) never gets into the text, also where there is no other,
    and takes none of it away.
    """
    if play.name == "reasoning-only":
        await plain_stream(stage)
        no_thoughts(await stage.stream(play))
        return
    await same_text(stage, play)


def no_thoughts(run: Run) -> None:
    """Demand of a reply that is all reasoning that none of it is text; it may be an error."""
    if run.error is None and run.text:
        raise Broken(f"the reply was all reasoning, and {run.operation} gave it as the text {run.text[:300]!r}", run.wire)


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


@clause("stream/reasoning-only", protocol="sse", cases=plays("reasoning-only"), covers=(80,), source="https://github.com/juspay/neurolink/pull/1073",
        why="`max_tokens` was used up by thinking: an empty text and no sign of why.")  # fmt: skip
async def reasoning_only(stage: Stage, play: Play) -> None:
    """A reply that is all reasoning can be told from an empty one: by the finish reason, the reasoning, or an error."""
    if "yes" not in (stage.declared.can("done_reason"), stage.declared.can("reasoning")):
        raise NotApplicable('the backend declares neither done_reason nor reasoning = "yes"')
    await plain_stream(stage)
    run = await stage.stream(play)
    stats = run.stats or {}
    if run.error is None and stats.get("done_reason") != "length" and not stats.get("reasoning"):
        raise Broken(f"the reply was all reasoning, and {run.operation} gave {run.given}, stats {stats}", run.wire)


@clause("stream/finish-reason", cases=plays("hello", "length", "unknown-finish", "second-choice-ends-otherwise", FILTERED), covers=(70, 101), source="https://github.com/Gitlawb/openclaude/pull/1174",
        why="Without it nobody can tell a short answer from one that was cut off.")  # fmt: skip
async def finish_reason(stage: Stage, play: Play) -> None:
    """A backend that declares `done_reason` gives the server's finish reason in stats["done_reason"], that of the choice
    which is the reply.

    Hand it on as it is; a reply that a filter ended may be an error instead.
    """
    needs_result(stage, "done_reason")
    await plain_stream(stage)
    run = await stage.stream(applicable(stage, play))
    if play.name == FILTERED and isinstance(run.error, Exception):
        raise NotApplicable("a reply that the filter ended is an error, as it may be")
    run.must_not_raise()
    given = (run.stats or {}).get("done_reason")
    if given != run.reading.finish:
        raise Broken(f"stats['done_reason'] is {given!r}; the server said {run.reading.finish!r}", run.wire)


@keeps("text-beside-tool-call", "text-beside-tool-call", "text-beside-no-calls", why="A client that looks for tool calls first passes over the text that came with them.",
       source="https://github.com/endolith/open-interpreter/issues/316", covers=(68, 86))  # fmt: skip
async def text_beside_tool_call(stage: Stage, play: Play) -> None:
    """Text in a chunk that carries a tool call too, or an empty list of them, is delivered."""
    if play.name == "text-beside-tool-call":
        apart = await stage.stream(Play("tool-call-after-text"))
        if apart.error is not None or apart.text != apart.reading.text:
            raise NotApplicable("the backend refuses tool calls in a stream, as it may, or loses text before them: see sse/any-cut")
    await same_text(stage, play)


MANY = tuple(f"word{number} " for number in range(2_000))


@clause("stream/many-pieces", cases=(Case("two-thousand"),), covers=(47,), source=INTERFACE, why="A count that somebody once thought was large enough cuts a long answer off, and nobody is told.")
async def many_pieces(stage: Stage, case: Case) -> None:
    """A stream of two thousand pieces comes through whole."""
    await plain_stream(stage)
    provider = Provider(stage.contract, Mock.of({"about": "Two thousand pieces", "reply": [{"text": list(MANY)}]}), strict=False)

    def unlimited(request: Request) -> Script:
        """The whole answer, whatever limit the client has set itself."""
        asked = {key: value for key, value in request.json().items() if key in ("model", "messages", "stream", "stream_options")}
        return recut(provider(replace(request, body=json.dumps(asked).encode())), "whole")

    run = await stage.drive("stream()", streaming(), unlimited)
    run.must_not_raise()
    if run.text != "".join(MANY):
        raise Broken(f"{len(MANY)} pieces were sent, {len(run.text)} of {len(''.join(MANY))} characters came out")


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
    await plain_stream(stage)
    run = await stage.stream(play)
    if run.error is not None:
        return
    stats = run.stats or {}
    if not stats.get("tool_calls") and stats.get("done_reason") not in CALLING:
        raise Broken(f"the reply was a tool call, and {run.operation} gave {run.given}, stats {stats}", run.wire)


@clause("stream/refusal-signalled", protocol="sse", cases=plays("refusal"), covers=(82,), source=OPENAI, why="A refusal in its own field leaves the content empty.")
async def refusal_signalled(stage: Stage, play: Play) -> None:
    """A refusal is signalled: by an error, in `stats`, or as text; never an empty success."""
    await plain_stream(stage)
    run = await stage.stream(play)
    if run.error is None and not run.text and "help with that" not in str(run.stats):
        raise Broken(f"the model refused, and {run.operation} gave {run.given}, stats {run.stats}", run.wire)


@clause("stream/unicode", cases=plays("unicode", "unicode-marks", "sse-unicode-separators", cuts=THREE), covers=(48, 50), source=OPENAI, why="Text is text.")
async def unicode_text(stage: Stage, play: Play) -> None:
    """Other scripts, emoji, odd separators, marks and characters that nobody sees come through a stream unchanged."""
    await same_text(stage, applicable(stage, play))
