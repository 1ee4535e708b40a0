"""Listing models and switching between them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from onpaper.clauses import INTERFACE, OPENAI, Case, clause
from onpaper.clauses.conditions import plain_stream
from onpaper.driving.acts import MESSAGES, listing, opened, switching
from onpaper.driving.play import Play, answer_of
from onpaper.driving.run import Hung, Run
from onpaper.driving.stage import Stage
from onpaper.driving.verdict import Broken, NotApplicable
from onpaper.exchange import Request
from onpaper.script import Script, Write

LISTED = ("zeta/last", "alpha:first", "org/модель")
OF_EVERY_KIND = ("text-embedding-3-small", "whisper-1", "dall-e-3", "omni-moderation-latest", "gpt-4o-mini", "ft:gpt-4o-mini:acme::7p4l", "nomic-embed-text:latest")
MANY = tuple(f"org/model-{number}" for number in range(120))


async def _list(stage: Stage, script: Script, others: bool = False) -> Run:
    """Drive list_models() against a list of models; with `others`, what else the provider lists, such as the models that
    run, is another list.
    """
    stage.needs("list_models")
    also, provider = stage.contract.get("models.also", {}) if others else {}, answer_of(Play("hello"), stage.contract)

    def answer(request: Request) -> Script:
        return provider(request) if request.path in also else script

    return await stage.drive("list_models()", listing, answer)


def _json(value: Any, status: int = 200) -> Script:
    return Script(status, (("content-type", "application/json"),), (Write(json.dumps(value).encode()),), transfer="length")


def _listing(stage: Stage, entries: list[Any]) -> Script:
    return _json({"models": entries} if stage.contract.protocol == "ndjson" else {"object": "list", "data": entries})


def _entry(stage: Stage, name: str) -> dict[str, Any]:
    return {"name": name, "model": name} if stage.contract.protocol == "ndjson" else {"id": name, "object": "model"}


def _ids(run: Run) -> list[str]:
    run.must_not_raise()
    if not isinstance(run.value, (list, tuple)) or not all(isinstance(one, str) for one in run.value):
        raise Broken(f"list_models() gave {run.value!r}, not a list of ids")
    return list(run.value)


@clause("models/ids", cases=(Case("three", LISTED), Case("every-kind", OF_EVERY_KIND), Case("many", MANY)), covers=(133,), source=OPENAI, why="Sorting, cutting or choosing among the ids makes them another provider's.")
async def ids(stage: Stage, case: Case) -> None:
    """list_models() gives the provider's ids, all of them and in its order.

    Which of them can chat the list does not say; leave the choice to the caller.
    """
    _needs_list(stage)
    for listed in (list(case.value), list(case.value)[::-1]):  # a second backend asks for itself
        run = await _list(stage, _listing(stage, [_entry(stage, name) for name in listed]), others=True)
        asked = run.exchanges[0].request if run.exchanges else None
        if asked is not None and not _lists(stage, asked):
            raise Broken(f"list_models() asked {asked.method} {asked.target}; the provider lists its models at {stage.contract.models_path}")
        found = _ids(run)
        if found != listed:
            missing = [name for name in listed if name not in found]
            raise Broken(f"list_models() gave {found[:8]!r}, {len(found)} in all; the provider listed {listed[:8]!r}, {len(listed)} in all" + (f"; {missing[0]!r} is missing" if missing else ""))


@clause("models/odd-entries", covers=(136,), source="https://docs.litellm.ai/docs/proxy/model_management", why="One entry without an id must not cost the whole list.")
async def odd_entries(stage: Stage, case: Case) -> None:
    """Entries without an id are passed over, further keys are ignored."""
    _needs_list(stage)
    entries = [{"object": "model"}, _entry(stage, "good") | {"zzz": {"a": 1}}, None, _entry(stage, "better")]
    run = await _list(stage, _listing(stage, entries))
    if _ids(run) != ["good", "better"]:
        raise Broken(f"list_models() gave {run.value!r}; the sound entries are good and better")


def _needs_list(stage: Stage) -> None:
    """Raise NotApplicable where the provider cannot be asked: then the configured model alone is right."""
    if stage.contract.get("models.list") is None:
        raise NotApplicable("the contract says that the provider has no list of models")


def _lists(stage: Stage, asked: Request) -> bool:
    """Whether a request is one for the models: at the provider's path, or at one that ends as its does."""
    known = stage.contract.paths.call(asked.method, asked.path) == ("models", None)
    return known or asked.path.endswith(stage.contract.get("endpoint.models", "/models"))


