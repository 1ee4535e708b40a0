"""HTTP/1.1 below the replies: written in any form that it allows, and one reply after another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from onpaper.clauses import Case, clause
from onpaper.clauses.conditions import applicable, plain_complete, plain_stream
from onpaper.clauses.connection import closing
from onpaper.driving.acts import completing, opened, streaming
from onpaper.driving.play import Play, answer_of
from onpaper.driving.run import Run
from onpaper.driving.stage import HELLO, Stage
from onpaper.driving.verdict import Broken
from onpaper.exchange import Request
from onpaper.script import Script, Write


def _head(script: Script, *more: tuple[str, str]) -> bytes:
    """The head of a script, with names as most servers write them: `Content-Type`."""
    lines = [f"HTTP/1.1 {script.status} OK", *(f"{name.title()}: {value}" for name, value in (*script.headers, *more))]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _names(script: Script) -> Script:
    length = ("content-length", str(len(script.body))) if script.transfer == "length" else ("transfer-encoding", "chunked")
    return replace(script, head=_head(script, length))


def _chunks(script: Script) -> Script:
    """Sizes in capitals and with leading zeros, extensions nobody knows, and a field behind the last chunk."""
    chunks = [b"0%X;note=1\r\n%b\r\n" % (len(one.data), one.data) for one in script.writes if one.data]
    end = b"0;note=2\r\nX-Took: 1\r\n\r\n"
    writes = tuple(Write(data, raw=True) for data in (*chunks, end))
    return replace(script, head=_head(script, ("transfer-encoding", "chunked")), writes=writes, transfer="close", joined=False)


def _interim(script: Script) -> Script:
    return replace(script, preface=(Write(b"HTTP/1.1 100 Continue\r\n\r\n", raw=True),))


def _until_closed(script: Script) -> Script:
    return replace(script, transfer="close")


FORMS: dict[str, Callable[[Script], Script]] = {"names": _names, "chunks": _chunks, "interim": _interim, "until-closed": _until_closed}


@clause("connection/forms-of-http", cases=tuple(Case(f"{method}-{form}", (method, form)) for method in ("stream", "complete") for form in FORMS),
        source="https://www.rfc-editor.org/rfc/rfc9112#section-7.1", why="A client that has been tried with one server knows how that one writes; the next stands behind another proxy.")  # fmt: skip
async def forms(stage: Stage, case: Case) -> None:
    """A reply is the same in whichever form HTTP/1.1 lets a server write it: names of headers in any case, chunk sizes in
    capitals and with extensions, fields behind the last chunk, an interim 100 before the reply, a body that ends with the
    connection.

    Leave HTTP to a library; `dict(response.headers)` forgets that names are compared without regard to case.
    """
    method, form = case.value
    await (plain_stream(stage) if method == "stream" else plain_complete(stage))
    answer = answer_of(HELLO, stage.contract)
    run = await stage.drive(f"{method}()", streaming() if method == "stream" else completing(), lambda request: FORMS[form](answer(request)))
    run.must_say("Hello, world!")


SPOILT = [{"role": "user", "content": "Say something else."}]
ENDS_BADLY = ("error-object", "malformed-chunk", "cut-mid-event", "truncated", "ndjson-error-line", "ndjson-malformed-line", "ndjson-truncated")
LEFT = "left-early"


@clause("connection/next-reply", cases=tuple(map(Case, (*ENDS_BADLY, LEFT))), source="https://www.rfc-editor.org/rfc/rfc9112#section-9.3",
        why="What is left of one reply, on its connection or in the client's buffer, is read as the beginning of somebody else's.")  # fmt: skip
async def next_reply(stage: Stage, case: Case) -> None:
    """The call after a stream that failed, or that the caller left, gets its own reply.

    Use a connection again only when the reply on it was read to its end, and make the parser anew for each call.
    """
    await plain_stream(stage)
    bad = answer_of(Play("long-answer") if case.id == LEFT else applicable(stage, Play(case.id)), stage.contract)
    good = answer_of(HELLO, stage.contract)

    def answer(request: Request) -> Script:
        return (bad if SPOILT[0]["content"].encode() in request.body else good)(request)

    async def act(backend: Any, run: Run) -> None:
        source = await opened(backend, SPOILT)
        try:
            async for _ in source:
                if case.id == LEFT:
                    await closing(source)
                    break
        except Exception as error:  # how it fails is for other clauses
            run.notes["failed"] = error
        async for piece in await opened(backend):
            run.pieces.append(piece)

    run = await stage.drive("stream()", act, answer)
    run.must_not_raise()
    if run.text != "Hello, world!":
        raise Broken(f"after a stream that {'was left' if case.id == LEFT else 'failed'} the next gave {run.text[:300]!r}; the server said 'Hello, world!'")
