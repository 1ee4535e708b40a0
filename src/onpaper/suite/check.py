"""A whole run over several backends, in several processes."""

from __future__ import annotations

import contextlib
import logging
import os
import queue as queues
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from onpaper.contract import Contract
from onpaper.errors import BadInput
from onpaper.suite.declaration import Declared
from onpaper.suite.guard import guarded
from onpaper.suite.judge import Item, Judge, plan
from onpaper.suite.known import stale_failures
from onpaper.suite.verdict import Verdict


def check(
    backends: Sequence[Declared], patterns: Sequence[str] = (), advance: Callable[[str], Any] = lambda _: None, jobs: int | None = None
) -> list[Verdict]:
    """Judge backends; `advance` is called with the id of each item that is done.

    The work is cut in two for each backend, single cases and properties. `jobs` limits the processes: by default two
    for each core, since much of a run is waiting for time-outs. No backend is driven in this process, which one that
    ends its own would take along. Raises BadInput.
    """
    halves = [(declared, half) for declared in backends for half in HALVES if _items(declared, patterns, half)]
    jobs = min(jobs or 2 * (os.cpu_count() or 1), len(halves))
    found = _in_processes(halves, tuple(patterns), advance, jobs) if halves else []
    verdicts = [verdict for row in found for verdict in row]
    for declared in backends:
        own = [one for one in verdicts if one.backend == declared.name]
        verdicts += stale_failures(declared, own, complete=not patterns)
    return verdicts


HALVES = ("cases", "properties")


def _items(declared: Declared, patterns: Sequence[str], half: str) -> list[Item]:
    return [item for item in plan(declared, patterns) if (item.clause.kind == "property") == (half == "properties")]


def _in_processes(
    halves: Sequence[tuple[Declared, str]], patterns: tuple[str, ...], advance: Callable[[str], Any], jobs: int
) -> list[list[Verdict]]:
    context = get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(jobs, mp_context=context) as pool:
        queue = manager.Queue()
        work = [pool.submit(_in_process, _packed(declared), patterns, half, queue) for declared, half in halves]
        while not all(one.done() for one in work):
            _drain(queue, advance)
        _drain(queue, advance)
        try:
            return [one.result() for one in work]
        except BrokenProcessPool:
            names = ", ".join(sorted({declared.name for declared, _ in halves}))
            raise BadInput(
                f"a process that judged {names} ended at once: a backend that ends or crashes its process (os._exit,"
                " a fault in an extension) cannot be judged; one --clause after the other finds the place"
            ) from None


def _drain(queue: Any, advance: Callable[[str], Any]) -> None:
    with contextlib.suppress(queues.Empty):
        while True:
            advance(queue.get(timeout=0.05))


def judged(declared: Declared, patterns: Sequence[str], half: str, advance: Callable[[str], Any]) -> Iterator[Verdict]:
    """The verdicts of one half of the work on one backend, in this process.

    The guard stands between the drives too, and what the backend prints goes to standard error: standard output may
    be a report.
    """
    quiet()
    with guarded({}), contextlib.redirect_stdout(sys.stderr), Judge() as judge:
        judge.stage(declared)
        for item in _items(declared, patterns, half):
            yield judge.verdict(item)
            advance(item.id)


def quiet() -> None:
    """Keep what a subject logs (a refused prefill, say) off the terminal: it is provoked, and judged."""
    logging.getLogger().addHandler(logging.NullHandler())


def _packed(declared: Declared) -> dict[str, Any]:
    fields = {name: getattr(declared, name) for name in ("name", "factory", "env", "args", "capabilities", "timeouts", "known_failures", "model")}
    return fields | {"contract": (str(declared.contract.path), declared.contract.name.partition("@")[2])}


def _in_process(packed: dict[str, Any], patterns: tuple[str, ...], half: str, queue: Any) -> list[Verdict]:
    os.dup2(2, 1)  # also for what is printed past Python
    path, variant = packed["contract"]
    contract = Contract.read(Path(path))
    declared = Declared(**packed | {"contract": contract.variant(variant) if variant else contract})
    return list(judged(declared, patterns, half, queue.put))
