"""Streams that break off or report an error: each is an error to the caller, whatever the status said."""

from __future__ import annotations

from onpaper.clauses import INTERFACE, clause
from onpaper.clauses.conditions import plain_stream
from onpaper.driving.play import Play, plays
from onpaper.driving.run import Hung
from onpaper.driving.stage import Stage
from onpaper.driving.verdict import Broken, NotApplicable

INCOMPLETE = "https://github.com/griffinwork40/agent-afk/pull/635"


@clause("stream/truncated", protocol="sse", cases=plays("truncated", "truncated-empty", "truncated-with-usage", "truncated-at-a-full-stop", "truncated-but-for-the-second", cuts=("events", "random")), covers=(60,), source=INCOMPLETE,
        why="All seven clients measured report half an answer as a whole one.")  # fmt: skip
async def truncated(stage: Stage, play: Play) -> None:
    """A stream that ends with neither a finish reason of its choice nor [DONE] is an error, whatever counts it
    carried and however its text ends.

    Remember whether you saw either; at the end of the body, raise if not, with the partial text on the exception.
    """
    await plain_stream(stage)
    run = await stage.stream(play)
    run.must_raise("the stream ended with neither a finish reason nor [DONE]")


@clause("stream/no-events", protocol="sse", cases=plays("no-events"), covers=(60, 78), source=INCOMPLETE, why="A stream with nothing in it looks like a model with nothing to say.")
async def no_events(stage: Stage, play: Play) -> None:
    """A stream that ends before its first event is an error."""
    await plain_stream(stage)
    run = await stage.stream(play)
    run.must_raise("the stream held no event")


@clause("stream/cut-mid-event", cases=plays("cut-mid-event"), covers=(61,), source=INCOMPLETE, why="Half a JSON object is skipped by clients that skip what they cannot parse.")
async def cut_mid_event(stage: Stage, play: Play) -> None:
    """A body that ends inside an event is an error."""
    await plain_stream(stage)
    run = await stage.stream(play)
    run.must_raise("the body ended inside an event")


@clause("stream/connection-lost", cases=plays("connection-cut", "connection-reset"), covers=(62,), source="https://github.com/openai/openai-python/issues/3440",
        why="A lost connection that is taken for the end gives half an answer.")  # fmt: skip
async def connection_lost(stage: Stage, play: Play) -> None:
    """A connection that closes or is reset before the body is complete is an error; text that had arrived was delivered."""
    await plain_stream(stage)
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
    await plain_stream(stage)
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
    await plain_stream(stage)
    run = await stage.stream(play)
    if run.error is None:
        raise NotApplicable("no error was raised: see the clause about that")
    run.must_keep_words("upstream exploded: quota drained")


@clause("stream/json-reply", protocol="sse", cases=plays("json-for-a-stream"), covers=(77,), source=INTERFACE, why="A proxy that ignores `stream` answers in one piece; an SSE parser finds no event in it.")
async def json_reply(stage: Stage, play: Play) -> None:
    """A reply in one piece to a stream request is read as such, or is an error; it is never an empty reply."""
    await plain_stream(stage)
    run = await stage.stream(play)
    if run.error is None and run.text != run.reading.text:
        raise Broken(f"the server sent one JSON reply, and {run.operation} gave {run.given}", run.wire)
    if isinstance(run.error, Hung):
        run.must_not_raise()


@clause("stream/not-a-stream", cases=plays("html-200", "empty-200", "no-content", "error-200"), covers=(78, 75), source=INTERFACE, why="A login page with status 200 has no `data:` lines, so the reply is empty and nobody knows why.")
async def not_a_stream(stage: Stage, play: Play) -> None:
    """A success that is no stream (a page, nothing at all, an error object) is an error."""
    await plain_stream(stage)
    run = await stage.stream(play)
    run.must_raise("the reply was no stream")
