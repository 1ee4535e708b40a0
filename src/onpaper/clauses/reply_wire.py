"""A reply in one piece on its way in: how it is cut, coded and labelled, and how long it is."""

from __future__ import annotations

from dataclasses import replace

from onpaper.answer import Provider
from onpaper.clauses import INTERFACE, Case, clause
from onpaper.clauses.conditions import plain_complete
from onpaper.driving.acts import completing
from onpaper.driving.play import Play, answer_of, plays
from onpaper.driving.stage import Stage
from onpaper.driving.verdict import Broken, NotApplicable
from onpaper.mock import Mock


@clause("reply/any-cut", cases=(*plays("hello", cuts=("random",)), *plays("unicode", cuts=("bytewise", "random"))), covers=(47, 48, 94), source="https://www.rfc-editor.org/rfc/rfc9112#section-7.1",
        why="A read gives what has arrived, which is seldom all of it, and may end inside a character.")  # fmt: skip
async def any_cut(stage: Stage, play: Play) -> None:
    """However the bytes of a reply in one piece are cut, complete() gives the same text.

    Read to the end of the body, then decode, then parse.
    """
    await plain_complete(stage)
    answer = answer_of(play, stage.contract)
    # over a socket in lockstep, so that a client that keeps up meets each piece in a read of its own
    run = await stage.drive("complete()", completing(), lambda request: replace(answer(request), lockstep=True), in_place=True)
    run.must_say()


LONG = "0123456789 abcdef" * 12_000


@clause("reply/long", cases=(Case("200-kilobytes"),), covers=(94,), source=INTERFACE, why="Buffers and limits that nobody chose cut the end off, and what is left may still look like an answer.")
async def long(stage: Stage, case: Case) -> None:
    """A reply in one piece of 200 kilobytes, which is less than large models write, comes out of complete() whole."""
    await plain_complete(stage)
    provider = Provider(stage.contract, Mock.of({"about": "One long reply", "reply": [{"text": [LONG, "."]}]}), strict=False)
    run = await stage.drive("complete()", completing(), provider)
    run.must_not_raise()
    if run.text != LONG + ".":
        raise Broken(f"{len(LONG) + 1} characters were sent, {len(run.text)} came out of complete()")


@clause("reply/content-type", protocol="sse", cases=plays("reply-charset"), covers=(55,), source="https://www.rfc-editor.org/rfc/rfc9110#section-8.3",
        why="An exact comparison refuses every server that names the charset.")  # fmt: skip
async def content_type(stage: Stage, play: Play) -> None:
    """`application/json` is accepted with parameters."""
    await plain_complete(stage)
    run = await stage.complete(play)
    if run.asked_for_stream:
        raise NotApplicable("complete() asks for a stream, which is no application/json")
    run.must_say()
