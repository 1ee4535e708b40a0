"""Prefill warms a local model's cache with one token; on a metered provider it must cost nothing.

It is called every few hundred milliseconds while a person speaks: each request would be billed.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

from onpaper.clauses import INTERFACE, Case, clause
from onpaper.clauses.conditions import plain_stream
from onpaper.clauses.connection import LETS_GO
from onpaper.clauses.leaving import works_in_a_thread
from onpaper.clauses.operations import HISTORY, PREFIX, prefilled
from onpaper.driving.acts import MESSAGES, copied, opened, streaming
from onpaper.driving.play import Play, answer_of
from onpaper.driving.run import Run
from onpaper.driving.stage import Stage
from onpaper.driving.verdict import Broken, NotApplicable
from onpaper.exchange import Request
from onpaper.gateway import closed_by_client
from onpaper.script import Script


def only(stage: Stage, metered: bool) -> None:
    """Raise NotApplicable unless the provider is metered, or is not, as the clause wants."""
    stage.needs("prefill")
    if stage.contract.metered != metered:
        raise NotApplicable("the provider is metered" if stage.contract.metered else "the provider is not metered")


SILENT = ("fresh", "after-a-reply", "long-prompt")
LONG = [{"role": "system", "content": "You are brief. " * 2000}, {"role": "user", "content": "Say"}]


@clause("prefill/silent", cases=tuple(map(Case, SILENT)), covers=(124, 130, 131), source=INTERFACE, why="A copy of the local client billed the provider every few hundred milliseconds.")
async def silent(stage: Stage, case: Case) -> None:
    """On a metered provider prefill makes no request of any kind, not even later.

    Override prefill to do nothing, by what the provider is and not by what its URL looks like.
    """
    only(stage, metered=True)
    if case.id == "after-a-reply":
        await plain_stream(stage)
    run = await prefilled(stage, LONG if case.id == "long-prompt" else None, after_a_reply=case.id == "after-a-reply")
    made = run.exchanges[case.id == "after-a-reply" :]
    if made:
        one = made[0].request
        raise Broken(f"prefill() made {len(made)} request(s): {one.method} {one.target}", one.body, "request body")
    if run.connections > (case.id == "after-a-reply"):
        raise Broken(f"prefill() opened {run.connections} connection(s)")
    run.must_not_raise()


@clause("prefill/repeated", covers=(124, 131), source=INTERFACE, why="A timer or a counter inside prefill bills every tenth call.")
async def repeated(stage: Stage, case: Case) -> None:
    """On a metered provider twenty prefills in a row, of what a person says bit by bit, and at once, make no request; the reply that follows makes one."""
    only(stage, metered=True)
    await plain_stream(stage)

    async def act(backend: Any, run: Run) -> None:
        for number in range(10):
            said = "Tell me, " + "word after word, " * 2**number
            await backend.prefill([*PREFIX[:1], {"role": "user", "content": said}])
        await asyncio.gather(*(backend.prefill(list(PREFIX)) for _ in range(10)))
        async for _ in await opened(backend):
            pass

    run = await stage.drive("prefill()", act)
    run.must_not_raise()
    if len(run.exchanges) != 1:
        raise Broken(f"20 prefills and one stream() made {len(run.exchanges)} requests; the stream's alone is allowed")


@clause("prefill/one-token", covers=(125, 126), source=INTERFACE, why="More than one token is time and heat for nothing; none warms nothing.")
async def one_token(stage: Stage, case: Case) -> None:
    """On a local provider prefill makes exactly one request, for one token, not streamed."""
    only(stage, metered=False)
    run = await prefilled(stage)
    run.must_not_raise()
    if len(run.chats) != 1 or len(run.exchanges) != 1:
        raise Broken(f"prefill() made {len(run.exchanges)} requests, {len(run.chats)} of them for a completion")
    body = run.body
    options = body.get("options") if isinstance(body.get("options"), dict) else {}
    limits = [holder[key] for holder, key in ((body, "max_tokens"), (body, "max_completion_tokens"), (options, "num_predict")) if key in holder]
    if limits != [1]:
        raise Broken(f"prefill() asked for {limits or 'any number of'} tokens, not for 1", run.chats[0].request.body, "request body")
    if body.get("stream") not in (None, False) or (stage.contract.protocol == "ndjson" and body.get("stream") is not False):
        raise Broken(f"prefill() asked for a stream: {body.get('stream')!r}", run.chats[0].request.body, "request body")


@clause("prefill/same-prefix", cases=(Case("plain", MESSAGES), Case("with-tool-calls", HISTORY)), covers=(127,), source=INTERFACE, why="The cache is keyed by the tokens: one changed byte before the end and the warm-up was for nothing.")
async def same_prefix(stage: Stage, case: Case) -> None:
    """The messages of a prefill are byte for byte the beginning of the request that follows."""
    only(stage, metered=False)
    stage.needs("stream")

    async def act(backend: Any, run: Run) -> None:
        await backend.prefill(copied(case.value))
        async for _ in await opened(backend, case.value):
            pass

    run = await stage.drive("prefill()", act)
    if len(run.chats) < 2:
        run.must_not_raise()
        raise NotApplicable("prefill made no request: see prefill/one-token")
    first, second = (one.request.json().get("messages") for one in run.chats[:2])
    if first != second[: len(first)]:
        raise Broken("the prefilled messages are not the ones that follow", run.chats[0].request.body, "prefill body")
    for key in ("model", "tools", "chat_template_kwargs", "think", "keep_alive", "options.num_ctx"):
        one, other = (_at(exchange.request.json(), key) for exchange in run.chats[:2])
        if one != other:
            raise Broken(f"prefill sent {key}={one!r}, the request that follows {other!r}: another prompt, or the model loaded anew", run.chats[0].request.body, "prefill body")
    if str(kept := _at(run.chats[0].request.json(), "keep_alive")) in ("0", "0s", "0m"):
        raise Broken(f"prefill sent keep_alive={kept!r}: the model is unloaded as soon as it has answered, and its cache with it", run.chats[0].request.body, "prefill body")


def _at(body: Any, dotted: str) -> Any:
    for key in dotted.split("."):
        body = body.get(key) if isinstance(body, dict) else None
    return body


@clause("prefill/apart", timed=True, cases=(Case("a-reply-that-runs"), Case("a-reply-that-follows")), level="should", covers=(129,), source=INTERFACE, why="It warms the model up while somebody speaks; the reply must not wait for it, nor end because of it.")
async def apart(stage: Stage, case: Case) -> None:
    """A prefill disturbs no reply: one that runs goes on, and one that is asked for while a prefill waits is not held up."""
    only(stage, metered=False)
    await plain_stream(stage)
    answer = answer_of(Play("long-answer", "steps"), stage.contract)

    def slow(request: Request) -> Script:
        asked = json.loads(request.body or b"{}")
        waits = isinstance(asked, dict) and not (asked.get("stream") or asked.get("messages") == list(MESSAGES))
        return replace(answer(request), head_after=30.0) if waits and case.id == "a-reply-that-follows" else answer(request)

    async def act(backend: Any, run: Run) -> None:
        if case.id == "a-reply-that-follows":
            waiting = asyncio.ensure_future(backend.prefill(list(PREFIX)))
            await asyncio.sleep(0.02)
        try:
            async for piece in await opened(backend):
                run.pieces.append(piece)
                if len(run.pieces) == 1 and case.id == "a-reply-that-runs":
                    await backend.prefill(list(PREFIX))
        finally:
            if case.id == "a-reply-that-follows":
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)

    run = await stage.drive("stream()", act, slow, patience=4.0)
    run.must_not_raise()
    if "word39" not in "".join(run.pieces):
        raise Broken(f"stream() gave {''.join(run.pieces)[:200]!r} beside a prefill")


@clause("prefill/keeps-state", covers=(129,), source=INTERFACE, why="A warm-up that leaves its one-token limit behind cuts the next reply short.")
async def keeps_state(stage: Stage, case: Case) -> None:
    """Prefill changes nothing: the request that follows is the one that would have been sent without it, and so are its
    counts.
    """
    stage.needs("prefill")
    await plain_stream(stage)
    plain = await stage.stream()

    async def act(backend: Any, run: Run) -> None:
        await backend.prefill(list(PREFIX))
        await streaming()(backend, run)

    run = await stage.drive("stream()", act)
    if not run.chats:
        run.must_not_raise()
    if plain.body not in [one.request.json() for one in run.chats]:
        raise Broken("after a prefill the same call sent another body", run.chats[-1].request.body, "request body")
    for name in ("prompt_tokens", "completion_tokens"):
        before, after = ((one.stats or {}).get(name) for one in (plain, run))
        if run.error is None and before != after:
            raise Broken(f"after a prefill {name} of the same reply came out as {after!r}; without one as {before!r}", run.wire)


@clause("prefill/released", timed=True, covers=(132,), source=INTERFACE, why="It is cancelled whenever the person goes on speaking.")
async def released(stage: Stage, case: Case) -> None:
    """A prefill that is cancelled lets go of its connection at once."""
    only(stage, metered=False)
    answer = answer_of(Play("hello"), stage.contract)

    async def act(backend: Any, run: Run) -> None:
        task = asyncio.create_task(backend.prefill(list(PREFIX)))
        journal = run.notes["server"].journal
        try:
            await journal.async_wait_for(lambda one: len(one) >= 1, 3)
        except TimeoutError:
            raise NotApplicable("prefill made no request: see prefill/one-token") from None
        if task.done():
            raise NotApplicable("prefill comes back before its request is answered: there is nothing to cancel")
        if works_in_a_thread():
            raise NotApplicable("the call waits in a thread, which nobody can cancel")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await journal.async_wait_for(closed_by_client(), LETS_GO)

    run = await stage.drive("prefill()", act, lambda request: replace(answer(request), head_after=30.0), waits=LETS_GO)
    if isinstance(run.error, TimeoutError):
        raise Broken(f"the connection of a cancelled prefill stayed open for {LETS_GO:g} s")
    run.must_not_raise()


@clause("prefill/failure", cases=(Case("server-error"), Case("reset")), covers=(128,), source=INTERFACE, why="A speculative call that breaks leaves the real one to say so.")
async def failure(stage: Stage, case: Case) -> None:
    """A prefill that fails does not spoil the call that follows."""
    only(stage, metered=False)
    await plain_stream(stage)
    lost = Script(head=b"", end="reset")
    bad = answer_of(Play("server-error"), stage.contract) if case.id == "server-error" else lambda _: lost
    good = answer_of(Play("hello"), stage.contract)
    seen: list[int] = []

    def first_bad(request: Any) -> Any:
        seen.append(1)
        return (bad if len(seen) == 1 else good)(request)

    async def act(backend: Any, run: Run) -> None:
        try:
            await backend.prefill(list(PREFIX))
        except Exception as error:
            run.notes["prefill error"] = error
        if not seen:
            raise NotApplicable("prefill made no request: see prefill/one-token")
        async for piece in await opened(backend):
            run.pieces.append(piece)

    run = await stage.drive("stream()", act, first_bad)
    run.must_say()
