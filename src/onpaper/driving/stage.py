"""Drives one declared backend: each distinct drive happens once and is remembered."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import ssl
import time
from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from onpaper.driving.acts import MESSAGES, Act, completing, copied, signature, streaming, takes
from onpaper.driving.declaration import Declared
from onpaper.driving.guard import guarded
from onpaper.driving.hall import Hall
from onpaper.driving.play import Play, answer_of
from onpaper.driving.run import Hung, Run
from onpaper.driving.verdict import NotApplicable
from onpaper.errors import BadInput
from onpaper.exchange import Request
from onpaper.gateway import Server
from onpaper.gateway.answering import Unanswerable
from onpaper.gateway.tls import server_context
from onpaper.script import Script

KEY = "sk-onpaper-Canary7Qd2fXw9"
"""The key of a run: nobody's, and recognisable wherever it turns up."""

HELLO = Play("hello")
PATIENCE = 6.0
"""How long one drive may take, in seconds; halved with each that hangs."""
GRACE = 1.5
"""Seconds that a drive has beyond its patience to be cancelled in; a subject that needs more cannot be stopped. Less
after one that did."""

FIRST = 40.0
"""How long the first backend may take to be made, in seconds: a factory may import a large library."""

CORES = os.cpu_count() or 1

INTERFACE = ("stream", "complete", "prefill", "list_models", "set_model", "aclose")
"""The methods that a backend may have."""


