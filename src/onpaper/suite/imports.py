"""What a process that judges needs: importing this module imports it all, once for every process that is forked.

Also what a library would import in the middle of a first call.
"""

from __future__ import annotations

import anyio._backends._asyncio  # noqa: F401
import httpcore  # noqa: F401
import httpx  # noqa: F401 - most backends are written on it
import jsonschema_rs  # noqa: F401
import respx  # noqa: F401

from onpaper import backends, cassettes  # noqa: F401
from onpaper.clauses import register
from onpaper.driving import tapes  # noqa: F401
from onpaper.gateway import respx_face  # noqa: F401
from onpaper.strategies import staged  # noqa: F401
from onpaper.strategies.properties import properties
from onpaper.suite import check  # noqa: F401

register()
properties()
