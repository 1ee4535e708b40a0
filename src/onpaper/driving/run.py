"""What happened when a backend was driven once, and what a clause may demand of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from onpaper.answer import asked
from onpaper.contract import Contract
from onpaper.driving.verdict import Broken
from onpaper.exchange import Exchange
from onpaper.script import Script
from onpaper.wire import reading
from onpaper.wire.reading import Reading


class Hung(Exception):
    """The backend was still at it when its time was over."""


@dataclass(slots=True)
class Run:
    """One drive of a backend: what it gave back or raised, and what the gateway saw.

    `phase` is where `error` was raised: `construct`, `call` or `close`. Times are in seconds since the call.
    """

    contract: Contract
    operation: str = ""
    play: str = ""
    pieces: list[Any] = field(default_factory=list)
    value: Any = None
    stats: dict[str, Any] | None = None
    error: BaseException | None = None
    phase: str = ""
    scripts: list[Script] = field(default_factory=list)
    made: list[Exchange] = field(default_factory=list)
    """What was exchanged while the backend was made."""
    exchanges: list[Exchange] = field(default_factory=list)
    connections: int = 0
    strayed: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    marks: dict[str, float] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    key: str | None = None
    model: str = ""
    counting: frozenset[str] = frozenset()
    """The methods that take `stats`."""
    streamed: bool = False
    in_place: bool = False
    """Whether it was answered without a socket where that could be done."""
    ordinary: bool = False
    """Whether nothing about it was out of the ordinary: a plain call, and a plain reply."""

    # ---- what the server said ------------------------------------------------------------------------------------

    @property
    def chats(self) -> list[Exchange]:
        """The exchanges that asked for a completion."""
        return [one for one in self.exchanges if one.request.method == "POST"]

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body of the first chat request. Raises Broken when none was sent or it is not an object."""
        if not self.chats:
            raise Broken(f"{self.operation} sent no request{self._raised()}")
        request = self.chats[0].request
        try:
            value = request.json()
        except ValueError as error:
            raise Broken(f"the request body is not JSON ({error})", request.body, "request body") from None
        if not isinstance(value, dict):
            raise Broken("the request body is not a JSON object", request.body, "request body")
        return value

    @property
    def wire(self) -> bytes:
        """The body bytes of the reply that was played last."""
        return self.scripts[-1].body if self.scripts else b""

    @property
    def reading(self) -> Reading:
        """What the reply that was played last says."""
        if not self.scripts:
            raise Broken(f"{self.operation} sent no request{self._raised()}")
        return read(self.scripts[-1], self.contract)

    # ---- what the backend made of it -----------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """The text that came out. Raises Broken when it is not text."""
        if self.streamed:
            for piece in self.pieces:
                if not isinstance(piece, str):
                    raise Broken(f"stream() yielded {piece!r}, which is not text", self.wire)
            return "".join(self.pieces)
        value = self.result.get("content")
        if value is None:
            return ""
        if not isinstance(value, str):
            raise Broken(f"complete() gave content {value!r}, which is not text", self.wire)
        return value

    @property
    def result(self) -> dict[str, Any]:
        """What complete() gave back. Raises Broken when it raised or gave something else than a mapping."""
        self.must_not_raise()
        if not isinstance(self.value, dict):
            raise Broken(f"complete() gave {type(self.value).__name__}, not a dict with content, tool_calls and usage", self.wire)
        return self.value

    @property
    def usage(self) -> dict[str, Any]:
        """The counts that complete() gave back, empty when it gave none. Raises Broken when they are not a dict."""
        usage = self.result.get("usage") or {}
        if not isinstance(usage, dict):
            raise Broken(f"complete() gave the usage {usage!r}, not a dict", self.wire)
        return usage

    @property
    def given(self) -> str:
        """What came out, in a few words, for a message."""
        if self.error is not None:
            return f"{type(self.error).__name__}: {str(self.error)[:300]}"
        if self.streamed:
            return f"the text {''.join(map(str, self.pieces))[:300]!r} and no error"
        return f"{str(self.value)[:300]} and no error"

    @property
    def refused(self) -> bool:
        """Whether the backend itself refused, before anything was sent. One that hangs has not refused."""
        return self.error is not None and not isinstance(self.error, Hung) and not self.exchanges

    @property
    def asked_for_stream(self) -> bool:
        """Whether the first chat request asked for a stream, as the gateway understands it."""
        return bool(self.chats) and asked(self.body, 0, self.contract).stream

    def _raised(self) -> str:
        return "" if self.error is None else f"; it raised {type(self.error).__name__}: {str(self.error)[:300]}"

    def must_not_raise(self) -> None:
        """Demand that the call came to its end."""
        if isinstance(self.error, Hung):
            raise Broken(f"{self.operation} hung: {self.error}", self.wire or None)
        if self.error is not None:
            raise Broken(f"{self.operation} raised {type(self.error).__name__}: {str(self.error)[:300]}", self.wire or None)

    def must_say(self, what: str | None = None) -> None:
        """Demand the text that the server sent, all of it and nothing else, and no error."""
        self.must_not_raise()
        expected = self.reading.text if what is None else what
        if self.text != expected:
            raise Broken(f"{self.operation} gave {self.text[:300]!r}; the server said {expected[:300]!r}", self.wire)

    def must_raise(self, why: str) -> BaseException:
        """Demand an error, of any type, and give it back."""
        if isinstance(self.error, Hung):
            raise Broken(f"{self.operation} hung instead of raising ({why}): {self.error}", self.wire)
        if self.error is None:
            raise Broken(f"{why}, but {self.operation} gave {self.given}", self.wire)
        if not isinstance(self.error, Exception):
            kind = type(self.error).__name__
            raise Broken(f"{why}, and {self.operation} raised {kind}, which `except Exception` lets pass", self.wire)
        return self.error

    def must_keep_words(self, words: str) -> None:
        """Demand that the error keeps the server's words."""
        error = self.must_raise("the server reported an error")
        if not any(words in text for text in words_of(error)):
            raise Broken(f"the error does not keep the server's words {words!r}: {type(error).__name__}: {str(error)[:300]}", self.wire)