@dataclass(frozen=True)
class Setup:
    """How a backend is made for a drive: the key in the environment, what follows the gateway's root in `base_url`,
    further factory arguments, further environment, whether the gateway plays strictly, and whether it speaks TLS with
    a certificate that nobody vouches for."""

    key: str | None = KEY
    suffix: str = ""
    args: tuple[tuple[str, Any], ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    strict: bool = False
    model: str = ""
    userinfo: str = ""
    url_from_env: bool = False
    untrusted: bool = False


PLAIN = Setup()


@dataclass
class Stage:
    """One backend, its gateway and what was seen of it so far."""

    declared: Declared
    hall: Hall
    factory: Callable[..., Any]
    seen: dict[Hashable, Run] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    in_place: bool = True
    """Whether the other cuts of a reply are played without a socket: each is exact there, and takes a third of the time."""
    looked_at: int = 0
    """How many of the runs have been shown to the clauses that look at everything."""
    patience: float = PATIENCE
    pace: float = 1.0
    grace: float = GRACE
    closing: float = PATIENCE / 2
    """How long closing a backend may take; a quarter of it after one that hangs, and none are closed after two, since
    every drive ends with one."""
    stopped: str = ""
    """The property that had to be stopped, and how: the others would end in the same way."""
    strayed: list[str] = field(default_factory=list)
    """The hosts that the factory's module tried to reach while it was imported."""
    due: float | None = None
    """Until when (monotonic seconds) the step that the subject is in must be over."""
    hanging: dict[str, str] = field(default_factory=dict)
    """The operations that hang on an ordinary reply, and how: they are not driven again."""
    suspects: set[str] = field(default_factory=lambda: {"stream()", "complete()", "prefill()", "list_models()"})
    """The operations that nobody has tried yet, or that hung on some reply: the ordinary one comes before the next."""
    driving: tuple[Run, Hashable] | None = None
    """The drive that goes on, and what it will be remembered by."""
    methods: dict[str, inspect.Signature | None] | None = None
    """The methods of the interface that a backend has, with their signatures as far as Python can tell them; of the
    first backend that was made, since a factory may be a function, and a method may be set on the instance."""
    untaken: set[tuple[str, str]] = field(default_factory=set)
    """Methods (and `__init__`, the factory) that take any keyword by their signature, each with a parameter that whom they
    hand it to does not know."""

    @property
    def contract(self) -> Any:
        return self.declared.contract

    @property
    def keyed(self) -> bool:
        """Whether the declaration says how the backend gets its key."""
        return bool(self.declared.key_variables)

    # ---- the drives that most clauses share ----------------------------------------------------------------------

    async def stream(self, play: Play = HELLO, setup: Setup = PLAIN, **kwargs: Any) -> Run:
        """Drive `stream()` to its end; `kwargs` are arguments of the call. Raises NotApplicable when there is none."""
        self.needs("stream")
        return await self.drive("stream()", streaming(**kwargs), play, setup, memo=("stream", _frozen(kwargs)))

    async def complete(self, play: Play = HELLO, setup: Setup = PLAIN, **kwargs: Any) -> Run:
        """Drive `complete()`. Raises NotApplicable when there is none."""
        self.needs("complete")
        return await self.drive("complete()", completing(**kwargs), play, setup, memo=("complete", _frozen(kwargs)))

    async def call(self, method: str, play: Play = HELLO, setup: Setup = PLAIN, *args: Any) -> Run:
        """Drive `prefill`, `list_models` or `set_model` with the given arguments."""

        async def act(backend: Any, run: Run) -> None:
            value = getattr(backend, method)(*args)
            run.value = await value if inspect.isawaitable(value) else value

        return await self.drive(f"{method}()", act, play, setup, memo=(method, _frozen(args)))

    async def drive(
        self,
        operation: str,
        act: Act,
        play: Play | Callable[[Request], Script] = HELLO,
        setup: Setup = PLAIN,
        *,
        memo: Hashable = None,
        patience: float | None = None,
        waits: float = 0.0,
        in_place: bool | None = None,
    ) -> Run:
        """Make a backend, let `act` use it, close it, and give back what happened.

        `waits` is how long (seconds) `act` itself may wait for something to show in the journal: that is beyond the
        subject's time. `in_place` tells that no socket is needed, as it is for the other cuts of a reply.

        Drives of the same `memo` are done once. An error of the subject ends up in the run, never here.
        """
        key = None if memo is None else (memo, play, repr(setup))
        if key is not None and key in self.seen:
            return self.seen[key]
        if operation.endswith("()") and operation != "aclose()" and operation.removesuffix("()") in INTERFACE:
            self.needs(operation.removesuffix("()"))
        if operation in self.suspects:
            self.suspects.discard(operation)
            await self._ordinary(operation)
        run = Run(self.contract, operation, play.id if isinstance(play, Play) else "", key=setup.key)
        run.streamed = operation == "stream()"
        run.model = setup.model or self.declared.model_name
        recut = isinstance(play, Play) and play.recut
        run.in_place = self.in_place and (recut if in_place is None else in_place)
        run.ordinary = memo in ORDINARY and play == HELLO and setup == PLAIN
        self.driving = run, key
        if operation in self.hanging:
            run.error, run.phase = Hung(self.hanging[operation]), "call"
            run.marks["start"] = run.marks["end"] = time.monotonic()
        else:
            async with self.backend(run, play, setup) as backend:
                if backend is not None:
                    await self.perform(act, backend, run, (patience or self.patience) * self.slowness() + waits)
            self._note_hanging(run)
        if failure := run.notes.get("own failure"):
            if isinstance(failure, BadInput):
                raise NotApplicable(f"the provider's reply gives nothing to play it with: {failure}")
            raise RuntimeError("the gateway could not answer") from failure
        self._remember(run, key)
        return run

    def _remember(self, run: Run, key: Hashable) -> None:
        self.driving = None
        self.runs.append(run)
        if key is not None:
            self.seen[key] = run

    async def _ordinary(self, operation: str) -> None:
        """Drive an operation with an ordinary reply."""
        if operation in ("stream()", "complete()"):
            await (self.stream() if operation == "stream()" else self.complete())
        elif operation in ("prefill()", "list_models()"):
            given = (copied(MESSAGES),) if operation == "prefill()" else ()
            await self.call(operation.removesuffix("()"), HELLO, PLAIN, *given)

    def over_sockets(self) -> bool:
        """Play everything over a socket from now on, and forget what was not. Tells whether there was any."""
        without = [run for run in self.runs if run.in_place] if self.in_place else []
        for run in without:
            run.notes["judged"] = True  # and no clause blames it for its requests
        self.seen = {key: run for key, run in self.seen.items() if not run.in_place}
        self.in_place = self.in_place and not without
        return bool(without)

    def _note_hanging(self, run: Run) -> None:
        if not isinstance(run.error, Hung):
            return
        if run.ordinary:
            self.hanging[run.operation] = f"{run.error}, on an ordinary reply"
        else:
            self.suspects.add(run.operation)

    def left_behind(self, why: str) -> bool:
        """Note that the drive that went on was given up. Tells whether asking for it again gives what was noted."""
        if self.driving is None:
            return False
        (run, key), self.driving, self.due = self.driving, None, None
        run.error, run.phase = Hung(why), "call"
        run.marks["end"] = time.monotonic()
        server = run.notes.pop("server", None)
        if server is not None:
            run.exchanges, run.connections = server.journal[len(run.made) :], server.journal.connections
        self.patience, self.grace = max(1.0, self.patience / 2), GRACE / 4
        self._note_hanging(run)
        self._remember(run, key)
        return key is not None

    def slowness(self) -> float:
        """What the usual times are multiplied by: how many times slower than an idle machine this one is (the load of
        each core, at least 1), and the judge's patience."""
        try:
            return self.pace * max(1.0, os.getloadavg()[0] / CORES)
        except (OSError, AttributeError):  # Windows does not say
            return self.pace

    async def perform(self, act: Act, backend: Any, run: Run, patience: float) -> None:
        """Let `act` use a backend for at most `patience` seconds. An error of the subject ends up in the run."""
        start = time.monotonic()
        run.marks["start"] = start
        self._due_in(patience)
        try:
            async with asyncio.timeout(patience) as limit:
                await act(backend, run)
        except TimeoutError as error:
            hung = limit.expired()
            run.error = Hung(f"no end within {patience:g} s") if hung else error
            if hung:
                self.patience = max(1.0, self.patience / 2)
        except NotApplicable:
            raise
        except asyncio.CancelledError as error:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise  # it was cancelled from here; any other is the subject's own
            run.error = error
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            run.error = error
        run.phase = run.phase or ("call" if run.error is not None else "")
        run.marks["end"] = time.monotonic()

    def _due_in(self, patience: float) -> None:
        self.due = time.monotonic() + patience + self.grace * self.slowness()

    @contextlib.asynccontextmanager
    async def backend(
        self, run: Run, play: Play | Callable[[Request], Script] = HELLO, setup: Setup = PLAIN
    ) -> AsyncIterator[Any]:
        """A fresh backend on a gateway of its own; yields None when it could not be made (the run says why)."""
        key = KEY if self.keyed else None
        answer = answer_of(play, self.contract, strict=setup.strict, key=key) if isinstance(play, Play) else play

        def keeping(request: Request) -> Script:
            try:
                script = answer(request)
            except Unanswerable:
                raise
            except Exception as error:
                run.notes["own failure"] = error
                raise
            if request.method == "POST":
                run.scripts.append(script)
            return script

        before = set(asyncio.all_tasks())
        tls = untrusted() if setup.untrusted else None
        with (
            self.hall.gateway(keeping, tls) as server,
            guarded(self.environment(server, setup)) as strayed,
            _answering_in_place(server) if run.in_place else contextlib.nullcontext(),
        ):
            run.notes["url"], run.notes["server"] = server.url, server
            self._due_in(FIRST if self.methods is None else self.patience)
            try:
                backend = await self.made(server, setup)
            except (Exception, SystemExit) as error:
                run.error, run.phase = error, "construct"
                yield None
            else:
                self._look_at(backend)
                run.counting = self.counting
                run.made = server.journal[:] if server.journal.total else []
                try:
                    yield backend
                finally:
                    await self.closed(backend, run)
            await self._settle(run, before)
        run.exchanges, run.connections = server.journal[len(run.made) :], server.journal.connections
        self.due = None
        run.strayed = strayed
        run.notes.pop("server", None)

    def make(self, server: Server, setup: Setup = PLAIN) -> Any:
        """A backend that talks to a gateway."""
        args = {"model": setup.model or self.declared.model_name, **self.declared.args, **dict(setup.args)}
        usual = self.declared.args.get("sampling", getattr(self.factory, "keywords", {}).get("sampling"))
        if isinstance(usual, Mapping) and isinstance(args.get("sampling"), Mapping):
            # what a clause gives stands beside what the declaration or a partial gives always
            args["sampling"] = {**usual, **{name: value for name, value in args["sampling"].items() if value is not None}}
        root = server.url
        if setup.userinfo:
            root = root.replace("://", f"://{setup.userinfo}@")
        if not setup.url_from_env:
            args["base_url"] = root + setup.suffix
        return self.factory(**args)

    async def made(self, server: Server, setup: Setup = PLAIN) -> Any:
        """The same, also of a factory that has to be awaited."""
        backend = self.make(server, setup)
        return await backend if inspect.isawaitable(backend) else backend

    def environment(self, server: Server, setup: Setup = PLAIN) -> dict[str, str | None]:
        """The variables of a drive; None is one that must not be set."""
        env: dict[str, str | None] = {}
        for name, value in self.declared.env.items():
            if "{key}" in value and setup.key is None:
                env[name] = None
            else:
                env[name] = value.replace("{key}", setup.key or "").replace("{base_url}", server.url + setup.suffix)
        return env | {name: value.replace("{base_url}", server.url) for name, value in setup.env}

    async def closed(self, backend: Any, run: Run) -> None:
        """Close a backend. What goes wrong is noted in the run."""
        closing = getattr(backend, "aclose", None) or getattr(backend, "close", None)
        if closing is None or self.closing < 0.5:
            return
        patience = self.closing * self.slowness()
        self._due_in(patience)
        try:
            async with asyncio.timeout(patience) as limit:
                value = closing()
                if inspect.isawaitable(value):
                    await value
        except TimeoutError as error:
            run.notes["close error"] = Hung(f"no end within {patience:g} s") if limit.expired() else error
            self.closing /= 4
        except (Exception, SystemExit) as error:
            run.notes["close error"] = error

    async def _settle(self, run: Run, before: set[Any]) -> None:
        """Give what the backend started a few turns to end, then note what is still there."""
        for _ in range(5):
            await asyncio.sleep(0)
        left = [task for task in asyncio.all_tasks() - before if task is not asyncio.current_task() and not task.done()]
        # a generator that the collector finalises is closed by a task of the loop's own
        run.leftovers = [repr(task.get_coro()) for task in left if "async_generator" not in repr(task.get_coro())]
        for task in left:
            task.cancel()
        if left:
            await asyncio.gather(*left, return_exceptions=True)

    # ---- what the backend offers ---------------------------------------------------------------------------------

    def needs(self, method: str) -> None:
        """Demand that the backend has a method. Raises NotApplicable."""
        if self.methods is not None and method not in self.methods:
            raise NotApplicable(f"the backend has no {method}()")

    def takes(self, method: str, parameter: str) -> bool:
        """Whether a method's signature takes a parameter; one that Python cannot tell takes everything.

        `__init__` stands for the factory.
        """
        if method == "__init__":
            return (method, parameter) not in self.untaken and takes(signature(self.factory), parameter)
        if self.methods is None:
            return True
        if method not in self.methods or (method, parameter) in self.untaken:
            return False
        return parameter == "self" or takes(self.methods[method], parameter)

    @property
    def counting(self) -> frozenset[str]:
        """The methods for a reply that take `stats`."""
        return frozenset(name for name in ("stream", "complete") if self.takes(name, "stats"))

    def _look_at(self, backend: Any) -> None:
        """Note what a backend offers."""
        if self.methods is None:
            found = {name: getattr(backend, name, None) for name in INTERFACE}
            self.methods = {name: signature(method) for name, method in found.items() if callable(method)}


def _answering_in_place(server: Server) -> contextlib.AbstractContextManager[None]:
    from onpaper.gateway.httpcore_face import answering_in_place  # and with it httpx

    return answering_in_place(server)


@lru_cache(maxsize=1)
def untrusted() -> ssl.SSLContext:
    """TLS with a certificate of its own making, for this machine and without an end."""
    both = Path(__file__).with_name("untrusted.pem")
    return server_context(both, both)


def _frozen(value: Any) -> Hashable:
    if isinstance(value, Mapping):
        return tuple(sorted((key, _frozen(item)) for key, item in value.items()))
    if isinstance(value, (list, tuple)):
        return tuple(_frozen(item) for item in value)
    return value if isinstance(value, Hashable) else repr(value)


ORDINARY = ("prefill", ("stream", ()), ("complete", ()), ("list_models", ()), ("prefill", _frozen((copied(MESSAGES),))))
"""What drives are remembered by whose call has nothing out of the ordinary."""
