"""A whole run over several backends: each in a process of its own, since one core judges only one at a time."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from onpaper.contract import Contract
from onpaper.suite.declaration import Declared
from onpaper.suite.judge import Judge, Item, plan, stale_failures
from onpaper.suite.verdict import Verdict


def check(
    backends: Sequence[Declared], patterns: Sequence[str] = (), advance: Callable[[str], Any] = lambda _: None, jobs: int | None = None
) -> list[Verdict]:
    """Judge backends; `advance` is called with the id of each item that is done.

    `jobs` limits the processes: by default two for each core, since much of a run is waiting for time-outs, and at
    most one for each backend. Raises BadInput.
    """
    jobs = min(jobs or 2 * (os.cpu_count() or 1), len(backends))
    if jobs <= 1:
        return [one for declared in backends for one in judged(declared, patterns, advance)]
    context = get_context("spawn")
    queue = context.Manager().Queue()
    rows: list[list[Verdict]] = []
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        work = [pool.submit(_in_process, _packed(declared), tuple(patterns), queue) for declared in backends]
        waiting = set(work)
        while waiting:
            _drain(queue, advance)
            waiting = {one for one in waiting if not one.done()}
        _drain(queue, advance)
        rows = [one.result() for one in work]
    return [verdict for row in rows for verdict in row]


def _drain(queue: Any, advance: Callable[[str], Any]) -> None:
    import queue as queues

    while True:
        try:
            advance(queue.get(timeout=0.05))
        except queues.Empty:
            return


def judged(declared: Declared, patterns: Sequence[str], advance: Callable[[str], Any]) -> Iterator[Verdict]:
    """The verdicts of one backend, in this process."""
    quiet()
    items: list[Item] = plan(declared, patterns)
    verdicts = []
    with Judge() as judge:
        judge.stage(declared)
        for item in items:
            verdicts.append(judge.verdict(item))
            advance(item.id)
            yield verdicts[-1]
    yield from stale_failures(declared, verdicts, complete=not patterns)


def quiet() -> None:
    """Keep what a subject logs (a refused prefill, say) off the terminal: it is provoked, and judged."""
    logging.getLogger().addHandler(logging.NullHandler())


def _packed(declared: Declared) -> dict[str, Any]:
    fields = {name: getattr(declared, name) for name in ("name", "factory", "env", "args", "capabilities", "timeouts", "known_failures", "model")}
    return fields | {"contract": str(declared.contract.path)}


def _in_process(packed: dict[str, Any], patterns: tuple[str, ...], queue: Any) -> list[Verdict]:
    declared = Declared(**packed | {"contract": Contract.read(Path(packed["contract"]))})
    return list(judged(declared, patterns, queue.put))
