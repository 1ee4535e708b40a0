"""Playing recordings to an application under test: the right reply to each request, or the difference.

    def test_my_agent(cassette):
        cassette.play("vllm/tools")                      # a name in cassettes/, or a file
        answer = MyAgent(base_url=cassette.v1).ask("What is the weather in Paris?")

A request that was not recorded fails, with what is different from the nearest that was. So does a test that left
a part of its cassette unplayed: what was recorded for it did not happen.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from onpaper import folders
from onpaper.cassettes.cassette import Cassette
from onpaper.cassettes.matching import MATCH, difference, matcher, nearest_of
from onpaper.cassettes.replay import Cut, script_of
from onpaper.cassettes.store import find, load
from onpaper.errors import BadInput, nearest
from onpaper.exchange import Exchange, Request
from onpaper.gateway.answering import Answer, Unanswerable, refusal
from onpaper.gateway.journal import Journal
from onpaper.gateway.masking import Masker, secrets_of
from onpaper.gateway.thread import ServerThread
from onpaper.script import Script

if TYPE_CHECKING:
    import respx


class Tape:
    """Some cassettes as an answer: each recorded reply once, to the request that it belongs to.

    Call it with a request to get the script of its reply; it raises Unanswerable, with the difference to the
    nearest recorded request, when there is none. Safe to call from several threads.
    """

    def __init__(
        self,
        cassettes: Iterable[Cassette],
        *,
        match: Iterable[str] = MATCH,
        speed: float | None = None,
        cut: Cut = "recorded",
        repeat: bool = False,
    ) -> None:
        self.exchanges = [
            one for cassette in cassettes for one in cassette.kept if one.reply is not None
        ]
        if not self.exchanges:
            raise BadInput("there is nothing to play: no recorded exchange has a reply")
        self._scripts = [_script(one, speed, cut) for one in self.exchanges]
        self._matches = matcher(match)
        self._repeat = repeat
        self._played = [0] * len(self.exchanges)
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Script:
        with self._lock:
            fitting = [n for n, one in enumerate(self.exchanges) if self._matches(one.request, request)]
            fresh = [number for number in fitting if not self._played[number]]
            if fresh or (fitting and self._repeat):
                number = fresh[0] if fresh else fitting[-1]
                self._played[number] += 1
                return self._scripts[number]
        sentence = self._again(fitting[0], request) if fitting else self._miss(request)
        sentence = Masker(secrets_of(request)).text(sentence)
        raise Unanswerable(sentence, refusal(500, f"onpaper: {sentence}"))

    def _miss(self, request: Request) -> str:
        number = nearest_of([one.request for one in self.exchanges], request)
        changes = difference(self.exchanges[number].request, request)
        return f"nothing was recorded for {request.method} {request.path}; the nearest is {self._named(number)}:\n{changes}"

    def _again(self, number: int, request: Request) -> str:
        return (
            f"{request.method} {request.path} was made more often than it was recorded ({self._named(number)});"
            " play with repeat=True if that is right"
        )

    def _named(self, number: int) -> str:
        source = self.exchanges[number].source
        several = sum(one.source == source for one in self.exchanges) > 1
        return f"number {number + 1} of {source}" if several else source

    @property
    def unplayed(self) -> list[str]:
        """The recorded exchanges that nobody asked for, by name."""
        return [self._named(number) for number, times in enumerate(self._played) if not times]


def _script(exchange: Exchange, speed: float | None, cut: Cut) -> Script:
    """The reply in its pieces, each of which the client gets in a read of its own."""
    script = script_of(exchange, speed, cut)
    return replace(script, lockstep=len(script.writes) > 1)


class Replays:
    """What both faces have in common: `play` says which cassettes, `check` that all of them were played."""

    answer: Answer
    journal: Journal
    _tape: Tape | None = None
    _partly: bool = False

    def play(
        self,
        *names: str | Path | Cassette,
        match: Iterable[str] = MATCH,
        speed: float | None = None,
        cut: Cut = "recorded",
        repeat: bool = False,
        partly: bool = False,
    ) -> Self:
        """Answer from these cassettes from the next request on.

        A name is one in `cassettes/` (`vllm/tools`), or a file's path. `match` is what has to be the same:
        `method`, `path`, `query`, `body` (as JSON). `speed` 1 is as recorded, 2 twice as fast, None at once.
        `cut` is how the body comes in pieces: `recorded`, `whole`, `bytes`, a number of bytes, or a list of
        offsets. With `repeat` a request may be made more often than it was recorded; with `partly` the test
        may leave some out. Raises BadInput.
        """
        if not names:
            raise BadInput("name a cassette to play: cassette.play('vllm/tools')")
        try:
            self._tape = Tape(map(_cassette, names), match=match, speed=speed, cut=cut, repeat=repeat)
        except ValueError as error:
            raise BadInput(str(error)) from None
        self.answer = self._tape
        self._partly = partly
        return self

    @property
    def exchanges(self) -> list[Exchange]:
        """The requests that came, and what was answered."""
        return list(self.journal)

    def check(self) -> None:
        """Raise AssertionError when a request was not recorded, or a recording was never or only partly played."""
        problems = self.journal.problems
        if problems:
            more = f"\n(and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise AssertionError(problems[0] + more)
        if self._tape is None:
            raise AssertionError(
                "no cassette was played: call cassette.play('vllm/tools'), or leave the fixture out"
            )
        left = self._tape.unplayed
        if len(left) == len(self._tape.exchanges):
            raise AssertionError(f"{left[0]} was never played: no request was made")
        if left and not self._partly:
            raise AssertionError(
                f"only a part was played: nobody asked for {', '.join(left)}; play with partly=True if that is right"
            )


class CassetteGateway(Replays, ServerThread):
    """Plays cassettes on a socket of 127.0.0.1; `url` is the root, `v1` the usual base URL. A context manager."""

    def __init__(self) -> None:
        super().__init__(_nothing)


class RespxCassette(Replays):
    """The same for httpx clients without a socket: answers below `url` through a respx router."""

    def __init__(self, router: respx.Router, url: str = "http://gateway.test") -> None:
        from onpaper.gateway.respx_face import RespxFace

        self._face = RespxFace(router, url, _nothing)
        self.url, self.v1, self.journal = self._face.url, self._face.v1, self._face.journal

    @property
    def answer(self) -> Answer:
        return self._face.answer

    @answer.setter
    def answer(self, answer: Answer) -> None:
        self._face.answer = answer


def on_a_socket() -> Iterator[CassetteGateway]:
    """The fixture `cassette`: recordings on a real socket, checked when the test is over."""
    with CassetteGateway() as served:
        yield served
        served.check()


def through_respx() -> Iterator[RespxCassette]:
    """The fixture `respx_cassette`: the same without a socket, for httpx clients."""
    import respx

    with respx.mock(assert_all_called=False) as router:
        served = RespxCassette(router)
        yield served
        served.check()


playing = contextmanager(on_a_socket)
"""`with playing() as cassette: cassette.play(…)` where there is no pytest."""


def _cassette(name: str | Path | Cassette) -> Cassette:
    if isinstance(name, Cassette):
        return name
    if isinstance(name, Path) or name.endswith((".yaml", ".yml", ".json", ".har", ".httprr", ".gz")):
        return load(name)
    known = find(folders.search_path("cassettes"))
    if name not in known:
        raise BadInput(f"there is no cassette {name!r}{_hint(name, known)}")
    return load(known[name])


def _hint(name: str, known: Iterable[str]) -> str:
    """The nearest name, and others of the same folder rather than of all there are."""
    folder = name.partition("/")[0]
    beside = [one for one in known if one.startswith(f"{folder}/")]
    return nearest(name, beside or known, listed="onpaper list cassettes")


def _nothing(request: Request) -> Script:
    raise Unanswerable(
        "no cassette is played: call play() first", refusal(500, "onpaper: no cassette is played")
    )
