"""How the processes of a run are started: forked from one that has imported everything once, where that is safe."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from multiprocessing import forkserver, get_context, resource_tracker
from types import ModuleType

SAFE_PATH = "PYTHONSAFEPATH"
CONTEXT = get_context("forkserver" if sys.platform == "linux" else "spawn")


def prepare() -> None:
    """Begin the imports of a run's processes, while this one goes on with its own."""
    if sys.platform == "linux":
        CONTEXT.set_forkserver_preload(["onpaper.suite.imports"])
        with apart_from_main():
            resource_tracker.ensure_running()  # which the server would start, and let Ctrl-C through again
            with _later(signal.SIGINT):
                forkserver.ensure_running()


@contextlib.contextmanager
def _later(number: signal.Signals) -> Iterator[None]:
    """Take a signal when this is over. Ctrl-C reaches every process of a terminal, and those that are started here not at
    all: this one ends the others."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})


@contextlib.contextmanager
def apart_from_main() -> Iterator[None]:
    """Start processes that do not run the main module once more: it may be anybody's script, and none needs it.

    Nor do they look for modules in the working directory before what is judged is looked for there: a `types.py` of the
    project is none of Python's. (Each process gets the environment as it was.)
    """
    main, safe = sys.modules["__main__"], os.environ.get(SAFE_PATH)
    sys.modules["__main__"] = ModuleType("__main__")
    os.environ[SAFE_PATH] = "1"
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        del os.environ[SAFE_PATH]
        if safe is not None:
            os.environ[SAFE_PATH] = safe
