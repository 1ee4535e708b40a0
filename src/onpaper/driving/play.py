"""What a case plays: a mock or a cassette, cut in one of several ways."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from onpaper.answer import Provider
from onpaper.contract import Contract
from onpaper.driving.verdict import NotApplicable
from onpaper.exchange import Request
from onpaper.gateway import faults
from onpaper.mock import Mock
from onpaper.script import Script, Write

CUTS = ("whole", "bytewise", "random")


@dataclass(frozen=True, slots=True)
class Play:
    """A reply and how its bytes are cut: `events` (as the provider sends them), `whole`, `bytewise`, `random`,
    `steps` (the same, each when the client has read the one before: what it has read already, nobody takes away any
    more), `recorded` (a cassette's own chunks)."""

    name: str
    cut: str = "events"
    source: str = "mock"

    @property
    def id(self) -> str:
        return f"{self.name}@{self.source}/{self.cut}"

    @property
    def recut(self) -> bool:
        """Whether its bytes are cut in another way than they came in."""
        return self.cut in CUTS


def plays(*names: str, cuts: Iterable[str] = ("events",)) -> tuple[Play, ...]:
    """Plays of mocks, each in each cut."""
    return tuple(Play(name, cut) for name in names for cut in cuts)


@lru_cache(maxsize=512)
def _mock(name: str) -> Mock:
    return faults.check(Mock.load(name))


def speaks(play: Play, contract: Contract) -> None:
    """Raise NotApplicable when what is played is for providers of another protocol."""
    protocol = _mock(play.name).protocol if play.source == "mock" else None
    if protocol not in (None, contract.protocol):
        raise NotApplicable(f"the mock is for providers that speak {protocol}")


def answer_of(
    play: Play, contract: Contract, *, strict: bool = False, key: str | None = None
) -> Callable[[Request], Script]:
    """The function that answers requests as a play says. Raises BadInput for an unknown mock or cassette."""
    if play.source == "cassette":
        from onpaper.driving.tapes import answer_of_cassette

        return recutting(answer_of_cassette(play.name, contract), play.cut)
    return recutting(_provider(play.name, contract, strict, key).afresh(), play.cut)


@lru_cache(maxsize=512)
def _provider(name: str, contract: Contract, strict: bool, key: str | None) -> Provider:
    return Provider(contract, _mock(name), strict=strict, key=key, faults=faults.apply)


def recutting(answer: Callable[[Request], Script], cut: str) -> Callable[[Request], Script]:
    """The same answers with their bodies cut another way."""
    if cut == "steps":
        return lambda request: replace(answer(request), lockstep=True)
    if cut in ("events", "recorded"):
        return answer
    return lambda request: recut(answer(request), cut)


def recut(script: Script, cut: str, seed: int = 0) -> Script:
    """The same body in other pieces. A script with raw bytes or pauses is exact already and stays as it is."""
    if any(write.raw or write.after for write in script.writes) or not script.body:
        return script
    body = script.body
    if cut == "whole":
        pieces = [body]
    elif cut == "bytewise":
        pieces = [body[at : at + 1] for at in range(len(body))]
    else:
        rng = random.Random(f"{seed}/{len(body)}")
        places = sorted(rng.sample(range(1, len(body)), k=min(len(body) - 1, 12 + len(body) // 40, 400))) if len(body) > 1 else []
        pieces = [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True)]
    named = next((write.fault for write in script.writes if write.fault), "")
    writes = tuple(Write(piece, fault=named if number == len(pieces) - 1 else "") for number, piece in enumerate(pieces))
    return replace(script, writes=writes, joined=cut == "bytewise" and len(body) > 1500)
