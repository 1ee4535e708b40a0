"""How the processes of a run are started: forked from one that has imported everything once, where that is safe."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from multiprocessing import forkserver, get_context
from types import ModuleType

CONTEXT = get_context("forkserver" if sys.platform == "linux" else "spawn")


def prepare() -> None:
    """Begin the imports of a run's processes, while this one goes on with its own."""
    if sys.platform == "linux":
        CONTEXT.set_forkserver_preload(["onpaper.suite.imports"])
        forkserver.ensure_running()


@contextlib.contextmanager
def apart_from_main() -> Iterator[None]:
    """Start processes that do not run the main module once more: it may be anybody's script, and none needs it."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
