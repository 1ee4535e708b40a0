"""Several worker processes on one port (SO_REUSEPORT), with one merged journal and one place to script them.

Each worker has sessions and a journal of its own, so serving costs nothing extra; the parent asks for the
journals when someone reads them, and once more when it stops the workers. A sequence of replies is
counted by each worker for itself; quotas, which that would multiply, need a single one.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping
from multiprocessing.connection import Connection as Pipe
from typing import Any

from onpaper.errors import BadInput, nearest
from onpaper.exchange import Request
from onpaper.gateway.entry import Entry
from onpaper.gateway.journal import Journal
from onpaper.gateway.scripting import answer_for
from onpaper.gateway.server import CannotListen, listen
from onpaper.gateway.sessions import DEFAULT, Session
from onpaper.gateway.worker import Books, Job, run
from onpaper.script import Script

READY_SECONDS = 30.0
ANSWER_SECONDS = 30.0
GONE = "a worker ended unexpectedly; see its message above"


class Workers:
    """The parent of the workers; has the interface of `Sessions`, so that the admin endpoint can serve it."""

    def __init__(self, job: Job, count: int) -> None:
        if count < 1:
            raise BadInput(f"there must be at least one worker, found {count}")
        if not hasattr(socket, "SO_REUSEPORT"):
            raise CannotListen(
                "several workers on one port need SO_REUSEPORT, which this system lacks; use one worker"
            )
        self._count = count
        self._check(job.said)  # so that a mistake is reported here, once
        self._reserved = listen(job.host, job.port, allow_remote=job.allow_remote, share=True, accept=False)
        self.host, self.port = self._reserved.getsockname()[:2]
        scheme = "https" if job.certificate else "http"
        self.url = f"{scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"
        self._job = Job(**{**job.__dict__, "host": self.host, "port": self.port})
        self._keys: dict[str, frozenset[str]] = {DEFAULT: frozenset()}
        self._processes: list[Any] = []
        self._pipes: list[Pipe] = []
        self._last: list[dict[str, Books]] = []
        self._lock = threading.Lock()

    def start(self) -> Workers:
        """Start the processes; returns when every one accepts connections. Raises BadInput if one cannot."""
        context = multiprocessing.get_context("spawn")
        for number in range(self._count):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=run, args=(self._job, theirs), name=f"onpaper worker {number}", daemon=True
            )
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        try:
            for pipe in tuple(self._pipes):
                self._receive(pipe, READY_SECONDS)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop the processes and keep what their journals held. Stopping twice is harmless."""
        with self._lock:
            for pipe in tuple(self._pipes):
                with contextlib.suppress(OSError, BadInput):  # it may be gone already
                    pipe.send(("stop",))
                    self._last.append(self._receive(pipe, ANSWER_SECONDS))
                pipe.close()
            self._pipes.clear()
            for process in self._processes:
                process.join(5)
                if process.is_alive():
                    process.terminate()
            self._processes.clear()
        self._reserved.close()

    def __enter__(self) -> Workers:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # ---- the interface of Sessions ----

    @property
    def default(self) -> Session:
        return self[DEFAULT]

    def __iter__(self) -> Iterator[Session]:
        books = self._books()
        return iter([self._session(name, books) for name in self._keys])

    def __getitem__(self, name: str) -> Session:
        if name not in self._keys:
            raise BadInput(f"there is no session {name!r}{nearest(name, self._keys)}")
        return self._session(name, self._books())

    def play(self, name: str, said: Mapping[str, Any], keys: Iterable[str] = ()) -> Session:
        """Give a session another script, in every worker. Raises BadInput."""
        self._check(said)
        wanted = frozenset(keys)
        self._tell("play", name, dict(said), wanted)
        self._keys[name] = wanted or self._keys.get(name, frozenset())
        return self[name]

    def drop(self, name: str) -> None:
        self._tell("drop", name)
        self._keys.pop(name, None)

    def reset(self) -> None:
        self._tell("reset")
        self._keys = {DEFAULT: frozenset()}

    def clear(self, name: str) -> None:
        """Clear the journal of a session in every worker."""
        self._tell("clear", name)

    def open_connections(self) -> int:
        return sum(self._tell("open"))

    # ---- how ----

    def _check(self, said: Mapping[str, Any]) -> None:
        """Raise BadInput for what cannot be played, or not by several."""
        answer_for(said)
        for name in ("requests_per_minute", "tokens_per_minute"):
            if self._count > 1 and said.get(name) is not None:
                raise BadInput(f"{name}: each of the {self._count} workers would count for itself; use one worker")

    def _tell(self, *command: Any) -> list[Any]:
        """Send a command to every worker and wait for every answer."""
        with self._lock:
            asked, answers = [], []
            failure: BadInput | None = None
            for pipe in self._pipes:
                try:
                    pipe.send(command)
                    asked.append(pipe)
                except OSError:
                    failure = BadInput(GONE)
            for pipe in asked:
                try:
                    answers.append(self._receive(pipe, ANSWER_SECONDS))
                except BadInput as error:
                    failure = error
            if failure is not None:
                raise failure
            return answers

    def _books(self) -> list[dict[str, Books]]:
        return self._tell("read") if self._pipes else self._last

    def _session(self, name: str, books: list[dict[str, Books]]) -> Session:
        url = self.url if name == DEFAULT else f"{self.url}/_session/{name}"
        held = [book[name] for book in books if name in book]
        journal = MergedJournal(held, lambda: self.clear(name))
        return Session(name, url, _elsewhere, journal, self._keys.get(name, ()))

    def _receive(self, pipe: Pipe, seconds: float) -> Any:
        """The answer to the last command. A worker that owes one is not asked again: it would be taken for the next."""
        if not pipe.poll(seconds):
            self._pipes.remove(pipe)
            pipe.close()
            raise BadInput(f"a worker did not answer in {seconds:g} s; it is not asked any more")
        try:
            kind, value = pipe.recv()
        except (EOFError, OSError):
            raise BadInput(GONE) from None
        if kind == "failed":
            raise BadInput(value)
        return value


class MergedJournal(Journal):
    """The journals of all workers at one moment, in the order of time; connections are numbered anew."""

    def __init__(self, books: list[Books], clear: Any) -> None:
        super().__init__()
        self._clear = clear
        merged: list[Entry] = []
        for number, book in enumerate(books):
            self.total += book.total
            self.dropped += book.dropped
            self.connections += book.connections
            self.counts.merge(book.counts)
            self.refusals.extend(book.refusals)
            for entry in book.entries:
                entry.connection = (entry.connection - 1) * len(books) + number + 1
                merged.append(entry)
        self._entries.extend(sorted(merged, key=lambda entry: entry.started))

    def clear(self) -> None:
        self._clear()
        super().clear()


def _elsewhere(request: Request) -> Script:
    raise LookupError("the workers answer, not the parent")
