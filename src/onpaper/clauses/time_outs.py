"""Time-outs, of backends that declare how theirs are set."""

from __future__ import annotations

import socket
from dataclasses import replace
from itertools import pairwise
from typing import Any

from onpaper.answer import Provider
from onpaper.clauses import Case, clause
from onpaper.clauses.conditions import limited, plain_stream
from onpaper.clauses.connection import read
from onpaper.driving.acts import completing, streaming
from onpaper.driving.play import Play, answer_of
from onpaper.driving.run import Hung, Run
from onpaper.driving.stage import HELLO, Stage
from onpaper.driving.verdict import Broken, NotApplicable
from onpaper.exchange import Request
from onpaper.mock import Mock
from onpaper.script import Script, Write

TIMES = "https://github.com/openai/openai-python/pull/3566"
LONGEST = 1.0
"""The longest time-out that is waited for several times, in seconds."""
STEPS = 7
"""How many quarters of a time-out the slow stream lasts."""


@clause("connection/first-byte-time-out", timed=True, cases=(Case("stream"), Case("complete")), covers=(162,), source=TIMES, why="A server that accepts and then says nothing.")
async def first_byte(stage: Stage, case: Case) -> None:
    """A server that never answers is an error once the first-byte time-out has passed."""
    run = await _silent(stage, "first_byte", case.id)
    run.must_raise("the server never answered")


@clause("connection/between-time-out", timed=True, covers=(162,), source=TIMES, why="A stream that falls silent in the middle of a sentence.")
async def between(stage: Stage, case: Case) -> None:
    """A stream that falls silent is an error once the time-out between chunks has passed."""
    run = await _silent(stage, "between", "stream")
    run.must_raise("the server fell silent")


def _never(request: Request) -> Script:
    """A server that does not answer."""
    return Script(head=b"", end="hang")


async def _silent(stage: Stage, which: str, method: str) -> Run:
    """Drive a call whose server falls silent where that time-out counts."""
    play, act = (_never, streaming() if method == "stream" else completing()) if which == "first_byte" else (Play("stall"), streaming())
    return await stage.drive(f"{method}()", act, play, limited(stage, which), memo=("silent", method), patience=4)


@clause("connection/steady-stream", timed=True, cases=(Case("first-byte"), Case("between")), covers=(162,), source="https://docs.aiohttp.org/en/stable/client_quickstart.html#timeouts",
        why="A time-out that counts for the whole of a stream cuts off the longest answers, and no short test shows it.")  # fmt: skip
async def steady(stage: Stage, case: Case) -> None:
    """A stream that goes on is cut off by neither time-out, however long it takes in all.

    The first-byte time-out ends with the first byte, and the one between chunks begins anew with each; a limit for the
    whole call is another one, and off unless somebody asks for it.
    """
    which = case.id.replace("-", "_")
    setup = limited(stage, which)
    await plain_stream(stage)
    silent = await _silent(stage, which, "stream")
    seconds = silent.marks["end"] - silent.marks["start"]
    if silent.error is None or isinstance(silent.error, Hung):
        raise NotApplicable(f"the time-out does not end a stream: see connection/{case.id}-time-out")
    if seconds > LONGEST:
        raise NotApplicable(f"the time-out of {seconds:.1f} s is too long to wait for several of them; declare a shorter one")
    said = {"text": ["word "] * STEPS, "pacing": {"first": 0, "between": seconds / 4}}
    provider = Provider(stage.contract, Mock.of({"about": "A slow and steady reply", "reply": [said]}), strict=False)
    run = await stage.drive("stream()", streaming(), provider, setup, patience=4 + STEPS * seconds)
    if run.error is not None:
        pauses = [later.at - earlier.at for one in run.chats if one.reply for earlier, later in pairwise(one.reply.chunks)]
        if max(pauses, default=0.0) > seconds * 0.6:
            raise NotApplicable(f"the gateway itself paused for {max(pauses):.2f} s: the machine is too busy to tell")
        lasted = run.marks["end"] - run.marks["start"]
        raise Broken(
            f"a stream with a piece every {seconds / 4:.2f} s was cut off after {lasted:.2f} s by a time-out that ends a silent one"
            f" after {seconds:.2f} s: {type(run.error).__name__}: {run.error}",
            run.wire,
        )


@clause("connection/keep-alives-are-no-progress", timed=True, protocol="sse", covers=(163,), level="should", policy=True, source=TIMES, why="A proxy's keep-alive comments hide that the model behind it has died.")
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
