"""The gateway as a process of its own: until it is told to stop, with one worker or several."""

from __future__ import annotations

import contextlib
import signal
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onpaper.gateway.admin import Admin
from onpaper.gateway.journal_file import JournalFile
from onpaper.gateway.limits import Limits
from onpaper.gateway.scripting import answer_for
from onpaper.gateway.sessions import Sessions
from onpaper.gateway.thread import ServerThread


@dataclass(frozen=True)
class Serving:
    """How to serve. `play` is what to play (see `scripting`).

    `tls` is the certificate and the key in PEM, or True for one that is made now and thrown away after;
    `admin` says whether there is an admin endpoint, `admin_port` where it is when there are several
    workers; `echo` prints what goes into the journal's file. With `allow_remote` it is open to the network as the gateway is: browsers are refused, other
    programs that name a known host are not.
    """

    play: Mapping[str, Any] = field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = 0
    workers: int = 1
    allow_remote: bool = False
    admin: bool = True
    admin_port: int = 0
    admin_hosts: frozenset[str] = frozenset()
    journal_file: str | None = None
    echo: bool = False
    tls: bool | tuple[Path, Path] = False
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Started:
    """What a server that runs can be reached at. `certificate` is the one to trust, in PEM, if it was
    made here.
    """

    url: str
    admin: str
    certificate: str = ""


def serve(how: Serving, announce: Callable[[Started], None]) -> None:
    """Serve until SIGINT or SIGTERM; `announce` is called once, when connections are accepted.

    Every exchange that had begun is in the journal's file when this returns. Raises BadInput.
    """
    stop = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    _allow_many_files()
    try:
        with serving(how) as started:
            announce(started)
            while not stop.wait(3600):  # a wait without end would keep signals from being noticed on Windows
                pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def serving(how: Serving) -> Iterator[Started]:
    """The same for as long as the context lasts."""
    with contextlib.ExitStack() as stack:
        certificate, key, trust = _certificate(how, stack)
        run = _one_worker if how.workers == 1 else _workers
        yield stack.enter_context(run(how, certificate, key, trust))


@contextlib.contextmanager
def _one_worker(how: Serving, certificate: Path | None, key: Path | None, trust: str) -> Iterator[Started]:
    answer = answer_for(how.play)
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(JournalFile(how.journal_file, how.echo)) if how.journal_file else None
        thread = ServerThread(
            answer,
            how.host,
            how.port,
            limits=how.limits,
            allow_remote=how.allow_remote,
            tls=_context(certificate, key),
        )
        sessions = Sessions(thread.url, answer, thread.journal, attach=file.attach if file else None)
        admin = Admin(sessions, lambda: thread.server.open_connections, how.admin_hosts)
        thread.server.route = admin.before(sessions.route) if how.admin else sessions.route
        stack.enter_context(thread)
        yield Started(thread.url, f"{thread.url}/_onpaper/" if how.admin else "", trust)


@contextlib.contextmanager
def _workers(how: Serving, certificate: Path | None, key: Path | None, trust: str) -> Iterator[Started]:
    from onpaper.gateway.worker import Job
    from onpaper.gateway.workers import Workers

    job = Job(
        how.host,
        how.port,
        dict(how.play),
        limits=how.limits,
        allow_remote=how.allow_remote,
        journal_file=how.journal_file,
        echo=how.echo,
        certificate=certificate,
        key=key,
    )
    with Workers(job, how.workers) as workers:
        if not how.admin:
            yield Started(workers.url, "", trust)
            return
        admin = Admin(workers, workers.open_connections, how.admin_hosts)
        parent = ServerThread(admin, how.host, how.admin_port, allow_remote=how.allow_remote)
        parent.server.route = admin.only
        with parent:
            yield Started(workers.url, f"{parent.url}/_onpaper/", trust)


def _certificate(how: Serving, stack: contextlib.ExitStack) -> tuple[Path | None, Path | None, str]:
    """Certificate, key, and what a client has to trust if they were made here."""
    if how.tls is False:
        return None, None, ""
    if how.tls is not True:
        return (*how.tls, "")
    from onpaper.gateway.tls import throwaway_certificate

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    certificate, key = throwaway_certificate(how.host, folder)
    return certificate, key, certificate.read_text("ascii")


def _context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if certificate is None or key is None:
        return None
    from onpaper.gateway.tls import server_context

    return server_context(certificate, key)


def _allow_many_files() -> None:
    """Every connection is an open file; the usual soft limit is 1024, the hard one far higher."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
