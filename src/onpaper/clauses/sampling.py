"""Sampling parameters: the call, then the constructor, then the default; zeros are values; nothing is dropped silently."""

from __future__ import annotations

from typing import Any

from onpaper.clauses import INTERFACE, OPENAI, Case, clause
from onpaper.clauses.conditions import (
    accepts,
    needs_value,
    offers_tools,
    plain_complete,
    plain_stream,
    refused,
)
from onpaper.clauses.operations import WEATHER
from onpaper.driving.acts import completing, streaming, switching
from onpaper.driving.run import Run
from onpaper.driving.stage import PLAIN, Setup, Stage
from onpaper.driving.verdict import Broken, NotApplicable

PARAMETERS = ("temperature", "top_k", "top_p", "presence_penalty")
VALUES: dict[str, tuple[Any, Any, Any]] = {
    "temperature": (0.25, 0.75, 0.0),
    "top_k": (7, 11, 0),
    "top_p": (0.25, 0.75, 0.0),
    "presence_penalty": (0.25, 0.75, 0.0),
}
"""For each parameter: a value for the call, one for the constructor, and its zero."""
CASES = tuple(Case(f"{method}-{name}", (method, name)) for method in ("stream", "complete") for name in PARAMETERS)


def sent(stage: Stage, run: Run, name: str) -> Any:
    """The value of a parameter on the wire, or `absent`."""
    options = run.body.get("options") if stage.contract.protocol == "ndjson" else None
    holder = options if isinstance(options, dict) else run.body
    return holder.get(name, "absent")


async def call(stage: Stage, method: str, setup: Setup = PLAIN, **kwargs: Any) -> Run:
    """Drive a method with sampling arguments. Raises NotApplicable when its signature does not take them."""
    for name, value in kwargs.items():
        if not stage.takes(method, name):
            raise NotApplicable(f"{method}() takes no {name}")
        needs_value(stage, **{name: value})
    return await (stage.stream if method == "stream" else stage.complete)(setup=setup, **kwargs)


def _must_send(stage: Stage, run: Run, name: str, value: Any) -> None:
    if not accepts(stage.contract, name):
        if run.refused:
            return  # refused
        if sent(stage, run, name) != "absent":
            raise Broken(f"{name} was sent to a provider that does not accept it", run.chats[0].request.body, "request body")
        return
    refused(stage, run, name)
    found = sent(stage, run, name)
    if found != value or isinstance(found, (bool, str)):
        raise Broken(f"{name}={value!r} went out as {found!r}", run.chats[0].request.body, "request body")


@clause("sampling/call", cases=CASES, covers=(167, 168, 170), source=INTERFACE, why="A parameter that is taken and not sent is a promise that nobody keeps.")
async def of_call(stage: Stage, case: Case) -> None:
    """A parameter given with the call goes out with exactly that value; one that the provider does not accept is left out or refused.

    Do not clamp, round or convert it.
    """
    method, name = case.value
    value = VALUES[name][0]
    _must_send(stage, await call(stage, method, **{name: value}), name, value)


@clause("sampling/zero", cases=CASES, covers=(6,), source=OPENAI, why="`if temperature:` drops the one value that people set on purpose.")
async def zero(stage: Stage, case: Case) -> None:
    """Zero is a value: it goes out.

    Ask `is not None`, not for truth.
    """
    method, name = case.value
    value = VALUES[name][2]
    _must_send(stage, await call(stage, method, **{name: value}), name, value)


def _constructor(stage: Stage, values: dict[str, Any]) -> Setup:
    for name, value in values.items():
        if value is not None:
            needs_value(stage, **{name: value})
    if stage.declared.can("sampling") == "ignores":
        raise NotApplicable("the backend ignores the constructor's sampling, as declared")
    return Setup(args=(("sampling", _Frozen(values)),))


class _Frozen(dict):  # type: ignore[type-arg]
    """A dict that can stand in a set-up's key."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(sorted((key, repr(value)) for key, value in self.items())))


def _made(stage: Stage, run: Run, name: str = "") -> None:
    """Raise NotApplicable when the factory takes no `sampling`, or refuses what the declaration says it refuses."""
    if run.phase == "construct" and stage.declared.can(name) == "refuses":
        raise NotApplicable(f"the backend refuses {name}, as declared")
    if run.phase == "construct" and name and not any(stage.takes(method, name) for method in ("stream", "complete")):
        raise NotApplicable(f"the factory refuses {name}, which no method takes")
    if run.phase == "construct" and isinstance(run.error, TypeError) and stage.declared.can("sampling") != "yes":
        raise NotApplicable("the factory takes no sampling")
    if run.phase == "construct":
        raise Broken(f"the factory raised {type(run.error).__name__}: {run.error}")


SWITCHED = Case("after-a-switch", ("stream", "temperature"))


@clause("sampling/constructor", cases=(*CASES, SWITCHED), covers=(167,), source=INTERFACE, why="In the original, complete()'s own default of 0.0 hid what the constructor had been told.")
async def of_constructor(stage: Stage, case: Case) -> None:
    """A parameter given to the constructor holds for every call that does not give its own, in both methods, whichever
    model was switched to.
    """
    method, name = case.value
    value = VALUES[name][1]
    setup = _constructor(stage, {name: value})
    run = await (_after_a_switch(stage, setup) if case is SWITCHED else call(stage, method, setup))
    if run.phase == "construct" and not accepts(stage.contract, name) and not isinstance(run.error, TypeError):
        return  # refused
    _made(stage, run, name)
    _must_send(stage, run, name, value)


async def _after_a_switch(stage: Stage, setup: Setup) -> Run:
    """Drive stream() after set_model(). Raises NotApplicable when the backend does not switch."""
    stage.needs("set_model")

    async def act(backend: Any, run: Run) -> None:
        try:
            await switching(backend)
        except Exception as error:
            raise NotApplicable(f"the backend refuses to switch: {type(error).__name__}") from None
        await streaming()(backend, run)

    return await stage.drive("stream()", act, setup=setup)


@clause("sampling/call-before-constructor", cases=CASES, covers=(167,), source=INTERFACE, why="The nearest word counts.")
async def call_first(stage: Stage, case: Case) -> None:
    """A parameter of the call wins over the constructor's, also when it is zero."""
    method, name = case.value
    for value in (VALUES[name][0], VALUES[name][2]):
        run = await call(stage, method, _constructor(stage, {name: VALUES[name][1]}), **{name: value})
        if run.phase == "construct" and not accepts(stage.contract, name) and not isinstance(run.error, TypeError):
            return
        _made(stage, run, name)
        _must_send(stage, run, name, value)


