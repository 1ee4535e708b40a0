"""What a provider may answer, in its own dialect."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import lru_cache
from typing import Any

from hypothesis import strategies as st

from onpaper.contract import Contract
from onpaper.driving.run import read
from onpaper.mock import Call, Say, Trouble
from onpaper.script import Script
from onpaper.strategies.shown import Shown
from onpaper.strategies.texts import names
from onpaper.wire.dialect import Asked, Speaker
from onpaper.wire.reading import Reading
from onpaper.wire.sse import Framing

PIECES = (
    "Hel", "lo", " ", "", ", world", "\n\n", "é", "世界", "🦜", "\u2028", "\x85", "data: x", "[DONE]", '"', "\\", "</think>",
    "\r\n", "\x00", "0",
)  # fmt: skip
ARGUMENTS = ("{}", '{"city":"Paris"}', '{"q":"é\\u2028 \\"x\\"","n":[0,null,-1.5]}', '{"a": {"b": {}}}')


@dataclass(frozen=True, slots=True)
class Spoken(Shown):
    """A reply: what it says, and the script in the provider's dialect that says so."""

    say: Say
    asked: Asked
    contract: Contract
    script: Script

    @property
    def reading(self) -> Reading:
        """What the bytes say, read as strictly as the standard asks."""
        return read(self.script, self.contract)

    def __repr__(self) -> str:
        kind = "stream" if self.asked.stream else "reply"
        return f"<{self.contract.name} {kind}: {_unusual(self.say)}, {len(self.script.body)} bytes>"


def _unusual(value: Any) -> str:
    """A dataclass, in short: the fields that differ from their defaults."""
    if not is_dataclass(value):
        return (
            repr(value)
            if not isinstance(value, tuple)
            else f"({', '.join(map(_unusual, value))},)"
            if value
            else "()"
        )
    shown = [
        f"{one.name}={_unusual(getattr(value, one.name))}"
        for one in fields(value)
        if getattr(value, one.name)
        != (one.default_factory() if callable(one.default_factory) else one.default)
    ]
    return f"{type(value).__name__}({', '.join(shown)})"


def pieces(*, empty: bool = True) -> st.SearchStrategy[tuple[str, ...]]:
    """Text in pieces as a model makes them, with characters that careless readers lose."""
    piece = st.sampled_from(PIECES) | st.text(max_size=4)
    return st.lists(piece, min_size=0 if empty else 1, max_size=6).map(tuple)


def usages() -> st.SearchStrategy[dict[str, int] | None]:
    """Token counts, zero and large ones too, or none at all."""
    count = st.sampled_from((0, 1, 7, 2**31)) | st.integers(0, 5000)
    return (
        st.builds(lambda prompt, completion: {"prompt": prompt, "completion": completion}, count, count)
        | st.none()
    )


def calls() -> st.SearchStrategy[tuple[Call, ...]]:
    """One tool call or several, the arguments in pieces."""
    arguments = st.builds(_in_pieces, st.sampled_from(ARGUMENTS), st.integers(1, 12))
    return st.lists(st.builds(Call, names(), arguments), min_size=1, max_size=2).map(
        lambda some: tuple(replace(call, id=f"call{number:05d}") for number, call in enumerate(some))
    )


def _in_pieces(text: str, size: int) -> tuple[str, ...]:
    return tuple(text[at : at + size] for at in range(0, len(text), size))


@lru_cache(maxsize=64)
def says(contract: Contract, *, errors: bool = True) -> st.SearchStrategy[Say]:
    """What a reply says, whoever says it: text, reasoning, tool calls, finish, usage, an error before or
    within.

    Reasoning is left out where the provider would put it into the text or hide it.
    """
    text, called, counted = pieces(), calls(), usages()
    thought = pieces(empty=False)
    sometimes = st.sampled_from((False, False, False, True))
    finishes = st.sampled_from((None, "length"))
    reasons = _reasons_apart(contract)
    trouble = _troubles(contract)

    @st.composite
    def say(draw: st.DrawFn) -> Say:
        said = draw(text)
        tool_calls = draw(called) if draw(sometimes) else ()
        usage = draw(counted)
        reasoning = draw(thought) if reasons and draw(sometimes) else ()
        finish = None if tool_calls else draw(finishes)
        error = draw(trouble) if errors and draw(sometimes) else None
        if error is not None and error.pieces is not None:
            error = replace(error, pieces=min(error.pieces, max(0, sum(map(bool, said)) - 1)))
        return Say(
            text=said, reasoning=reasoning, tool_calls=tool_calls, usage=usage, finish=finish, error=error
        )

    return say()


