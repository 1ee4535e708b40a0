"""Replies in a content coding: what a client says that it accepts, it has to read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from onpaper.clauses import Case, clause
from onpaper.clauses.conditions import plain_complete, plain_stream
from onpaper.driving.acts import completing, streaming
from onpaper.driving.play import Play, answer_of, plays
from onpaper.driving.run import Run
from onpaper.driving.stage import HELLO, Stage
from onpaper.driving.verdict import Broken, NotApplicable
from onpaper.exchange import Request
from onpaper.gateway.faults.coding import coded
from onpaper.script import Script
from onpaper.wire.coding import accepts

CODED = "https://www.rfc-editor.org/rfc/rfc9110#section-8.4"
ACCEPTED = "https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3"
REFUSED = "error-gzip"
OTHERS = (Case("deflate"), Case("br"), Case("zstd"))


@clause("reply/gzip", cases=plays("sse-gzip", REFUSED), covers=(55,), source=CODED,
        why="A compressing proxy stands in front of many gateways; a client that says it accepts gzip has to read it.")  # fmt: skip
async def reply_in_gzip(stage: Stage, play: Play) -> None:
    """A reply in one piece that is compressed with gzip is decoded, and so is an error's body, if the client said that it accepts gzip."""
    await plain_complete(stage)
    plain = await _accepting(stage.complete, "gzip")
    run = await stage.complete(play)
    if play.name == REFUSED:
        run.must_keep_words("upstream exploded: quota drained")
    else:
        _must_decode(run, plain)


@clause("sse/gzip", cases=plays("sse-gzip", REFUSED), covers=(55,), source=CODED,
        why="A compressing proxy stands in front of many gateways; a client that says it accepts gzip has to read it.")  # fmt: skip
async def stream_in_gzip(stage: Stage, play: Play) -> None:
    """A stream compressed with gzip is decoded, and so is the body of an error in its place, if the client said that it accepts gzip."""
    await plain_stream(stage)
    plain = await _accepting(stage.stream, "gzip")
    run = await stage.stream(play)
    if play.name == REFUSED:
        run.must_keep_words("upstream exploded: quota drained")
    else:
        _must_decode(run, plain)


@clause("reply/promised-coding", cases=OTHERS, covers=(55,), source=ACCEPTED,
        why="`Accept-Encoding: gzip, deflate, br, zstd` is copied from a browser; the day a proxy takes it at its word, every reply is noise.")  # fmt: skip
async def reply_in_promised_coding(stage: Stage, case: Case) -> None:
    """A reply in one piece is decoded from whatever coding the client's Accept-Encoding names.

    Name only what can be decoded; best leave the header to the HTTP library.
    """
    await plain_complete(stage)
    plain = await _accepting(stage.complete, case.id)
    _must_decode(await stage.drive("complete()", completing(), _hello_in(stage, case.id)), plain)


@clause("sse/promised-coding", cases=OTHERS, covers=(55,), source=ACCEPTED,
        why="`Accept-Encoding: gzip, deflate, br, zstd` is copied from a browser; the day a proxy takes it at its word, every stream is noise.")  # fmt: skip
async def stream_in_promised_coding(stage: Stage, case: Case) -> None:
    """A stream is decoded from whatever coding the client's Accept-Encoding names.

    Name only what can be decoded; best leave the header to the HTTP library.
    """
    await plain_stream(stage)
    plain = await _accepting(stage.stream, case.id)
    _must_decode(await stage.drive("stream()", streaming(), _hello_in(stage, case.id)), plain)


async def _accepting(call: Callable[[], Awaitable[Run]], coding: str) -> Run:
    """An ordinary call of a client that names a coding. Raises NotApplicable for one that does not."""
    run = await call()
    if not accepts(run.chats[0].request.header("accept-encoding") if run.chats else "", coding):
        raise NotApplicable(f"the client does not accept {coding}")
    return run


def _hello_in(stage: Stage, coding: str) -> Callable[[Request], Script]:
    """The ordinary reply, coded."""
    answer = answer_of(HELLO, stage.contract)
    return lambda request: coded(answer(request), coding)


def _must_decode(run: Run, plain: Run) -> None:
    """Demand the text of the same reply without a coding."""
    run.must_not_raise()
    if run.text != plain.reading.text:
        raise Broken(f"the text came out as {run.text!r}; the server said {plain.reading.text!r}", run.wire)
