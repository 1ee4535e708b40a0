"""What a process that judges needs: importing this module imports it all, once for every process that is forked.

Also what a library would import in the middle of a first call.
"""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from importlib.util import find_spec

# Next to nothing that an import makes is garbage, and looking for it takes a fifth of the time. Nor is what was seen of each
# drive, which stays to the end; clauses that want garbage collected ask for it themselves.
gc.set_threshold(50_000, 20, 20)
for _name in (
    "anyio._backends._asyncio",
    "httpcore",
    "httpx",  # most backends are written on it
    "jsonschema_rs",
    "onpaper.backends",
    "onpaper.cassettes",
    "onpaper.driving.tapes",
    "onpaper.gateway.httpcore_face",
    "onpaper.strategies.staged",
    "onpaper.suite.check",
):
    import_module(_name)

from onpaper.clauses import register  # noqa: E402
from onpaper.strategies.properties import properties  # noqa: E402

register()
properties()

if find_spec("sniffio") is None:
    # httpcore asks for it at each of its steps, and to look again for what is not there takes a twentieth of a run
    sys.modules["sniffio"] = None  # type: ignore[assignment]
