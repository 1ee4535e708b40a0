"""What a gateway takes from a client before it refuses, so that nothing hostile or broken can exhaust it."""

from __future__ import annotations

from dataclasses import dataclass, fields

from onpaper.errors import BadInput


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one server: sizes in bytes, times in seconds.

    `header_bytes` bounds a request's head (also its trailers and its chunk extensions), `body_bytes` its
    body after the transfer coding. A request that has begun must be complete after `request_seconds`; a
    connection on which nothing runs, or whose client takes no bytes, is closed after `idle_seconds`.
    `queued` pipelined requests may wait on one connection before the gateway stops reading from it.
    """

    header_bytes: int = 64 * 1024
    body_bytes: int = 64 * 1024 * 1024
    connections: int = 10_000
    queued: int = 64
    request_seconds: float = 30.0
    idle_seconds: float = 120.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise BadInput(
                    f"the limit {field.name} must be positive, found {getattr(self, field.name)!r}"
                )