FAILURES: dict[str, Script] = {
    "unauthorized": _json({"error": {"message": "no", "type": "auth_error", "code": "401"}}, 401),
    "forbidden": _json({"error": {"message": "no"}}, 403),
    "not-found": _json({"detail": "Not Found"}, 404),
    "server-error": _json({"error": {"message": "boom"}}, 500),
    "html": Script(502, (("content-type", "text/html"),), (Write(b"<html>502 Bad Gateway</html>"),), transfer="length"),
    "html-200": Script(200, (("content-type", "text/html"),), (Write(b"<html>Sign in</html>"),), transfer="length"),
    "data-null": _json({"object": "list", "data": None, "models": None}),
    "reset": Script(end="reset", head=b""),
}


@clause("models/cannot-be-asked", cases=(*(Case(name) for name in FAILURES), Case("after-a-switch")), covers=(134, 135), source=INTERFACE,
        why="An empty list reads as: this provider has no models.")  # fmt: skip
async def cannot_be_asked(stage: Stage, case: Case) -> None:
    """When the provider cannot be asked (401, 5xx, a page, a lost connection), list_models() gives the configured model
    alone: the one that was switched to, where one was.

    Catch every failure of the listing, not only some of them.
    """
    if case.id == "after-a-switch":
        await _after_a_switch(stage)
        return
    run = await _list(stage, FAILURES[case.id])
    if _ids(run) != [stage.declared.model_name]:
        raise Broken(f"list_models() gave {run.value!r}; the configured model is {stage.declared.model_name!r}")


async def _after_a_switch(stage: Stage) -> None:
    stage.needs("set_model")
    stage.needs("list_models")

    async def act(backend: Any, run: Run) -> None:
        await _switch(backend, run)
        await listing(backend, run)

    run = await stage.drive("list_models()", act, lambda _: FAILURES["server-error"])
    if isinstance(run.notes.get("refused"), Exception):
        raise NotApplicable(f"the backend refuses to switch: {type(run.notes['refused']).__name__}")
    if _ids(run) != ["other/model"]:
        raise Broken(f"after set_model('other/model') list_models() gave {run.value!r}, though the provider could not be asked")


@clause("models/asked-again", covers=(134,), source=INTERFACE, why="One bad moment of the provider, and the list is one model long until the application is restarted.")
async def asked_again(stage: Stage, case: Case) -> None:
    """A listing that failed is asked for again: the failure is not kept for the next call."""
    _needs_list(stage)
    stage.needs("list_models")
    good, bad = _listing(stage, [_entry(stage, name) for name in ("first", "second")]), FAILURES["server-error"]
    answers = [bad]

    async def act(backend: Any, run: Run) -> None:
        await listing(backend, run)
        answers.append(good)
        await listing(backend, run)

    run = await stage.drive("list_models()", act, lambda _: answers[-1])
    if _ids(run) != ["first", "second"]:
        raise Broken(f"after a listing that failed list_models() gave {run.value!r}; the provider lists first and second by now")


@clause("models/time-out", timed=True, covers=(135, 137), source=INTERFACE, level="should", why="A settings page that hangs because a provider does.")
async def time_out(stage: Stage, case: Case) -> None:
    """A listing that gets no answer gives up within 15 s on its own."""
    if "first_byte" not in stage.declared.timeouts:
        raise NotApplicable("the declaration does not say how a short first_byte time-out is set")
    from onpaper.driving.stage import Setup

    args = tuple(stage.declared.timeouts["first_byte"].items())
    stage.needs("list_models")

    run = await stage.drive("list_models()", listing, lambda _: Script(head=b"", end="hang"), Setup(args=args), patience=15)
    if isinstance(run.error, Hung):
        raise Broken("list_models() was still waiting after 15 s")
    if _ids(run) != [stage.declared.model_name]:
        raise Broken(f"list_models() gave {run.value!r}")