def _reasons_apart(contract: Contract) -> bool:
    modes = {contract.get("reply.reasoning", "field"), contract.get("stream.reasoning", "field")}
    return not modes & {"tags", "hidden"}


def _troubles(contract: Contract) -> st.SearchStrategy[Trouble]:
    """An error in the provider's own words: instead of an answer, or after some pieces of text."""
    known = [name for name in SITUATIONS if contract.get(f"errors.{name}")] or [""]
    built = st.builds(Trouble, st.sampled_from(known), pieces=st.sampled_from((None, 0, 1, 2)))
    return built.map(lambda one: one if one.situation else replace(one, status=500, message="It broke."))


SITUATIONS = ("server_error", "rate_limit", "overloaded", "context_length", "content_filter", "forbidden")


def replies(
    contract: Contract, *, stream: bool | None = None, framed: bool = True, errors: bool = True
) -> st.SearchStrategy[Spoken]:
    """Replies in the dialect of a contract: a `Spoken` with what is said (`say`) and how (`script`).

    `stream` chooses between streams and single bodies (None: both). `framed` also varies what the standard
    leaves open in a stream: line ends, comments, spaces (see `framings`). Shrinks to an empty text.

    >>> from hypothesis import given
    >>> from onpaper import Contract
    >>> @given(replies(Contract.load("openai"), errors=False))
    ... def test_a_strict_reader_finds_what_was_said(reply):
    ...     assert reply.reading.text == "".join(reply.say.text)
    >>> test_a_strict_reader_finds_what_was_said()
    """
    said = says(contract, errors=errors)
    streams = st.booleans() if stream is None else st.just(stream)
    written = framings()

    @st.composite
    def reply(draw: st.DrawFn) -> Spoken:
        streamed = draw(streams)
        say = draw(said)
        if streamed and framed and contract.protocol == "sse":
            say = replace(say, framing=framing_table(draw(written)))
        return spoken(contract, say, stream=streamed)

    return reply()


def spoken(contract: Contract, say: Say, *, stream: bool) -> Spoken:
    """A reply put into a contract's words."""
    asked = Asked(stream=stream, usage=True)
    return Spoken(say, asked, contract, Speaker(contract, asked).script(say))


def framings() -> st.SearchStrategy[Framing]:
    """Ways to write an event stream that mean the same. Shrinks to the plainest: LF, no comment, no BOM.

    >>> from hypothesis import given
    >>> from onpaper.wire.sse import Event, decode, encode, opening
    >>> @given(framings())
    ... def test_framing_changes_nothing(framing):
    ...     events, cut = decode([opening(framing) + encode(Event("message", "{}"), framing)])
    ...     assert [event.data for event in events] in (["{}"], ["{\\n}"]) and not cut
    >>> test_framing_changes_nothing()
    """
    comments = st.sampled_from(((), ("",), ("PROCESSING", "")))
    further = st.sampled_from(
        ((), (("id", "7"),), (("retry", "3000"), ("id", "")), (("", ""),), (("x-unknown", "y"),))
    )
    return st.builds(
        Framing,
        newline=st.sampled_from(("lf", "crlf", "cr", "crlf")),
        space=st.sampled_from((True, False)),
        bom=st.booleans(),
        multiline=st.booleans(),
        comments=comments,
        keepalive=st.sampled_from((None, "", "keep-alive")),
        fields=further,
        blank=st.sampled_from((1, 2)),
    )


def framing_table(framing: Framing) -> Mapping[str, Any]:
    """What of a framing is unusual, as a mock's `framing` table."""
    usual = Framing()
    return {
        one.name: getattr(framing, one.name)
        for one in fields(Framing)
        if getattr(framing, one.name) != getattr(usual, one.name)
    }


def arguments_of(call: Call) -> Any:
    """The arguments of a tool call as a value."""
    return json.loads("".join(call.arguments) or "{}")
