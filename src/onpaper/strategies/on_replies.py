"""Properties of what a backend makes of a reply, however it is written, cut and broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from onpaper.driving.run import Hung, Run, call_of
from onpaper.driving.verdict import Broken
from onpaper.exchange import Request
from onpaper.gateway import faults
from onpaper.script import Script
from onpaper.strategies.cuts import Offsets, offsets, recut
from onpaper.strategies.properties import holds_for
from onpaper.strategies.replies import Spoken, replies, spoken
from onpaper.strategies.schedules import SILENT, Schedule, fault_schedules
from onpaper.strategies.shown import Shown
from onpaper.strategies.subject import Subject
from onpaper.wire.reading import Reading

WHATWG = "https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation"
LEFT_OUT = SILENT | {"stall", "bytewise"}
"""A stall shows only to a client with a time-out of its own; cuts have a property of their own."""
GARBLED = {"bad-chunk-size", "bad-status-line"}
"""Faults after which an HTTP library may wait for its own time-out: it cannot tell where the message ends, and some give
the connection up without telling who reads from it."""
WEATHER = {
    "type": "function",
    "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}},
}


@dataclass(frozen=True)
class Cut(Shown):
    """A reply, where its bytes are cut, and how often it is given."""

    reply: Spoken
    offsets: Offsets
    times: int = 1

    @property
    def script(self) -> Script:
        return recut(self.reply.script, self.offsets)

    def __repr__(self) -> str:
        body = self.reply.script.body
        shown = ", ".join(
            f"{at} ({body[max(0, at - 12) : at]!r} | {body[at : at + 12]!r})" for at in self.offsets[:3]
        )
        more = f" and {len(self.offsets) - 3} more" if len(self.offsets) > 3 else ""
        again = f", {self.times} times" if self.times > 1 else ""
        return f"{self.reply!r} cut at {shown or 'nothing'}{more}{again}"


def _cuts(subject: Subject) -> st.SearchStrategy[Cut]:
    reply, times = _replies(subject, framed=True, errors=True), st.sampled_from((1, 2))

    @st.composite
    def cut(draw: st.DrawFn) -> Cut:
        one = draw(reply)
        return Cut(one, draw(offsets(one.script.body)), draw(times))

    return cut()


def _replies(subject: Subject, *, framed: bool, errors: bool) -> st.SearchStrategy[Spoken]:
    """Replies for the methods that there are: streams twice as often, since there bytes get lost."""
    kinds = [True] * 2 * subject.has("stream") + [False] * subject.has("complete")
    return st.one_of([replies(subject.contract, stream=kind, framed=framed, errors=errors) for kind in kinds])


@holds_for(_cuts, name="property/any-framing-any-cut", source=WHATWG, examples=90)
async def any_framing_any_cut(subject: Subject, case: Cut) -> None:
    """Any reply, in any framing that means the same and under any cut, gives the same text, tool calls and
    usage.

    Parse bytes, line by line, and decode UTF-8 only when a line is whole. Start every call from nothing.
    """
    subject.gateway.answer = answering(subject, case.script)
    async with subject.backend() as backend:
        for _ in range(case.times):
            run = await ask(subject, backend, case.reply.asked.stream)
            if asked_otherwise(run, case.reply):
                return
            run.scripts.append(case.script)
            judge(run, case.reply.reading, subject.results)


def answering(subject: Subject, script: Script) -> Callable[[Request], Script]:
    """Answers every chat request with the script, and anything else as the provider does."""
    provider = subject.provider()
    return lambda request: script if provider.kind_of(request) == "chat" else provider(request)


async def ask(subject: Subject, backend: Any, stream: bool) -> Run:
    """A call of the kind that the reply is for."""
    if stream:
        return await subject.call(backend, "stream")
    offered = subject.takes("complete", "tools") and "tools" in subject.contract.keys and "tools" not in subject.unsent
    kwargs: dict[str, Any] = {"tools": [WEATHER]} if offered else {}
    return await subject.call(backend, "complete", **kwargs)


def asked_otherwise(run: Run, reply: Spoken) -> bool:
    """Whether a stream was played to a request for a reply in one piece, or the other way round: no provider does that."""
    return bool(run.chats) and run.asked_for_stream is not reply.asked.stream


def judge(run: Run, reading: Reading, results: frozenset[str]) -> None:
    """Demand that a run gave what the bytes say: the error, or the text, the tool calls and the usage.

    Tool calls that nobody asked for may be refused, unless the backend declares the result `tool_calls`.
    """
    if reading.error is not None or reading.problems:
        said = reading.error.message if reading.error is not None else reading.problems[0]
        run.must_raise(f"the server reported an error ({said})" if reading.error else said)
        return
    declared = not run.streamed or "tool_calls" in results
    if reading.tool_calls and not declared and run.error is not None and not isinstance(run.error, Hung):
        return
    run.must_say(reading.text)
    if declared:
        _judge_calls(run, reading)
    elif reading.tool_calls:
        _must_signal(run, reading)
    _judge_usage(run, reading)


def _must_signal(run: Run, reading: Reading) -> None:
    stats = run.stats or {}
    said = stats.get("tool_calls") or stats.get("done_reason") in ("tool_calls", "tool_use")
    if not said and not reading.text:
        names = [call.name for call in reading.tool_calls]
        raise Broken(
            f"the tools {names} were called, and stream() gave an empty reply without a sign", run.wire
        )


def _judge_calls(run: Run, reading: Reading) -> None:
    wanted = [(call.name, call.decoded) for call in reading.tool_calls]
    offered = (run.stats or {}).get("tool_calls") if run.streamed else run.result.get("tool_calls")
    found = [call_of(call)[1:] for call in offered or ()]
    if found != wanted:
        raise Broken(f"{run.operation} gave the tool calls {found}; the server sent {wanted}", run.wire)


def _judge_usage(run: Run, reading: Reading) -> None:
    if run.streamed and run.stats is None:
        return  # stream() takes no stats
    counts = (run.stats or {}) if run.streamed else run.usage
    names = ("prompt_tokens", "completion_tokens") if run.streamed else ("prompt", "completion")
    usage = reading.usage
    for name, wanted in zip(
        names, (None, None) if usage is None else (usage.prompt, usage.completion), strict=True
    ):
        if (counts.get(name) or 0) != (wanted or 0):
            raise Broken(
                f"{run.operation} counted {counts.get(name)!r} {name}; the server said {wanted!r}", run.wire
            )


# ---- faults ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Faulty(Shown):
    """A reply and what goes wrong with it."""

    reply: Spoken
    schedule: Schedule

    @property
    def script(self) -> Script:
        return faults.apply(self.reply.script, self.schedule)

    def __repr__(self) -> str:
        return f"{self.reply!r} with {list(self.schedule)!r}"


def _faulty(subject: Subject) -> st.SearchStrategy[Faulty]:
    reply = _replies(subject, framed=False, errors=False)

    @st.composite
    def faulty(draw: st.DrawFn) -> Faulty:
        one = draw(reply)
        if not one.reading.text:
            one = replace_text(one)
        return Faulty(one, draw(fault_schedules(one.script, without=LEFT_OUT, socket=subject.socket)))

    return faulty()


def replace_text(reply: Spoken) -> Spoken:
    """The same reply with a text that can be lost."""
    return spoken(reply.contract, replace(reply.say, text=("Hel", "lo")), stream=reply.asked.stream)


@holds_for(
    _faulty,
    name="property/any-fault",
    source="https://github.com/openai/openai-python/issues/2725",
    examples=60,
    socket=True,
)
async def any_fault(subject: Subject, case: Faulty) -> None:
    """Whatever goes wrong on the wire, a call ends in the full text or in an error, never in less that
    looks whole.

    A stream is whole when its finish reason or its sentinel came; anything else is an error with the text
    so far.
    """
    script = case.script
    subject.gateway.answer = answering(subject, script)
    async with subject.backend() as backend:
        run = await ask(subject, backend, case.reply.asked.stream)
    if asked_otherwise(run, case.reply):
        return
    run.scripts.append(script)
    if isinstance(run.error, Hung) and any(one["fault"] in GARBLED for one in case.schedule):
        return
    if run.error is not None and not isinstance(run.error, Hung):
        return
    run.must_say(case.reply.reading.text)
