"""Where the key must never be seen: in an error, a repr, a log, or what is printed."""

from __future__ import annotations

import traceback
from contextlib import suppress
from typing import Any

from onpaper.clauses import Case, clause
from onpaper.clauses.conditions import applicable, needs_key
from onpaper.clauses.listening import listening
from onpaper.clauses.operations import operate
from onpaper.driving.acts import completing, listing, streaming
from onpaper.driving.play import Play
from onpaper.driving.run import Run, chain
from onpaper.driving.stage import HELLO, KEY, Stage
from onpaper.driving.verdict import Broken, NotApplicable
from onpaper.script import Script, Write

ILLEGAL = "https://github.com/openai/openai-python/issues/961"
CALLS = (Case("stream"), Case("complete"), Case("list-models"))


def not_shown(run: Run, secret: str) -> None:
    """Demand that what was raised does not show a secret."""
    if run.error is None:
        return
    shown = "".join(traceback.format_exception(run.error)) + repr(run.error)
    if part := _part_of(secret, shown):
        where = next((type(one).__name__ for one in chain(run.error) if part in f"{one!s}{one!r}"), "the traceback")
        raise Broken(f"{where} shows the key: {shown.replace(part, '<key>')[-400:]}")


def _part_of(secret: str, text: str) -> str:
    """What of a secret a text shows: all of it, or two thirds in a row, which leave nothing to guess."""
    if secret in text:
        return secret
    size = len(secret) * 2 // 3
    return next((part for at in range(len(secret) - size + 1) if (part := secret[at : at + size]) in text), "")


@clause(
    "auth/key-not-in-errors",
    cases=tuple(Case(name) for name in ("unauthorized", "server-error", "connection-reset", "malformed-chunk", "html-502", "ndjson-malformed-line")),
    covers=(27,),
    source="https://github.com/ogx-ai/ogx/issues/3499",
    why="Exceptions end in logs, bug reports and chat windows.",
)  # fmt: skip
async def not_in_errors(stage: Stage, case: Case) -> None:
    """No exception shows the key: not in its text, its repr, its arguments, its causes or its traceback."""
    needs_key(stage)
    play = applicable(stage, Play(case.id))
    not_shown(await stage.stream(play), KEY)
    if case.id != "connection-reset":  # that fault is one of a stream
        not_shown(await stage.complete(play), KEY)


@clause("auth/echoed-key", cases=(Case("stream"), Case("complete")), covers=(27,), level="should",
        source="https://github.com/RockChinQ/free-one-api/issues/144", why="Some providers quote the refused key in their answer.")  # fmt: skip
async def echoed(stage: Stage, case: Case) -> None:
    """A key that the server quotes in an error is masked before the error is shown.

    Replace the key in the body that you keep.
    """
    needs_key(stage)
    body = b'{"error":{"message":"Incorrect API key provided: %s","type":"auth_error","code":"401"}}' % KEY.encode()
    script = Script(401, (("content-type", "application/json"),), (Write(body),), transfer="length")
    act = streaming() if case.id == "stream" else completing()
    run = await stage.drive(f"{case.id}()", act, lambda _: script)
    run.must_raise("the server answered 401")
    not_shown(run, KEY)


@clause("auth/key-not-in-repr", covers=(27,), source="https://github.com/steve-goldberg/NocoBot/issues/3",
        why="repr() of a client ends in debug output and in crash reports.")  # fmt: skip
async def not_in_repr(stage: Stage, case: Case) -> None:
    """The key is in neither repr() nor str() of the backend, nor in what a call gives: its result, its `stats`, the models."""
    needs_key(stage)

    async def act(backend: Any, run: Run) -> None:
        run.value = f"{backend!r} {backend!s}"

    run = await stage.drive("repr()", act)
    run.must_not_raise()
    if KEY in run.value:
        raise Broken(f"repr() shows the key: {run.value.replace(KEY, '<key>')[:300]}")
    for name in ("stream", "complete", "list-models"):
        with suppress(NotApplicable):
            run = await operate(stage, name)
            if KEY in (given := f"{run.value!r} {run.stats!r} {run.pieces!r}"):
                raise Broken(f"what {run.operation} gives shows the key: {given.replace(KEY, '<key>')[:300]}")


@clause("auth/key-not-in-logs", cases=tuple(Case(name) for name in ("stream", "complete", "list-models", "models-refused", "unauthorized", "server-error", "cut", "reset")), covers=(27,),
        source="https://github.com/steve-goldberg/NocoBot/issues/3",
        why="httpx and httpcore log at DEBUG what they send; an application's logging config may let that through.")  # fmt: skip
async def not_in_logs(stage: Stage, case: Case) -> None:
    """The key is in no log record, at any level, of any logger, nor in a record's arguments; neither is it printed or in a warning.

    Hand the key to your HTTP library in a form that its log does not print.
    """
    needs_key(stage)
    with listening() as lines:
        run = await _said(stage, case.id)
    for line in lines:
        if part := _part_of(KEY, line):
            where, _, said = line.replace(part, "<key>").partition(": ")
            raise Broken(f"{where} shows the key: {said[:400]}")
    if not run.exchanges and "models" not in case.id:
        run.must_not_raise()


async def _said(stage: Stage, name: str) -> Run:
    """Drive what may make a client say something: ordinary calls, and calls that fail in several ways."""
    if name in ("list-models", "models-refused"):
        refused = Script(401, (("content-type", "application/json"),), (Write(b'{"error": {"message": "no"}}'),), transfer="length")
        return await stage.drive("list_models()", listing, HELLO if name == "list-models" else lambda _: refused)
    if name in ("stream", "complete"):
        return await stage.drive(f"{name}()", streaming() if name == "stream" else completing())
    lines = stage.contract.protocol == "ndjson"
    plays = {"cut": "ndjson-truncated" if lines else "truncated", "reset": "connection-reset"}
    return await stage.drive("stream()", streaming(), Play(plays.get(name, name)))
