"""What a contract can say against what its provider was seen to say, axis by axis."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from onpaper.contract import Contract
from onpaper.truth.features import features
from onpaper.truth.parts import Feature
from onpaper.truth.plays import played
from onpaper.truth.recordings import Recording

State = Literal["covered", "missing", "unseen"]
"""`covered`: seen and played; `missing`: seen, and the contract cannot say it; `unseen`: played, and in no
recording (it rests on the source of its fact alone)."""


@dataclass(frozen=True, slots=True)
class Row:
    """One value of one axis: in how many recordings it was seen, and which contract or variants can say
    it."""

    axis: str
    value: str
    recordings: int
    played_by: tuple[str, ...]

    @property
    def state(self) -> State:
        if not self.recordings:
            return "unseen"
        return "covered" if self.played_by else "missing"


@dataclass(frozen=True, slots=True)
class Truth:
    """The table of one contract. `recordings` is how many were compared."""

    contract: str
    recordings: int
    rows: tuple[Row, ...]

    def rows_of(self, state: State) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.state == state)

    @property
    def covered(self) -> float:
        """The part of the values seen that the contract can say, in percent; 100 when nothing was seen."""
        seen = [row for row in self.rows if row.recordings]
        return 100.0 * sum(bool(row.played_by) for row in seen) / len(seen) if seen else 100.0

    @property
    def backed(self) -> float:
        """The part of the values played, on axes that the recordings show, that was seen, in percent."""
        axes = {row.axis for row in self.rows if row.recordings}
        said = [row for row in self.rows if row.played_by and row.axis in axes]
        return 100.0 * sum(bool(row.recordings) for row in said) / len(said) if said else 100.0


def compare(contract: Contract, recordings: Iterable[Recording]) -> Truth:
    """Compare all that a contract and its variants can say with the recordings of its provider."""
    seen: Counter[Feature] = Counter()
    number = 0
    for recording in recordings:
        number += 1
        seen.update(features(recording.exchange, framed=recording.framed))
    said: defaultdict[Feature, set[str]] = defaultdict(set)
    for exchange in played(contract):
        for feature in features(exchange):
            said[feature].add(exchange.source)
    rows = [
        Row(axis, value, seen[(axis, value)], tuple(sorted(said.get((axis, value), ()))))
        for axis, value in sorted({*seen, *said})
    ]
    return Truth(contract.name, number, tuple(rows))
