"""What the fake gateway says this time and how it goes wrong: a `mocks/<mock>.toml`, provider-neutral.

A mock says *what* (text, tool calls, an error, pacing, faults); the contract it is played with says *how*.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onpaper import folders
from onpaper.datafile import check, read_toml, situations
from onpaper.errors import BadInput, nearest

Pieces = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call to make: the arguments are JSON text in pieces."""

    name: str
    arguments: Pieces = ("{}",)
    id: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """Which requests a reply is for; what is None does not matter."""

    model: str | None = None
    contains: str | None = None
    path: str | None = None
    stream: bool | None = None
    tools: bool | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trouble:
    """An error to answer with: a situation of the contract, members of its own, or both.

    `retry_after` is in seconds; with `retry_after_date` it goes out as an HTTP date. `pieces` is how many pieces
    of an answer go out before it (None: it is the whole answer).
    """

    situation: str = ""
    status: int | None = None
    message: str | None = None
    type: str | None = None
    code: Any = None
    param: str | None = None
    retry_after: float | None = None
    retry_after_date: bool = False
    pieces: int | None = None


@dataclass(frozen=True, slots=True)
class Injection:
    """An event put before the event of number `at`: data in the provider's framing, or raw bytes."""

    at: int
    data: str | None = None
    event: str = "message"
    raw: bytes | None = None


@dataclass(frozen=True, slots=True)
class Say:
    """One reply of a mock, as data. Pauses are in seconds, counts in tokens."""

    text: Pieces = ()
    reasoning: Pieces = ()
    refusal: Pieces = ()
    tool_calls: tuple[Call, ...] = ()
    finish: str | None = None
    usage: Mapping[str, int] | None = field(default_factory=lambda: {"prompt": 11, "completion": 7})
    error: Trouble | None = None
    status: int | None = None
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    events: tuple[str, ...] | None = None
    inject: tuple[Injection, ...] = ()
    framing: Mapping[str, Any] = field(default_factory=dict)
    head_after: float = 0.0
    first_after: float = 0.0
    between: float = 0.0
    faults: tuple[Mapping[str, Any], ...] = ()
    match: Match = Match()
    times: int | None = None

    @property
    def ending(self) -> str:
        """Why it ends: what the mock says, or what follows from what it says."""
        return self.finish or ("tool_calls" if self.tool_calls else "stop")


@dataclass(frozen=True, slots=True)
class Mock:
    """A named sequence of replies: each is given `times` times (once unless said), the last one for ever."""

    name: str
    about: str
    replies: tuple[Say, ...]
    protocol: str | None = None
    models: tuple[str, ...] = ()
    path: Path | None = None

    @classmethod
    def load(cls, name: str, project: Path | None = None) -> Mock:
        """The mock of that name: the project's own `mocks/` first. Raises BadInput."""
        return cls.read(folders.find("mocks", name, project=project))

    @classmethod
    def read(cls, path: Path) -> Mock:
        """The mock in that file. Raises BadInput that names the file, the key and the known keys."""
        return _mock(path.stem, read_toml(path, "mock"), path)

    @classmethod
    def of(cls, value: Mapping[str, Any], name: str = "inline") -> Mock:
        """A mock from a value of the same shape as the file, such as one posted to the gateway. Raises BadInput."""
        check(dict(value), "mock", name)
        return _mock(name, value, None)


def _mock(name: str, value: Mapping[str, Any], path: Path | None) -> Mock:
    for number, reply in enumerate(value["reply"]):
        for problem in _problems(reply):
            raise BadInput(f"{path or name}: reply.{number}{problem}")
    return Mock(
        name,
        value["about"],
        tuple(_say(reply) for reply in value["reply"]),
        value.get("protocol"),
        tuple(value.get("models", ())),
        path,
    )


def _problems(reply: Mapping[str, Any]) -> Iterator[str]:
    """What a JSON Schema would not say well: the place in the reply, and what is wrong there."""
    if "error" in reply and "error_after" in reply:
        yield ": error is the whole answer and error_after is not; keep one of them"
    for key in ("error", "error_after"):
        error = reply.get(key, {})
        situation = error if isinstance(error, str) else error.get("situation")
        if situation is not None and situation not in situations():
            yield f".{key}: {situation!r} is no situation that contracts have words for{nearest(situation, situations())}"
    for number, injection in enumerate(reply.get("inject", ())):
        said = [name for name in ("data", "raw", "hex") if name in injection]
        if len(said) != 1:
            yield f".inject.{number}: one of data, raw and hex says what to inject; found {' and '.join(said) or 'none'}"
        elif said == ["hex"] and _bytes(injection["hex"]) is None:
            yield f".inject.{number}.hex: {injection['hex']!r} is not hexadecimal, such as '0d 0a'"


def _bytes(digits: str) -> bytes | None:
    try:
        return bytes.fromhex(digits)
    except ValueError:
        return None


def words(value: str | list[str] | None) -> Pieces:
    """The pieces of a text: as given, or cut after each word."""
    if isinstance(value, str):
        return tuple(re.findall(r"\S*\s*", value)[:-1]) or ((value,) if value else ())
    return tuple(value or ())


def _say(reply: Mapping[str, Any]) -> Say:
    plain = {key: reply[key] for key in ("finish", "status", "content_type", "headers", "body", "times") if key in reply}
    usage = reply.get("usage", True)
    pacing = reply.get("pacing", {})
    if usage is not True:
        plain["usage"] = dict(usage) if usage else None
    error = reply.get("error", reply.get("error_after"))
    return Say(
        text=words(reply.get("text")),
        reasoning=words(reply.get("reasoning")),
        refusal=words(reply.get("refusal")),
        tool_calls=tuple(_call(call) for call in reply.get("tool_calls", ())),
        error=None if error is None else _trouble(error, "error_after" in reply),
        events=tuple(reply["events"]) if "events" in reply else None,
        inject=tuple(
            Injection(i["at"], i.get("data"), i.get("event", "message"), _raw(i)) for i in reply.get("inject", ())
        ),
        framing={key: _tuples(item) for key, item in reply.get("framing", {}).items()},
        head_after=pacing.get("head", 0.0),
        first_after=pacing.get("first", 0.0),
        between=pacing.get("between", 0.0),
        faults=tuple(reply.get("faults", ())),
        match=Match(**reply.get("match", {})),
        **plain,
    )


def _raw(injection: Mapping[str, Any]) -> bytes | None:
    if "hex" in injection:
        return _bytes(injection["hex"])
    return injection["raw"].encode() if "raw" in injection else None


def _call(call: Mapping[str, Any]) -> Call:
    arguments = call.get("arguments", "{}")
    return Call(call["name"], (arguments,) if isinstance(arguments, str) else tuple(arguments), call.get("id", ""))


def _trouble(error: str | Mapping[str, Any], inside: bool) -> Trouble:
    members = {"situation": error} if isinstance(error, str) else dict(error)
    if inside:
        members.setdefault("pieces", 1)
    return Trouble(**members)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
