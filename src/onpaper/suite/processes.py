"""How the processes of a run are started: forked from one that has imported everything once, where that is safe."""

from __future__ import annotations

import sys
from multiprocessing import forkserver, get_context

CONTEXT = get_context("forkserver" if sys.platform == "linux" else "spawn")


def prepare() -> None:
    """Begin the imports of a run's processes, while this one goes on with its own."""
    if sys.platform == "linux":
        CONTEXT.set_forkserver_preload(["onpaper.suite.imports"])
        forkserver.ensure_running()
