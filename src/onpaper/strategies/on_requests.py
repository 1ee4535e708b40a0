"""Properties of what a backend sends, for any parameters."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import strategies as st

from onpaper.driving.acts import of_text
from onpaper.driving.run import Run, crashed
from onpaper.driving.verdict import Broken
from onpaper.strategies.calls import (
    WHOLE,
    Call,
    Given,
    Sequence,
    calls,
    givens,
    has_constructor,
    has_parameters,
    replying,
    sequences,
    taken,
)
from onpaper.strategies.properties import holds_for
from onpaper.strategies.sampling import body_with, named_by, sampling
from onpaper.strategies.sent import must_carry, refused, same, sent
from onpaper.strategies.subject import SAMPLED, NotMade, Subject

SOURCE = "https://github.com/fluxions-ai/vui/pull/18"


@holds_for(
    givens,
    name="property/precedence",
    source=SOURCE,
    applies=has_parameters,
    examples=50,
)
async def precedence(subject: Subject, case: Given) -> None:
    """A parameter is what the call says, else what the constructor says, else the method's default.

    Merge three dicts in that order, leave None out, and look at nothing else: not at whether a value is true.
    """
    default = await subject.default_body(case.method)
    run = await subject.ask(case.method, sampling=case.sampling, **case.kwargs)
    strange = [name for name in {**case.constructor, **case.call} if not taken(subject, name)]
    if strange and refused(run):
        return
    run.must_not_raise()
    for name in subject.parameters(case.method):
        if name in strange:
            if sent(subject, run.body, name):
                found = run.chats[0].request.body
                raise Broken(f"{name} is sent, and the provider does not take it", found, "request body")
        elif name in case.call:
            must_carry(subject, run, name, case.call[name], "the call says")
        elif name in case.constructor:
            must_carry(subject, run, name, case.constructor[name], "the constructor says")
        else:
            _must_be_default(subject, run, name, sent(subject, default, name))


def _must_be_default(subject: Subject, run: Run, name: str, default: Mapping[str, Any]) -> None:
    found = sent(subject, run.body, name)
    if found.keys() != default.keys() or not all(same(default[one], found[one]) for one in default):
        wire = run.chats[0].request.body
        usual, now = (", ".join(map(repr, one.values())) or "nothing" for one in (default, found))
        raise Broken(
            f"{name} was not given; without other parameters {usual} is sent, with these {now}", wire
        )


def _zeros(subject: Subject) -> st.SearchStrategy[Given]:
    return st.sampled_from(list(_zero_calls(subject)))


def _zero_calls(subject: Subject) -> Iterator[Given]:
    """Calls with a zero, as far as the contract takes it. An empty stop stops nothing: it may be left out."""
    for method in replying(subject):
        for name in subject.parameters(method):
            for zero in () if name == "stop" else (0,) if name in WHOLE else (0, 0.0):
                names = named_by(subject.contract, name)
                if names and not subject.contract.violations(body_with(subject.contract, {names[0]: zero})):
                    yield Given(method, {}, {name: zero})
                    if name in subject.sampled:
                        yield Given(method, {name: zero})


def _has_zeros(subject: Subject) -> str:
    return (
        ""
        if next(_zero_calls(subject), None)
        else "the contract takes no parameter that may be zero"
    )


@holds_for(_zeros, name="property/zeros-kept", source=SOURCE, applies=_has_zeros, examples=25)
async def zeros_kept(subject: Subject, case: Given) -> None:
    """A zero is a value and is sent as such.

    Ask `is None`, never whether a value is true.
    """
    run = await subject.ask(case.method, sampling=case.sampling, **case.kwargs)
    run.must_not_raise()
    for name, value in {**case.constructor, **case.call}.items():
        must_carry(subject, run, name, value, "given was")


def _with_none(subject: Subject) -> st.SearchStrategy[Given]:
    given = givens(subject, accepted=True)
    constructor = st.sampled_from((None, *subject.sampled))
    missing = {
        one: st.lists(st.sampled_from(subject.parameters(one)), min_size=1, max_size=3)
        for one in replying(subject)
        if subject.parameters(one)
    }

    @st.composite
    def with_none(draw: st.DrawFn) -> Given:
        one = draw(given)
        nones = draw(missing.get(one.method, st.just([])))
        made = draw(constructor)
        return Given(
            one.method,
            {**one.constructor, **({} if made is None else {made: None})},
            {**one.call, **dict.fromkeys(nones)},
        )

    return with_none()


@holds_for(
    _with_none,
    name="property/none-not-sent",
    source="https://github.com/ztjhz/BetterChatGPT/issues/248",
    applies=has_parameters,
)
async def none_not_sent(subject: Subject, case: Given) -> None:
    """None means not given: no null is sent, and what else was given holds.

    Leave keys whose value is None out of the body; some providers refuse a null.
    """
    run = await subject.ask(case.method, sampling=case.sampling, **case.kwargs)
    if refused(run) and not all(taken(subject, name) for name in {**case.constructor, **case.call}):
        return
    run.must_not_raise()
    nulls = list(
        _nulls({key: value for key, value in run.body.items() if key not in ("messages", "tools")}, "")
    )
    if nulls:
        raise Broken(f"null is sent under {', '.join(nulls)}", run.chats[0].request.body, "request body")
    for name in SAMPLED:
        value = case.call.get(name)
        value = case.constructor.get(name) if value is None else value
        if value is not None and name in subject.parameters(case.method):
            must_carry(subject, run, name, value, "given was")


def _nulls(value: Any, path: str) -> Iterator[str]:
    if value is None:
        yield path
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _nulls(item, f"{path}/{key}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _nulls(item, f"{path}/{number}")


def _anything(subject: Subject) -> st.SearchStrategy[Given]:
    params = sampling(subject.contract).filter(bool)
    return st.builds(Given, st.sampled_from(replying(subject)), params)


@holds_for(_anything, name="property/nothing-dropped", source=SOURCE, applies=has_constructor)
async def nothing_dropped(subject: Subject, case: Given) -> None:
    """Whatever the constructor's `sampling` names is sent, or refused with an error, never dropped in
    silence.

    Refuse unknown names in the constructor, with the known ones in the message.
    """
    run = await subject.ask(case.method, sampling=case.sampling)
    if refused(run):
        return
    run.must_not_raise()
    for name, value in case.constructor.items():
        if value != [] and name not in subject.unsent:
            must_carry(subject, run, name, value, "the constructor says")


def _numbers(subject: Subject) -> list[tuple[str, str]]:
    """The methods with each of their parameters that is a number."""
    return [(one, name) for one in replying(subject) for name in subject.parameters(one) if name != "stop"]


def _has_numbers(subject: Subject) -> str:
    return "" if _numbers(subject) else "neither stream() nor complete() takes a number of the interface"


@st.composite
def _not_numbers(draw: st.DrawFn, subject: Subject) -> Given:
    method, name = draw(st.sampled_from(_numbers(subject)))
    value = draw(st.sampled_from((math.nan, math.inf, -math.inf)))
    if name in subject.sampled and draw(st.booleans()):
        return Given(method, {name: value})
    return Given(method, {}, {name: value})


@holds_for(
    _not_numbers,
    name="property/not-a-number",
    source="https://www.rfc-editor.org/rfc/rfc8259#section-6",
    applies=_has_numbers,
    examples=25,
)
async def not_a_number(subject: Subject, case: Given) -> None:
    """NaN and the infinities are refused before anything is sent: JSON has no form for them.

    Check `math.isfinite`, or write the body with `allow_nan=False`.
    """
    run = await subject.ask(case.method, sampling=case.sampling, **case.kwargs)
    ((name, value),) = {**case.constructor, **case.call}.items()
    if run.chats:
        wire = run.chats[0].request.body
        dropped = not any(f'"{one}"'.encode() in wire for one in {name, *named_by(subject.contract, name)})
        if dropped and not taken(subject, name):
            return  # left out, as it should be
        raise Broken(f"{name}={value!r} was {'dropped' if dropped else 'sent'}", wire, "request body")
    if run.error is None and taken(subject, name):
        raise Broken(f"{name}={value!r} was neither refused nor sent")


@holds_for(sequences, name="property/same-body", source=SOURCE, applies=has_parameters)
async def same_body(subject: Subject, case: Sequence) -> None:
    """The same arguments give the same body, whatever was called in between.

    Keep nothing of a call in the backend; build every body from the arguments and the constructor's values.
    """
    subject.gateway.answer = subject.provider()
    try:
        async with subject.backend(case.first.sampling) as backend:
            runs = [
                await subject.call(backend, one.method, **one.kwargs)
                for one in (case.first, case.between, case.first)
            ]
    except NotMade as error:
        raise Broken(str(error)) from None
    for run in runs:
        run.must_not_raise()
        if not run.chats:
            raise Broken(f"{run.operation} gave a reply that it did not ask the server for")
    before, after = runs[0].chats[0].request.body, runs[2].chats[0].request.body
    if before != after:
        raise Broken(
            f"the same call sent another body the second time; the first was {before!r}", after, "the second"
        )


def _refuses_more_than_text(run: Run, case: Call) -> bool:
    """Whether the client refused, before anything was sent, a conversation that is not of text alone."""
    return refused(run) and not crashed(run) and not (of_text(case.messages) and case.tools is None)


@holds_for(calls, name="property/arguments-untouched", source=SOURCE)
async def arguments_untouched(subject: Subject, case: Call) -> None:
    """A call leaves the caller's messages, tools, stops and sampling as they were.

    Copy what must change: the caller sends the same history again in the next turn.
    """
    history, constructor, kwargs = copy.deepcopy((case.messages, case.given.constructor, case.arguments))
    run = await subject.ask(case.given.method, sampling=constructor, messages=history, **kwargs)
    if _refuses_more_than_text(run, case):
        return
    run.must_not_raise()
    for name, before, after in (
        ("messages", case.messages, history),
        ("the constructor's sampling", case.given.constructor, constructor),
        ("the arguments", case.arguments, kwargs),
    ):
        if before != after:
            raise Broken(f"the call changed {name} of its caller from {before!r} to {after!r}")


@holds_for(calls, name="property/body-accepted", source=SOURCE, examples=30)
async def body_accepted(subject: Subject, case: Call) -> None:
    """Every body is one that the contract's schema takes, and the provider, played strictly, answers it.

    Send only the keys that this provider documents, each under one name, and with the types that it wants.
    """
    keyless = subject.key is None and subject.contract.get("auth.required")
    subject.gateway.answer = subject.provider(
        strict=not keyless
    )  # without a key it would refuse whatever comes
    run = await subject.ask_as_told(
        case.given.method,
        sampling=case.given.sampling,
        messages=copy.deepcopy(case.messages),
        **case.arguments,
    )
    if _refuses_more_than_text(run, case):
        return
    if not run.chats:
        run.must_not_raise()
    wire = run.chats[0].request.body
    for name in subject.parameters(case.given.method):
        if len(sent(subject, run.body, name)) > 1:
            names = " and ".join(sorted(sent(subject, run.body, name)))
            raise Broken(f"one parameter is sent twice, as {names}", wire, "request body")
    violations = subject.contract.violations(run.body)
    if violations:
        said = "; ".join(f"{one.pointer}: {one.message}" for one in violations[:3])
        raise Broken(f"the contract does not take this body: {said}", wire, "request body")
    run.must_not_raise()
