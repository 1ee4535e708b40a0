"""The table of what the gateway's own endpoint does: one row answers a request, and describes itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from onpaper.exchange import Request
from onpaper.script import Script

PREFIX = "/_onpaper/"


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing the endpoint does: its method, path and summary, and the function that does it."""

    method: str
    path: str
    summary: str
    run: Callable[[Any, Mapping[str, str], Request], Script]
    name: str
    takes_body: bool
    pattern: re.Pattern[str]


OPERATIONS: list[Operation] = []


def operation(method: str, path: str, takes_body: bool = False) -> Callable[[Any], Any]:
    """Enter a method into the table; its docstring is the summary."""

    pattern = re.compile(
        "".join(
            f"(?P<{part[1:-1]}>[^/]+)" if part[:1] == "{" else re.escape(part)
            for part in re.split(r"(\{\w+\})", path)
        )
    )

    def enter(run: Callable[[Any, Mapping[str, str], Request], Script]) -> Any:
        about = " ".join((run.__doc__ or "").split())
        OPERATIONS.append(Operation(method, path, about, run, run.__name__, takes_body, pattern))
        return run

    return enter
