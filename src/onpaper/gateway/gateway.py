"""The gateway as a test sees it: plays mocks as a provider, on a socket or through respx, and checks that
it could.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from onpaper.gateway import faults
from onpaper.gateway.answering import Answer
from onpaper.gateway.entry import Entry
from onpaper.gateway.journal import Journal
from onpaper.gateway.masking import Masker, secrets_of
from onpaper.gateway.sessions import Session, Sessions
from onpaper.gateway.thread import ServerThread
from onpaper.script import Script

if TYPE_CHECKING:
    import respx

    from onpaper.contract import Contract
    from onpaper.mock import Mock


class Plays:
    """What both faces have in common: `play` says what to answer, `check` that it went as scripted."""

    answer: Answer
    journal: Journal
    _mark: int = 0
    _scripted: tuple[str, ...] = ()
    _title: str = ""

    def play(
        self,
        mock: str | Path | Mapping[str, Any] | Mock | Script | Answer = "hello",
        provider: str | Contract = "openai",
        *,
        strict: bool = True,
        key: str | None = None,
        models: Sequence[str] = (),
    ) -> Self:
        """Answer as this provider, from the next request on, what this mock says.

        `mock` is a name, a file, an object of the shape of a mock's file, a `Mock`, or in place of all
        that a `Script` or a function from a request to a script. Strictly, what the provider refuses is
        refused; `key` is the one right key (any that is not empty unless given). Raises BadInput.
        """
        if isinstance(mock, Script):
            script = mock
            self.answer = lambda request: script
            self._title, self._scripted = "a script", script.faults
        elif callable(mock):
            self.answer = mock
            self._title, self._scripted = "a function", ()
        else:
            said = _mock(mock)
            self.answer = _provider(provider, said, strict=strict, key=key, models=models)
            self._title = f"mock {said.name!r}"
            self._scripted = tuple(
                str(fault.get("fault")) for reply in said.replies for fault in reply.faults
            )
        self._mark = self.journal.mark()
        return self

    def check(self, allow: Iterable[str] = ()) -> None:
        """Raise AssertionError if a request since `play` could not be answered as scripted, or a fault
        never fired.

        Faults named in `allow` may stay unfired: a client that rightly gives up early keeps them from firing.
        """
        allowed = set(allow)
        exchanges = self.journal.since(self._mark)
        complaints = _complaints(exchanges, allowed)
        fired = {fault for entry in exchanges for fault in entry.fired}
        seen = fired | {fault for entry in exchanges for fault in entry.unfired} | allowed
        complaints += [
            f"the fault {fault} of {self._title} never fired: no request got the reply it belongs to"
            for fault in dict.fromkeys(self._scripted)
            if fault not in seen
        ]
        _complain(complaints, exchanges)


def _complaints(exchanges: Iterable[Entry], allowed: Collection[str]) -> list[str]:
    """What did not go as scripted in these exchanges."""
    complaints = []
    for entry in exchanges:
        complaints += [entry.problem] if entry.problem else []
        complaints += [f"the fault {fault} did not fire in {entry!r}" for fault in entry.unfired if fault not in allowed]
    return complaints


def _complain(complaints: Sequence[str], exchanges: Iterable[Entry]) -> None:
    if complaints:
        masker = Masker(secret for entry in exchanges for secret in secrets_of(entry.request))
        raise AssertionError(masker.text("; ".join(complaints)))


def _mock(said: str | Path | Mapping[str, Any] | Mock) -> Mock:
    from onpaper.mock import Mock

    if isinstance(said, str):
        return Mock.load(said)
    if isinstance(said, Path):
        return Mock.read(said)
    return said if isinstance(said, Mock) else Mock.of(said)


def _provider(provider: str | Contract, mock: Mock, **options: Any) -> Answer:
    from onpaper.answer import Provider
    from onpaper.contract import Contract

    contract = provider if isinstance(provider, Contract) else Contract.load(provider)
    return Provider(contract, faults.check(mock), faults=faults.apply, **options)


class Gateway(Plays, ServerThread):
    """A fake gateway on a real socket, in a thread of its own. Takes what `ServerThread` takes, except an
    answer. Raises CannotListen.

    Usable as a context manager; answers as OpenAI says hello until told otherwise. Further sessions are
    independent of it and of each other.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0, **options: Any) -> None:
        super().__init__(_unset, host, port, **options)
        self.sessions = Sessions(self.url, self._default_answer, self.journal)
        self.play()

    def session(self, name: str, said: Mapping[str, Any] | None = None, keys: Iterable[str] = ()) -> Session:
        """The session of that name, made if there is none; `said` is what it plays from now on (see `scripting`), at first
        hello. Raises BadInput for what cannot be played, a bad name, and a key of another session.
        """
        self.server.route = self.sessions.route  # from now on requests have to be told apart
        if said is None and not keys and name in self.sessions:
            return self.sessions[name]
        return self.sessions.play(name, said or {}, keys)

    def check(self, allow: Iterable[str] = ()) -> None:
        """The same, and for the requests of every session."""
        allowed = tuple(allow)
        super().check(allowed)
        for session in self.sessions:
            if session is not self.sessions.default:
                _complain(_complaints(list(session.journal), allowed), session.journal)

    def _default_answer(self, request: Any) -> Any:
        return self.answer(request)


class RespxGateway(Plays):
    """The same for httpx clients without a socket: answers below `url` through a respx router."""

    def __init__(
        self, router: respx.Router, url: str = "http://gateway.test", journal: Journal | None = None
    ) -> None:
        from onpaper.gateway.respx_face import RespxFace

        self._face = RespxFace(router, url, _unset, journal)
        self.url = self._face.url
        self.v1 = self._face.v1
        self.journal = self._face.journal
        self.play()

    @property
    def answer(self) -> Answer:  # type: ignore[override]
        return self._face.answer

    @answer.setter
    def answer(self, answer: Answer) -> None:
        self._face.answer = answer


def _unset(request: Any) -> Any:
    raise LookupError("nothing is scripted")
