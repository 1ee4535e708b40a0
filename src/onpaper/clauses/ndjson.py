"""Ollama's own chat protocol: NDJSON, one object a line, the last one says done."""

from __future__ import annotations

from onpaper.clauses import NDJSON, clause
from onpaper.clauses.conditions import plain_complete, plain_stream
from onpaper.clauses.sse import same_text
from onpaper.driving.play import CUTS, Play, plays
from onpaper.driving.stage import Stage
from onpaper.driving.verdict import Broken, NotApplicable


def keeps(name: str, *mocks: str, why: str, covers: tuple[int, ...] = (), cuts: tuple[str, ...] = ("events", "random")):  # type: ignore[no-untyped-def]
    """A clause judged by the text and usage that come out."""
    return clause(f"ndjson/{name}", protocol="ndjson", cases=plays(*mocks, cuts=cuts), source=NDJSON, covers=covers, why=why)


@keeps("any-cut", "hello", "unicode", "long-answer", why="Lines are cut by reads wherever the network likes.", covers=(47, 48), cuts=CUTS)
async def any_cut(stage: Stage, play: Play) -> None:
    """However the bytes are cut, the text and the counts are the same."""
    await same_text(stage, play)


@keeps("unicode-separators", "sse-unicode-separators", why="str.splitlines cuts at U+2028 and U+0085: two halves that are not JSON.", covers=(50,), cuts=CUTS)
async def unicode_separators(stage: Stage, play: Play) -> None:
    """Only LF ends a line; U+2028, U+2029 and U+0085 are text."""
    await same_text(stage, play)


@keeps("crlf", "ndjson-crlf", why="A proxy may end lines with CRLF; CR is white space to JSON.", covers=(39,))
async def crlf(stage: Stage, play: Play) -> None:
    """Lines may end in CRLF."""
    await same_text(stage, play)


@keeps("blank-lines", "ndjson-blank-lines", why="An empty line is not JSON, and not a message.", covers=(52,))
async def blank_lines(stage: Stage, play: Play) -> None:
    """Blank lines are passed over."""
    await same_text(stage, play)


@keeps("no-last-newline", "ndjson-no-last-newline", why="The last line carries the counts; without its newline a line reader may never hand it on.", covers=(54,))
async def no_last_newline(stage: Stage, play: Play) -> None:
    """The last line counts without its newline."""
    await same_text(stage, play)


@keeps("message-missing", "ndjson-message-missing", why="A line may carry only state.", covers=(66,))
async def message_missing(stage: Stage, play: Play) -> None:
    """A line without a message yields nothing."""
    await same_text(stage, play)


@keeps("text-in-last-line", "ndjson-text-in-last-line", why="The last words are lost when `done` is looked at first.", covers=(68,))
async def text_in_last_line(stage: Stage, play: Play) -> None:
    """Text in the line that says done is delivered."""
    await same_text(stage, play)


@keeps("thinking-apart", "ndjson-thinking", why="Thoughts are not the answer.", covers=(79,))
async def thinking_apart(stage: Stage, play: Play) -> None:
    """`thinking` never gets into the text."""
    await same_text(stage, play)


@keeps("unknown-keys", "ndjson-unknown-keys", why="New versions add keys.", covers=(85,))
async def unknown_keys(stage: Stage, play: Play) -> None:
    """Keys nobody knows are ignored."""
    await same_text(stage, play)


def fails(name: str, *mocks: str, why: str, covers: tuple[int, ...]):  # type: ignore[no-untyped-def]
    """A clause judged by whether an error comes out."""
    return clause(f"ndjson/{name}", protocol="ndjson", cases=plays(*mocks, cuts=("events", "random")), source=NDJSON, covers=covers, why=why)


@fails("truncated", "ndjson-truncated", why="A stream that stops before `done` is half an answer.", covers=(60,))
async def truncated(stage: Stage, play: Play) -> None:
    """A stream that ends without a line that says done is an error."""
    await plain_stream(stage)
    run = await stage.stream(play)
    run.must_raise("no line said done")


@fails("error-line", "ndjson-error-line", "ndjson-error-first", "ndjson-error-object", why="An engine that fails in the middle writes {\"error\": …} under the status 200.", covers=(71, 75, 151))
async def error_line(stage: Stage, play: Play) -> None:
    """A line with `error`, text or object, is an error that keeps the server's words."""
    await plain_stream(stage)
    run = await stage.stream(play)
    run.must_raise("a line carried an error")
    run.must_keep_words("upstream exploded: quota drained")


@fails("malformed-line", "ndjson-malformed-line", why="A line that is skipped is a token that is lost.", covers=(76,))
async def malformed_line(stage: Stage, play: Play) -> None:
    """A line that is not JSON is an error; it is never skipped."""
    await plain_stream(stage)
    run = await stage.stream(play)
    run.must_raise("a line was not JSON")


@clause("ndjson/reply-error", protocol="ndjson", cases=plays("ndjson-reply-error"), covers=(96, 151), source=NDJSON, why="The same in one piece.")
async def reply_error(stage: Stage, play: Play) -> None:
    """An error object with status 200 is an error in complete() too, with the server's words."""
    await plain_complete(stage)
    run = await stage.complete(play)
    run.must_raise("the reply was an error object")
    run.must_keep_words("upstream exploded: quota drained")


@clause("ndjson/reply-not-done", level="should", protocol="ndjson", cases=plays("ndjson-reply-not-done"), covers=(60, 95), source=NDJSON, why="A first line that is taken for the whole reply is half an answer.")
async def reply_not_done(stage: Stage, play: Play) -> None:
    """A reply in one piece that does not say done is an error."""
    await plain_complete(stage)
    run = await stage.complete(play)
    run.must_raise("the reply does not say done")


@clause("ndjson/counts-missing", protocol="ndjson", cases=plays("ndjson-counts-missing"), covers=(114,), source=NDJSON, why="A cached prompt is not counted again.")
async def counts_missing(stage: Stage, play: Play) -> None:
    """A last line without counts leaves them unknown; no number is made up."""
    await plain_stream(stage)
    run = await stage.stream(play)
    run.must_say()
    stats = run.stats or {}
    for name in ("prompt_tokens", "completion_tokens"):
        if stats.get(name):
            raise Broken(f"stats[{name!r}] is {stats[name]!r}; the server said nothing", run.wire)
    if not stats:
        raise NotApplicable("the backend gives no stats")
