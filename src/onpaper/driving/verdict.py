"""What came of one clause on one case, and the two ways in which a clause says so."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Outcome = Literal["kept", "broken", "known", "not-applicable"]

SHOWN_BYTES = 700


def show(data: bytes, limit: int = SHOWN_BYTES) -> str:
    """Bytes as a person can read and paste them, cut in the middle when they are long."""
    if len(data) <= limit:
        return repr(data)
    half = limit // 2
    return f"{data[:half]!r} … {len(data) - 2 * half} bytes … {data[-half:]!r}"


class Broken(AssertionError):
    """A promise was broken: what was found, and the bytes that prove it."""

    def __init__(self, found: str, wire: bytes | None = None, label: str = "wire") -> None:
        super().__init__(found if wire is None else f"{found}\n{label}: {show(wire)}")


class NotApplicable(Exception):
    """The clause does not apply to this backend or case; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of a report. `message` says what was found, or why the clause does not apply."""

    backend: str
    clause: str
    case: str
    level: str
    verdict: Outcome
    message: str = ""
    source: str = ""
    seconds: float = 0.0

    @property
    def id(self) -> str:
        return f"{self.backend}::{self.clause}[{self.case}]"

    def as_json(self) -> dict[str, Any]:
        row = asdict(self)
        del row["seconds"]
        return row
