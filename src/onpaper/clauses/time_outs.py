"""Time-outs, of backends that declare how theirs are set."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import Any

from onpaper.clauses import Case, clause
from onpaper.clauses.conditions import limited
from onpaper.clauses.connection import read
from onpaper.driving.acts import completing, streaming
from onpaper.driving.play import Play, answer_of
from onpaper.driving.run import Run
from onpaper.driving.stage import HELLO, Stage
from onpaper.exchange import Request
from onpaper.script import Script, Write

TIMES = "https://github.com/openai/openai-python/pull/3566"


@clause("connection/first-byte-time-out", timed=True, cases=(Case("stream"), Case("complete")), covers=(162,), source=TIMES, why="A server that accepts and then says nothing.")
async def first_byte(stage: Stage, case: Case) -> None:
    """A server that never answers is an error once the first-byte time-out has passed."""
    setup = limited(stage, "first_byte")
    act = streaming() if case.id == "stream" else completing()
    run = await stage.drive(f"{case.id}()", act, lambda _: Script(head=b"", end="hang"), setup, patience=4)
    run.must_raise("the server never answered")


@clause("connection/between-time-out", timed=True, covers=(162,), source=TIMES, why="A stream that falls silent in the middle of a sentence.")
async def between(stage: Stage, case: Case) -> None:
    """A stream that falls silent is an error once the time-out between chunks has passed."""
    setup = limited(stage, "between")
    run = await stage.drive("stream()", streaming(), Play("stall"), setup, patience=4)
    run.must_raise("the server fell silent")


@clause("connection/keep-alives-are-no-progress", timed=True, protocol="sse", covers=(163,), policy=True, source=TIMES, why="A proxy's keep-alive comments hide that the model behind it has died.")
async def keepalives(stage: Stage, case: Case) -> None:
    """Keep-alive comments do not count as progress: a stream of nothing else is an error once the time-out between chunks has passed."""
    setup = limited(stage, "between")
    answer = answer_of(HELLO, stage.contract)

    patience = 3.5
    enough = int(2 * patience * stage.slowness() / 0.04)

    def only_comments(request: Request) -> Script:
        script = answer(request)
        keepalive = Write(b": keep-alive\n\n", after=0.04)
        return replace(script, writes=(*script.writes[:2], *[keepalive] * enough), end="hang")

    run = await stage.drive("stream()", streaming(), only_comments, setup, patience=patience)
    run.must_raise("the server sent nothing but keep-alives")


@clause("connection/connect-time-out", timed=True, covers=(162,), source=TIMES, why="A firewall that drops packets instead of refusing them.")
async def connect_time_out(stage: Stage, case: Case) -> None:
    """A server that does not accept is an error once the connect time-out has passed."""
    setup = limited(stage, "connect")
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(8)]
        try:
            for one in fillers:
                one.setblocking(False)
                one.connect_ex(("127.0.0.1", port))

            async def act(backend: Any, run: Run) -> None:
                other = stage.factory(**{"model": stage.declared.model_name, **stage.declared.args, **dict(setup.args), "base_url": f"http://127.0.0.1:{port}"})
                try:
                    await read(other)
                finally:
                    if hasattr(other, "aclose"):
                        await other.aclose()

            run = await stage.drive("stream()", act, HELLO, setup, patience=4)
        finally:
            for one in fillers:
                one.close()
    run.must_raise("the server did not accept the connection")
