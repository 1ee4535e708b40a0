"""What a process that judges needs: importing this module imports it all, once for every process that is forked."""

from __future__ import annotations

import httpx  # noqa: F401 - most backends are written on it

from onpaper.clauses import register
from onpaper.strategies.properties import properties
from onpaper.suite import check  # noqa: F401

register()
properties()
