"""The backend that a property judges, the gateway it talks to, and one call of it."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from onpaper.answer import Provider
from onpaper.contract import Contract
from onpaper.driving.run import Hung, Run
from onpaper.exchange import Exchange, Request
from onpaper.mock import Mock, Say
from onpaper.script import Script
from onpaper.strategies.shown import Shown

Kwargs = dict[str, Any]
METHODS = ("stream", "complete")
"""The methods that get a reply."""
SAMPLED = ("temperature", "top_k", "top_p", "presence_penalty")
"""The parameters that a backend takes with a call and from its constructor's `sampling`."""
BY_CALL = ("max_tokens", "stop")
"""The parameters that it takes with a call only."""

HELLO = Mock("hello", "A greeting", (Say(text=("Hel", "lo")),))
MESSAGES = [{"role": "user", "content": "hi"}]


class Journal(Protocol):
    """What reached a gateway, in order."""

    def mark(self) -> int: ...
    def since(self, mark: int, /) -> Iterable[Exchange]: ...


class Gateway(Protocol):
    """A gateway that this thread may give another answer at any time: on a socket, or without one."""

    answer: Callable[[Request], Script]

    @property
    def journal(self) -> Journal: ...


def takes_all(method: str, parameter: str) -> bool:
    """A backend whose methods take every parameter of the interface."""
    return True


def takes_of(backend: type) -> Callable[[str, str], bool]:
    """What the methods of a class take, by their signatures; one that cannot be read takes everything."""

    def takes(method: str, parameter: str) -> bool:
        if not callable(getattr(backend, method, None)):
            return False
        try:
            parameters = inspect.signature(getattr(backend, method)).parameters
        except (TypeError, ValueError):
            return True
        return parameter in parameters or any(one.kind is one.VAR_KEYWORD for one in parameters.values())

    return takes


@dataclass(repr=False)
class Subject(Shown):
    """A backend to be judged.

    `make()` makes a fresh one that talks to the gateway, with its own defaults; `make(sampling={…})` gives
    its constructor that. `takes(method, parameter)` tells which parameters of the interface a method has,
    `sampling` of `__init__`, and `self` of a method that there is (see `takes_of`). `key` is the key that
    the backend was given, or None. `socket` tells whether the gateway has one. A call may take `patience`
    seconds; half of that after one that hung.
    """

    make: Callable[..., Any]
    contract: Contract
    gateway: Gateway
    key: str | None = None
    takes: Callable[[str, str], bool] = takes_all
    socket: bool = True
    patience: float = 5.0
    results: frozenset[str] = frozenset({"tool_calls"})
    """The optional results that the backend declares, and is held to."""
    unsent: frozenset[str] = frozenset()
    """The parameters of the interface that it declares to refuse or to ignore."""
    defaults: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    providers: dict[tuple[str, bool], Provider] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        return f"<a backend of {self.contract.name}>"

    def provider(self, mock: Mock = HELLO, *, strict: bool = False) -> Provider:
        """The provider that answers to this backend, from its first reply on."""
        known = self.providers.get((mock.name, strict))
        if known is None or known.mock is not mock:
            known = self.providers[mock.name, strict] = Provider(self.contract, mock, strict=strict, key=self.key)
        return known.afresh()

    def parameters(self, method: str) -> list[str]:
        """The parameters of the interface that the method takes."""
        return [
            name
            for name in (*SAMPLED, *BY_CALL)
            if self.has(method) and self.takes(method, name) and name not in self.unsent
        ]

    @property
    def sampled(self) -> list[str]:
        """The parameters that the constructor's `sampling` may name; none when there is no such argument.

        Those that a method takes, too: what none takes, a factory may refuse. All of them when the methods take none.
        """
        names = [name for name in SAMPLED if name not in self.unsent] if self.configurable else []
        known = [name for name in names if any(self.has(one) and self.takes(one, name) for one in METHODS)]
        return known or names

    def has(self, method: str) -> bool:
        """Whether there is such a method."""
        return self.takes(method, "self")

    @property
    def configurable(self) -> bool:
        """Whether the constructor takes `sampling`."""
        return self.takes("__init__", "sampling") and "sampling" not in self.unsent

    async def ask(self, method: str, *, sampling: Mapping[str, Any] | None = None, **kwargs: Any) -> Run:
        """One call of a fresh backend, answered with a greeting, or by what the gateway was told to answer."""
        self.gateway.answer = self.provider()
        return await self.ask_as_told(method, sampling=sampling, **kwargs)

    async def ask_as_told(
        self, method: str, *, sampling: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> Run:
        """The same, answered by what the gateway was told to answer."""
        mark = self.gateway.journal.mark()
        try:
            async with self.backend(sampling) as backend:
                return await self.call(backend, method, **kwargs)
        except NotMade as error:
            run = Run(self.contract, "the factory", error=error.__cause__, phase="construct")
            run.exchanges = list(self.gateway.journal.since(mark))
            return run

    @contextlib.asynccontextmanager
    async def backend(self, sampling: Mapping[str, Any] | None = None) -> AsyncIterator[Any]:
        """A fresh backend, closed in the end. Raises NotMade when its constructor raises."""
        try:
            made = self.make(sampling=sampling) if sampling else self.make()
            backend = await made if inspect.isawaitable(made) else made
        except Exception as error:
            raise NotMade(f"the factory raised {type(error).__name__}: {str(error)[:300]}") from error
        try:
            yield backend
        finally:
            await close(backend)

    async def call(
        self, backend: Any, method: str, messages: Sequence[Mapping[str, Any]] | None = None, **kwargs: Any
    ) -> Run:
        """One call of a backend, from its arguments to all that came of it. What it raises ends up in the
        run."""
        run = Run(self.contract, f"{method}()", key=self.key)
        run.streamed = method == "stream"
        if self.takes(method, "stats"):
            run.stats = {}
            kwargs["stats"] = run.stats
        mark = self.gateway.journal.mark()
        messages = copy.deepcopy(MESSAGES) if messages is None else messages
        try:
            async with asyncio.timeout(self.patience) as limit:
                if run.streamed:
                    source = backend.stream(messages, **kwargs)
                    async for piece in await source if inspect.isawaitable(source) else source:
                        run.pieces.append(piece)
                else:
                    run.value = await getattr(backend, method)(messages, **kwargs)
        except TimeoutError as error:
            run.error = Hung(f"no end within {self.patience:g} s") if limit.expired() else error
            if limit.expired():
                self.patience = max(0.5, self.patience / 2)
        except Exception as error:
            run.error = error
        run.phase = "call" if run.error is not None else ""
        run.exchanges = list(self.gateway.journal.since(mark))
        return run

    async def default_body(self, method: str) -> dict[str, Any]:
        """The body that the method sends when it is given messages and nothing else."""
        if method not in self.defaults:
            run = await self.ask(method)
            run.must_not_raise()
            self.defaults[method] = run.body
        return self.defaults[method]


class NotMade(Exception):
    """The constructor of a backend raised; `__cause__` is what."""


async def close(backend: Any) -> None:
    """Close a backend, if it can be closed. What goes wrong there is another clause's business."""
    closing = getattr(backend, "aclose", None) or getattr(backend, "close", None)
    if closing is not None:
        with contextlib.suppress(Exception):
            value = closing()
            if inspect.isawaitable(value):
                await value