LEFT_BEHIND = {"temperature": 0.123, "max_tokens": 77}


@clause("sampling/not-kept", cases=(Case("stream"), Case("complete"), Case("complete-with-tools")), covers=(167,), source=INTERFACE, why="A value that one call leaves behind changes every reply after it.")
async def not_kept(stage: Stage, case: Case) -> None:
    """A parameter of one call, its tools too, does not leak into the next."""
    method = case.id.partition("-")[0]
    await (plain_stream(stage) if method == "stream" else plain_complete(stage))
    given: dict[str, Any] = LEFT_BEHIND
    if case.id == "complete-with-tools":
        if not offers_tools(stage):
            raise NotApplicable("complete() takes no tools, or the provider does not")
        given = {"tools": [WEATHER]}
    else:
        given = {name: value for name, value in LEFT_BEHIND.items() if stage.takes(method, name)}
        if not given:
            raise NotApplicable(f"{method}() takes neither temperature nor max_tokens")
        needs_value(stage, **given)
    make = streaming if method == "stream" else completing

    async def act(backend: Any, run: Run) -> None:
        await make()(backend, run)
        await make(**given)(backend, run)
        await make()(backend, run)

    run = await stage.drive(f"{method}()", act)
    run.must_not_raise()
    if len(run.chats) != 3:
        raise Broken(f"three calls of {run.operation} sent {len(run.chats)} requests")
    first, _, third = (one.request.json() for one in run.chats)
    if first != third:
        raise Broken(f"after a call with {', '.join(given)} the plain call sent another body", run.chats[2].request.body, "third body")


@clause("sampling/unknown-key", cases=tuple(Case(name) for name in ("seed", "frequency_penalty", "no_such_parameter")), covers=(169,), source=INTERFACE, why="A seed that is dropped makes a run that nobody can repeat.")
async def unknown_key(stage: Stage, case: Case) -> None:
    """A key of the constructor's `sampling` that the backend does not know is refused or sent; it is never dropped."""
    setup = _constructor(stage, {case.id: 1})
    run = await stage.stream(setup=setup)
    run.notes["judged"] = True  # a key that was asked for may go out, so no other clause blames it
    if run.phase == "construct" and isinstance(run.error, TypeError) and stage.declared.can("sampling") != "yes":
        plain = await stage.stream(setup=_constructor(stage, {"temperature": 0.5}))
        if plain.phase == "construct":
            raise NotApplicable("the factory takes no sampling")
    if run.refused:
        return
    if sent(stage, run, case.id) == "absent" and run.body.get(case.id) is None:
        raise Broken(f"sampling={{{case.id!r}: 1}} was neither refused nor sent", run.chats[0].request.body, "request body")


@clause("sampling/none-in-constructor", covers=(5, 169), source=INTERFACE, why="Options often arrive as None from a form or a file.")
async def none_in_constructor(stage: Stage, case: Case) -> None:
    """A None in the constructor's `sampling` counts as not given."""
    plain = await stage.stream()
    run = await stage.stream(setup=_constructor(stage, {"temperature": None, "top_p": None}))
    _made(stage, run)
    if run.body != plain.body:
        raise Broken("sampling={'temperature': None} changed the body", run.chats[0].request.body, "request body")


@clause("sampling/max-tokens", cases=tuple(Case(f"{method}-{value}", (method, value)) for method in ("stream", "complete") for value in (1, 4096)), covers=(7, 168), source=OPENAI, why="A limit that does not arrive is a reply, and a bill, without one.")
async def max_tokens(stage: Stage, case: Case) -> None:
    """max_tokens goes out with exactly that value, under the one name that the provider takes."""
    method, value = case.value
    run = await call(stage, method, max_tokens=value)
    refused(stage, run, "max_tokens")
    options = run.body.get("options") if isinstance(run.body.get("options"), dict) else {}
    found = {key: holder[key] for holder, key in ((run.body, "max_tokens"), (run.body, "max_completion_tokens"), (options, "num_predict")) if key in holder}
    if list(found.values()) != [value]:
        raise Broken(f"max_tokens={value} went out as {found or 'nothing'}", run.chats[0].request.body, "request body")
