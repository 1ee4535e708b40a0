"""How xdist hands out work: a backend's items stay together, every other test goes alone."""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadScopeScheduling

from onpaper.plugin import ITEMS


class _Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        file, _, rest = nodeid.partition("::")
        return "::".join((file, rest.partition("::")[0])) if file.endswith(ITEMS) else nodeid


def scheduler(config: Any, log: Any) -> Any:
    """The scheduler for `-n` with the default distribution."""
    return _Scheduling(config, log)
