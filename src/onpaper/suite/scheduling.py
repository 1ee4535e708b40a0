"""How xdist hands out work: a backend's items stay together, every other test goes alone."""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadScopeScheduling


class _Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    items = ""
    """The file that the items of backends come from."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, rest = nodeid.partition("::")
        return "::".join((file, rest.partition("::")[0])) if file.endswith(self.items) else nodeid


def scheduler(config: Any, log: Any, items: str) -> Any:
    """The scheduler for `-n` with the default distribution; `items` is the file that the items of backends come from."""
    scheduling = _Scheduling(config, log)
    scheduling.items = items
    return scheduling
