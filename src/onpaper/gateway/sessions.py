"""Several independent gateways on one server, so that tests which run at the same time do not meet.

A request belongs to the session that its path names (`/_session/NAME/…`, taken off before anyone sees
it), else to the one that its header `x-onpaper-session` names, else to the one that its key was given to,
else to the default one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from onpaper.errors import BadInput, nearest
from onpaper.exchange import Request
from onpaper.gateway.answering import Answer, Unanswerable, refusal
from onpaper.gateway.journal import Journal
from onpaper.gateway.keys import key_of
from onpaper.gateway.scripting import answer_for
from onpaper.script import Script

PREFIX = "/_session/"
HEADER = "x-onpaper-session"
DEFAULT = "default"
NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
MOST_SESSIONS = 1000


class SessionJournal(Journal):
    """The journal of one session: its connections are those that its exchanges came over."""

    @property
    def connections(self) -> int:  # type: ignore[override]
        return len({entry.connection for entry in self})

    @connections.setter
    def connections(self, value: int) -> None:
        """The server counts connections; a session has none of its own."""


class Session:
    """One of the gateways on a server: its own answer, its own journal, its own base URL."""

    def __init__(
        self, name: str, url: str, answer: Answer, journal: Journal, keys: Iterable[str] = ()
    ) -> None:
        self.name = name
        self.url = url
        self.v1 = url + "/v1"
        self.answer = answer
        self.journal = journal
        self.keys = frozenset(keys)


class Sessions:
    """The sessions of one server; `route` is what the server asks for each request.

    `attach` is called with each new session, before it answers anything.
    """

    def __init__(
        self, url: str, answer: Answer, journal: Journal, attach: Callable[[Session], None] | None = None
    ) -> None:
        self.url = url
        self._attach = attach
        self._first_answer = answer
        self._sessions = {DEFAULT: Session(DEFAULT, url, answer, journal)}
        self._by_key: dict[str, Session] = {}
        if attach is not None:
            attach(self.default)

    @property
    def default(self) -> Session:
        return self._sessions[DEFAULT]

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._sessions.values()))

    def __len__(self) -> int:
        return len(self._sessions)

    def __contains__(self, name: str) -> bool:
        return name in self._sessions

    def __getitem__(self, name: str) -> Session:
        try:
            return self._sessions[name]
        except KeyError:
            raise BadInput(f"there is no session {name!r}{nearest(name, self._sessions)}") from None

    def put(self, name: str, answer: Answer, keys: Iterable[str] = ()) -> Session:
        """The session of that name, new or with a new answer. Raises BadInput for a bad name or a taken
        key.
        """
        if not NAME.fullmatch(name):
            raise BadInput(
                f"a session's name is of a-z, 0-9, '.' and '-' and at most 64 long, found {name!r}"
            )
        wanted = frozenset(keys)
        for key in wanted:
            owner = self._by_key.get(key)
            if owner is not None and owner.name != name:
                raise BadInput(
                    f"one of these keys belongs to session {owner.name!r} already; give each its own"
                )
        session = self._sessions.get(name)
        if session is None:
            if len(self._sessions) >= MOST_SESSIONS:
                raise BadInput(
                    f"there are {MOST_SESSIONS} sessions, the most there can be; delete those not in use"
                )
            journal = SessionJournal()
            journal.settle = lambda: self.default.journal.settle()
            session = self._sessions[name] = Session(name, f"{self.url}{PREFIX}{name}", answer, journal)
            if self._attach is not None:
                self._attach(session)
        session.answer = answer
        if wanted:
            self._release(session)
            session.keys = wanted
            self._by_key.update(dict.fromkeys(wanted, session))
        return session

    def play(self, name: str, said: Mapping[str, Any], keys: Iterable[str] = ()) -> Session:
        """The same with what to play as data (see `scripting`). Raises BadInput for that as well."""
        return self.put(name, answer_for(said), keys)

    def drop(self, name: str) -> None:
        """Forget a session. Raises BadInput if there is none, or if it is the default one."""
        session = self[name]
        if session is self.default:
            raise BadInput(
                "the default session cannot be deleted; clear its journal or give it another script"
            )
        self._release(session)
        del self._sessions[name]

    def reset(self) -> None:
        """Back to the beginning: only the default session, its first answer and an empty journal."""
        for session in tuple(self._sessions.values()):
            if session is not self.default:
                self.drop(session.name)
        self._release(self.default)
        self.default.answer = self._first_answer
        self.default.journal.clear()

    def route(self, request: Request) -> tuple[Answer, Journal, Request]:
        """Who answers a request, which journal keeps it, and the request as they see it."""
        name = request.header(HEADER)
        if request.target.startswith(PREFIX):
            name, _, rest = request.target.removeprefix(PREFIX).partition("/")
            request = Request(request.method, "/" + rest, request.headers, request.body)
        if name is None:
            session = self._by_key.get(key_of(request), self.default) if self._by_key else self.default
        elif name in self._sessions:
            session = self._sessions[name]
        else:
            return self._unknown(name), self.default.journal, request
        return session.answer, session.journal, request

    def _release(self, session: Session) -> None:
        for key in session.keys:
            self._by_key.pop(key, None)
        session.keys = frozenset()

    def _unknown(self, name: str) -> Answer:
        sentence = f"there is no session {name!r}{nearest(name, self._sessions)}"

        def answer(request: Request) -> Script:
            raise Unanswerable(sentence, refusal(404, sentence))

        return answer