def call_of(call: Any) -> tuple[Any, Any, Any]:
    """Id, name and arguments of a tool call that came out, whichever of the usual shapes it has."""
    if not isinstance(call, dict):
        get = lambda name: getattr(call, name, None)  # noqa: E731
        function = get("function")
        if function is not None:
            return get("id"), getattr(function, "name", None), getattr(function, "arguments", None)
        return get("id"), get("name"), get("arguments")
    function = call.get("function")
    holder = function if isinstance(function, dict) else call
    return call.get("id"), holder.get("name"), holder.get("arguments", holder.get("args", holder.get("input")))


def read(script: Script, contract: Contract) -> Reading:
    """The reading of what a script sends, in the contract's protocol; a body that is no stream is read whole."""
    kind = next((value for name, value in script.headers if name.lower() == "content-type"), "")
    if contract.protocol == "ndjson":
        return reading.read_lines([script.body])
    if "event-stream" in kind:
        return reading.read_stream([script.body], contract.usage_paths)
    return reading.read_reply(script.body, contract.usage_paths)


CRASHES = (TypeError, AttributeError, LookupError, NameError, AssertionError, RecursionError)
"""What a mistake in a program raises, and nobody who refuses something."""


def crashed(run: Run) -> bool:
    """Whether a call failed by a mistake in the backend."""
    return isinstance(run.error, CRASHES)


def chain(error: BaseException) -> Iterator[BaseException]:
    """An exception, what it was raised from or while, and the members of groups."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        todo += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            todo += list(one.exceptions)


def words_of(error: BaseException) -> Iterator[str]:
    """Everything an exception tells whoever holds it: its text, its arguments and its public attributes."""
    for one in chain(error):
        for value in [str(one), repr(one), *one.args, *getattr(one, "__notes__", ())]:
            yield str(value)
        for name, value in list(vars(one).items()):
            if not name.startswith("_"):
                yield from _texts(value)
        response = getattr(one, "response", None)
        for name in ("text", "content", "body"):
            try:
                yield from _texts(getattr(response, name, None))
            except Exception:  # a response whose body was never read says so by raising
                continue


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield value.decode("utf-8", "replace")
    elif isinstance(value, (dict, list)):
        yield json.dumps(value, ensure_ascii=False, default=str)


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an exception carries, wherever clients keep it."""
    for one in chain(error):
        for holder in (one, getattr(one, "response", None)):
            for name in ("status", "status_code", "code", "http_status"):
                value = getattr(holder, name, None)
                if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599:
                    return value
    return None