@clause("models/switch", covers=(138,), source=INTERFACE, why="A switch that only the next process sees.")
async def switch(stage: Stage, case: Case) -> None:
    """After set_model() the next request names the new model, whichever method sends it; a stream that is running keeps
    the old one.

    A provider that serves one model per process raises instead: declare set_model = "refuses".
    """
    stage.needs("set_model")
    run = await _switched(stage)
    if isinstance(run.notes.get("refused"), Exception):
        raise NotApplicable(f"the backend refuses to switch: {type(run.notes['refused']).__name__}")
    run.must_not_raise()
    names = [one.request.json().get("model") for one in run.chats]
    after = 1 + stage.takes("complete", "self")
    if names != [stage.declared.model_name, *["other/model"] * max(after, len(names) - 1)]:
        raise Broken(f"the requests named {names!r}; set_model('other/model') was called between them")
    text = "".join(run.pieces)
    if not text.startswith("word0 ") or "word39" not in text:
        raise Broken(f"the running stream was disturbed: {text[:200]!r}")


async def _switch(backend: Any, run: Run) -> None:
    """Switch to another model, and note the exception where the backend refuses to."""
    try:
        await switching(backend)
    except Exception as error:
        run.notes["refused"] = error


async def _switched(stage: Stage) -> Run:
    stage.needs("stream")

    async def act(backend: Any, run: Run) -> None:
        run.operation = "a call beside set_model()"  # what set_model() itself raises is noted
        source = await opened(backend)
        async for piece in source:
            run.pieces.append(piece)
            if len(run.pieces) == 1:
                await _switch(backend, run)
        if "refused" not in run.notes and stage.takes("complete", "self"):
            await backend.complete(list(MESSAGES))
        if "refused" not in run.notes:
            async for _ in await opened(backend):
                pass
        if "refused" not in run.notes and stage.takes("prefill", "self"):
            with contextlib.suppress(Exception):
                await backend.prefill(list(MESSAGES))

    return await stage.drive("set_model()", act, Play("long-answer"), memo="switch")


@clause("models/switch-refused", covers=(139,), source=INTERFACE, why="A switch that does nothing and says nothing.")
async def switch_refused(stage: Stage, case: Case) -> None:
    """A backend that declares set_model = "refuses" raises; one that declares "yes" does not."""
    stage.needs("set_model")
    state = stage.declared.can("set_model")
    if state not in ("yes", "refuses"):
        raise NotApplicable("the backend does not declare set_model")
    run = await _switched(stage)
    raised = run.notes.get("refused")
    if (raised is not None) != (state == "refuses"):
        raise Broken(f"set_model is declared {state!r}, and it {'raised ' + type(raised).__name__ if raised else 'did not raise'}")


@clause("models/listing-apart", timed=True, covers=(137,), source=INTERFACE, why="A listing that holds a lock, or the only connection, makes the person wait.")
async def listing_apart(stage: Stage, case: Case) -> None:
    """A listing that is not answered does not hold up a reply."""
    stage.needs("list_models")
    await plain_stream(stage)
    hello = answer_of(Play("hello"), stage.contract)

    def answer(request: Request) -> Script:
        return hello(request) if request.method == "POST" else Script(head=b"", end="hang")

    async def act(backend: Any, run: Run) -> None:
        asking = asyncio.ensure_future(listing(backend, Run(stage.contract)))
        await asyncio.sleep(0.02)
        try:
            async for piece in await opened(backend):
                run.pieces.append(piece)
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    run = await stage.drive("stream()", act, answer, patience=4)
    run.must_say()
