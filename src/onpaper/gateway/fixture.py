"""The gateway of a test: say what it plays, let the application talk to it, and ask what happened.

The same object plays on a socket and, for httpx clients, through respx. A scripted fault that never
reached the wire, and a request that no reply is for, fail the test at its end: a test that proved nothing
must not be green.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onpaper.answer import Provider
from onpaper.contract import Contract
from onpaper.exchange import Exchange, Request
from onpaper.gateway import faults
from onpaper.gateway.journal import Journal
from onpaper.mock import Mock
from onpaper.script import Script

if TYPE_CHECKING:
    import respx


class NotPlayed(AssertionError):
    """What a test scripted did not happen."""


class Gateway:
    """Plays what it is told to: `play()` once or again and again; `url` is the root, `v1` the usual base URL.

    `journal` holds every request and what was really written. Use `Gateway.start()`, or the fixture
    `gateway`.
    """

    def __init__(self, face: Any) -> None:
        self._face = face
        self._promised: list[tuple[str, tuple[str, ...]]] = []
        self._answer: Callable[[Request], Script] = lambda request: Provider(Contract.load("openai"))(request)

    @classmethod
    def start(cls) -> Gateway:
        """A gateway on a socket of 127.0.0.1, in a thread of its own. Stop it with `stop()`."""
        from onpaper.gateway.thread import ServerThread

        gateway = cls(None)
        gateway._face = ServerThread(gateway._reply)
        gateway._face.start()
        gateway.play("hello")
        return gateway

    @classmethod
    def through(cls, router: respx.Router, base_url: str = "http://gateway.test") -> Gateway:
        """The same without a socket, for httpx clients: every request below `base_url` is answered
        through respx.
        """
        from onpaper.gateway.respx_face import RespxFace

        gateway = cls(None)
        gateway._face = RespxFace(router, base_url, gateway._reply)
        gateway.play("hello")
        return gateway

    @property
    def url(self) -> str:
        return str(self._face.url)

    @property
    def v1(self) -> str:
        return str(self._face.v1)

    @property
    def journal(self) -> Journal:
        journal: Journal = self._face.journal
        return journal

    def play(
        self,
        mock: str | Path | Mapping[str, Any] | Mock | Script | Callable[[Request], Script] = "hello",
        *,
        provider: str | Contract = "openai",
        strict: bool = True,
        key: str | None = None,
    ) -> Gateway:
        """From now on, answer as this mock says, in this provider's words.

        `mock` is a name, a file, a mapping of the same shape as the file, a `Mock`, a `Script`, or a
        function from a request to a script. Played strictly the provider refuses what the real one
        refuses; `key` is the one right key (None: any). Raises BadInput for an unknown name.
        """
        if isinstance(mock, Script):
            script = mock
            self._promise("a script", script.faults)
            self._answer = lambda _: script
        elif callable(mock) and not isinstance(mock, (str, Path, Mapping, Mock)):
            self._answer = mock
        else:
            said = _mock_of(mock)
            names = tuple(str(one["fault"]) for reply in said.replies for one in reply.faults)
            self._promise(f"mock {said.name!r}", names)
            contract = provider if isinstance(provider, Contract) else Contract.load(provider)
            self._answer = Provider(contract, said, strict=strict, key=key, faults=faults.apply)
        return self

    def _promise(self, what: str, names: tuple[str, ...]) -> None:
        if names:
            self._promised.append((what, names))

    def _reply(self, request: Request) -> Script:
        return self._answer(request)

    @property
    def exchanges(self) -> list[Exchange]:
        return list(self.journal)

    def check(self) -> None:
        """Raise NotPlayed when a scripted fault never fired, or a request came that no reply was for."""
        fired = set(self.journal.fired)
        for what, names in self._promised:
            missing = [name for name in names if name not in fired]
            if missing:
                raise NotPlayed(
                    f"{what} scripts {', '.join(missing)}, which never reached the wire in"
                    f" {len(self.journal)} request(s): the test did not meet the fault it is about"
                )
        if self.journal.problems:
            raise NotPlayed(f"the gateway could not play what was asked: {self.journal.problems[0]}")

    def stop(self) -> None:
        """Stop serving; connections that are open are dropped."""
        if hasattr(self._face, "stop"):
            self._face.stop()


def _mock_of(mock: Any) -> Mock:
    if isinstance(mock, Mock):
        return mock
    if isinstance(mock, Mapping):
        return Mock.of(mock)
    return Mock.read(mock) if isinstance(mock, Path) else Mock.load(str(mock))
