"""A whole run over several backends, in several processes."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import queue as queues
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module
from itertools import chain
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from onpaper import streams
from onpaper.contract import Contract
from onpaper.driving.declaration import Declared
from onpaper.driving.guard import guarded
from onpaper.driving.known import apply_known
from onpaper.driving.verdict import Verdict
from onpaper.errors import BadInput
from onpaper.suite.judge import Judge, clauses_to_judge, plan
from onpaper.suite.known import stale_failures
from onpaper.suite.parts import items_of, merged, parts, waits
from onpaper.suite.processes import CONTEXT, apart_from_main, prepare

TELLING = 0.2
"""Seconds between two words of a process on how far it is: each wakes three threads."""

Progress = tuple[Callable[[int], Any] | None, Callable[[str], Any]]
"""What is called with the number of items there are (None where nobody looks), and with the id of each that is done."""


def check(
    backends: Sequence[Declared],
    patterns: Sequence[str] = (),
    jobs: int | None = None,
    watch: Callable[[], contextlib.AbstractContextManager[Progress]] = lambda: contextlib.nullcontext((None, lambda _: None)),
) -> list[Verdict]:
    """Judge backends. `watch` shows the progress, from when the work has begun.

    The work on each backend is cut into parts, which processes take one after the other. `jobs` limits the processes:
    by default two for each core, of which one mostly waits. No backend is driven in this process, which one that ends
    its own would take along. Raises BadInput.
    """
    prepare()
    work = [(one, part) for one in backends for part in parts(clauses_to_judge(patterns))]
    found: list[Verdict] = []
    if work:
        jobs = min(jobs or 2 * (os.cpu_count() or 1), len(work))
        with _in_processes(work, tuple(patterns), jobs) as wait, watch() as (expect, advance):
            if expect is not None:  # it takes a moment: a plan knows each recording
                expect(sum(len(plan(one, patterns)) for one in backends))
            found = wait(advance)
    verdicts: list[Verdict] = []
    for declared in backends:
        own = [apply_known(declared.known_failures, one) for one in merged(one for one in found if one.backend == declared.name)]
        verdicts += [*own, *stale_failures(declared, own, complete=not patterns)]
    return verdicts


@contextlib.contextmanager
def _in_processes(
    work: Sequence[tuple[Declared, str]], patterns: tuple[str, ...], jobs: int
) -> Iterator[Callable[[Callable[[str], Any]], list[Verdict]]]:
    """Begin the work; yields what waits for its end."""
    done = CONTEXT.Queue()
    ending, held = CONTEXT.Pipe(duplex=False)  # closed by us, or by our death: the sign to end
    # What mostly waits has processes of its own: as many as there are cores are busy then, and no more.
    waiting = jobs // 2 if any(waits(part) for _, part in work) else 0
    pools = [
        ProcessPoolExecutor(some, mp_context=CONTEXT, initializer=_begin, initargs=(dict(os.environ), done, ending))
        for some in (jobs - waiting, waiting)
        if some
    ]
    try:
        with apart_from_main():
            futures = [
                pools[-1 if waits(part) else 0].submit(_in_process, _packed(declared), patterns, part)
                for declared, part in work
            ]

        def wait(advance: Callable[[str], Any]) -> list[Verdict]:
            told: set[str] = set()  # what looks at everything is judged in several parts

            def tell(id: str) -> None:
                if id not in told:
                    told.add(id)
                    advance(id)

            while not all(one.done() for one in futures):
                _drain(done, tell)
                for one in futures:
                    if one.done():
                        one.result()  # or what went wrong, at once
            _drain(done, tell)
            return list(chain.from_iterable(one.result() for one in futures))

        yield wait
    except BrokenProcessPool:
        names = ", ".join(sorted({declared.name for declared, _ in work}))
        raise BadInput(
            f"a process that judged {names} ended at once: a backend that ends or crashes its process (os._exit,"
            " a fault in an extension) cannot be judged; one --clause after the other finds the place"
        ) from None
    except (EOFError, ConnectionError) as error:  # of what starts them: it has said by itself what it failed at
        raise BadInput(f"the processes that judge cannot be started ({type(error).__name__}): is onpaper installed whole?") from None
    finally:
        held.close()
        # Waits no longer than the processes take to see it. A pool left to end by itself closes the pipe that
        # concurrent.futures writes to when the interpreter exits, and that prints a traceback.
        for pool in pools:
            pool.shutdown(wait=True, cancel_futures=True)


def _drain(done: Any, advance: Callable[[str], Any]) -> None:
    with contextlib.suppress(queues.Empty):
        while True:
            for id in done.get(timeout=0.05):
                advance(id)


def quiet() -> None:
    """Keep what a subject logs (a refused prefill, say) off the terminal: it is provoked, and judged."""
    logging.getLogger().addHandler(logging.NullHandler())


# ---- in the process of a part --------------------------------------------------------------------------------------

_done: Any = None
_judge: Judge
_backends: dict[str, Declared] = {}


def _begin(environment: dict[str, str], done: Any, ending: Connection) -> None:
    """Set a process up for its first part; it keeps the judge, who remembers what was driven, for the next ones."""
    global _done, _judge
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal: the first one tells us
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # for programs that a subject starts, and ends with it
    threading.Thread(target=_end_with, args=(ending,), name="end", daemon=True).start()
    os.environ.clear()  # a server of forks keeps the environment in which it was started
    os.environ.update(environment)
    os.dup2(2, 1)  # standard output may be a report; also for what is printed past Python
    streams.prepare()  # a subject that prints is not to be blamed for a reader that has enough
    import_module("onpaper.suite.imports")  # done already where processes are forked
    quiet()
    _done, _judge = done, Judge()


def _end_with(ending: Connection) -> None:
    """End this process, whatever it is at, when the one that started it wants no more of it or is gone.

    It would go on for minutes, and keep the pipes open into which that one wrote.
    """
    with contextlib.suppress(EOFError, OSError):
        ending.recv()
    os._exit(0)


def _in_process(packed: dict[str, Any], patterns: tuple[str, ...], part: str) -> list[Verdict]:
    """The verdicts of one part, before known failures are applied. The guard stands between the drives too."""
    name = packed["name"]
    if name not in _backends:
        for before in _backends:  # parts come backend by backend
            _judge.forget(before)
        path, variant = packed["contract"]
        contract = Contract.read(Path(path))
        _backends[name] = Declared(**packed | {"contract": contract.variant(variant) if variant else contract})
    gc.freeze()  # clauses collect garbage to see what a backend left; what is there by now is none of it
    found: list[Verdict] = []
    told, then = 0, time.monotonic()
    with guarded({}), contextlib.redirect_stdout(sys.stderr):
        stage = _judge.stage(_backends[name])
        for item in items_of(part, _backends[name], patterns):
            found.append(_judge.found(item))
            if time.monotonic() - then > TELLING:
                _done.put([one.id for one in found[told:]])
                told, then = len(found), time.monotonic()
        stage.looked_at = len(stage.runs)
    _done.put([one.id for one in found[told:]])
    return found


def _packed(declared: Declared) -> dict[str, Any]:
    fields = {name: getattr(declared, name) for name in ("name", "factory", "env", "args", "capabilities", "timeouts", "known_failures", "model")}
    return fields | {"contract": (str(declared.contract.path), declared.contract.name.partition("@")[2])}
