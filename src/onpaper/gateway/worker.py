"""One worker process: a server with sessions and a journal of its own, told by its parent what to do."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

from onpaper.errors import BadInput
from onpaper.exchange import Request
from onpaper.gateway.answering import Answer, refusal
from onpaper.gateway.entry import Counts, Entry
from onpaper.gateway.journal import Journal
from onpaper.gateway.journal_file import JournalFile
from onpaper.gateway.limits import Limits
from onpaper.gateway.operation import PREFIX
from onpaper.gateway.scripting import answer_for
from onpaper.gateway.server import Server, listen
from onpaper.gateway.sessions import Sessions
from onpaper.gateway.thread import new_event_loop
from onpaper.script import Script


@dataclass(frozen=True)
class Job:
    """What a worker needs to know to start. `certificate` and `key` are PEM files."""

    host: str
    port: int
    said: Mapping[str, Any]
    limits: Limits = field(default_factory=Limits)
    allow_remote: bool = False
    journal_file: str | None = None
    echo: bool = False
    certificate: Path | None = None
    key: Path | None = None


@dataclass
class Books:
    """The journal of one session in one worker, as it is sent to the parent."""

    total: int
    dropped: int
    connections: int
    counts: Counts
    entries: list[Entry]
    refusals: list[str]


def run(job: Job, pipe: Pipe) -> None:
    """The body of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops us, also after Ctrl-C
    loop = new_event_loop()
    try:
        loop.run_until_complete(_Worker(job, pipe).run())
    finally:
        loop.close()


class _Worker:
    def __init__(self, job: Job, pipe: Pipe) -> None:
        self._job = job
        self._pipe = pipe
        self._misdirected = Journal(exchanges=1)

    async def run(self) -> None:
        job = self._job
        try:
            tls = _context(job)
            answer = answer_for(job.said)
            file = self._file = JournalFile(job.journal_file, job.echo) if job.journal_file else None
            listening = listen(job.host, job.port, allow_remote=job.allow_remote, share=True)
            self._server = Server(answer, limits=job.limits, listening=listening, tls=tls)
            self._sessions = Sessions(
                self._server.url,
                self._server.answer,
                self._server.journal,
                attach=file.attach if file else None,
            )
            self._server.route = self._route
            await self._server.start()
        except BadInput as error:
            self._pipe.send(("failed", str(error)))
            return
        loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        loop.add_reader(self._pipe.fileno(), self._command)
        self._pipe.send(("ready", None))
        await self._stopped.wait()

    def _route(self, request: Request) -> tuple[Answer, Journal, Request]:
        if request.target.startswith(PREFIX):
            return _misdirected, self._misdirected, request
        return self._sessions.route(request)

    def _command(self) -> None:
        """A command of the parent has come, or the parent is gone."""
        try:
            name, *arguments = self._pipe.recv()
        except (EOFError, OSError):
            name, arguments = "stop", []
        if name == "stop":
            asyncio.get_running_loop().remove_reader(self._pipe.fileno())
            self._stopping = asyncio.ensure_future(self._stop())
            return
        try:
            answer = ("done", getattr(self, f"_do_{name}")(*arguments))
        except BadInput as error:
            answer = ("failed", str(error))
        self._pipe.send(answer)

    async def _stop(self) -> None:
        await self._server.stop()
        if self._file is not None:
            self._file.close()
        with contextlib.suppress(OSError):  # the parent is gone
            self._pipe.send(("done", self._do_read()))
        self._stopped.set()

    def _do_play(self, name: str, said: dict[str, Any], keys: frozenset[str]) -> None:
        self._sessions.play(name, said, keys)

    def _do_drop(self, name: str) -> None:
        self._sessions.drop(name)

    def _do_reset(self) -> None:
        self._sessions.reset()

    def _do_clear(self, name: str) -> None:
        self._sessions[name].journal.clear()

    def _do_open(self) -> int:
        return self._server.open_connections

    def _do_read(self) -> dict[str, Books]:
        return {
            session.name: Books(
                session.journal.total,
                session.journal.dropped,
                session.journal.connections,
                session.journal.counts,
                list(session.journal),
                list(session.journal.refusals),
            )
            for session in self._sessions
        }


def _context(job: Job) -> ssl.SSLContext | None:
    from onpaper.gateway.tls import server_context

    if job.certificate is None or job.key is None:
        return None
    return server_context(job.certificate, job.key)


def _misdirected(request: Request) -> Script:
    return refusal(
        421,
        "with several workers the admin endpoint, if there is one, has a port of its own; see what was printed at the start",
    )
