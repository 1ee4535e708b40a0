"""The gateway's own endpoint, `/_onpaper/…`: tests in any language script it and read the masked journal.

It answers only requests that name a loopback address (or a host that was allowed) and that no foreign web
page sent: a page that a browser shows could otherwise reach a server on this machine (DNS rebinding,
cross-site requests).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from onpaper.errors import BadInput, nearest
from onpaper.exchange import Request, header_values
from onpaper.gateway.answering import Answer, refusal
from onpaper.gateway.faults import known_faults
from onpaper.gateway.journal import Journal
from onpaper.gateway.masking import rows
from onpaper.gateway.metrics import CONTENT_TYPE, exposition
from onpaper.gateway.operation import OPERATIONS, PREFIX, operation
from onpaper.gateway.server import Route
from onpaper.gateway.sessions import Session, Sessions
from onpaper.script import Script, Write

if TYPE_CHECKING:
    from onpaper.gateway.workers import Workers

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
MOST_ROWS = 1000
NOT_OURS = ("cross-site", "same-site")


class Admin:
    """Answers the requests below `/_onpaper/`; an answer function like any other.

    `hosts` are further names by which the server is known, such as that of a container.
    """

    def __init__(
        self,
        sessions: Sessions | Workers,
        open_connections: Callable[[], int] = lambda: 0,
        hosts: frozenset[str] = frozenset(),
    ) -> None:
        self.sessions = sessions
        self._open_connections = open_connections
        self._hosts = LOOPBACK_NAMES | {host.lower() for host in hosts}
        self._journal = Journal(exchanges=10)

    def before(self, route: Route) -> Route:
        """For a server that has this endpoint besides what `route` chooses."""

        def choose(request: Request) -> tuple[Answer, Journal, Request]:
            return self.only(request) if request.target.startswith(PREFIX) else route(request)

        return choose

    def only(self, request: Request) -> tuple[Answer, Journal, Request]:
        """For a server that has nothing but this endpoint."""
        return self, self._journal, request

    def __call__(self, request: Request) -> Script:
        foreign = self._foreign(request)
        if foreign:
            return refusal(403, foreign)
        path = request.path
        allowed: list[str] = []
        for entry in OPERATIONS:
            match = entry.pattern.fullmatch(path)
            if match and request.method == entry.method:
                try:
                    return entry.run(
                        self, {name: unquote(value) for name, value in match.groupdict().items()}, request
                    )
                except BadInput as error:
                    return refusal(400, str(error))
            if match:
                allowed.append(entry.method)
        if allowed:
            return refusal(405, f"{path} is for {' and '.join(allowed)}, found {request.method}")
        return refusal(404, f"there is no {path}{nearest(path, {one.path for one in OPERATIONS if one.method == 'GET'})}")

    def _foreign(self, request: Request) -> str:
        """Why a request is none of ours, or an empty string."""
        host = (request.header("host") or "").lower()
        name = host if host.endswith("]") else re.sub(r":\d*\Z", "", host)
        if name not in self._hosts:
            return (
                f"the admin endpoint answers for {', '.join(sorted(self._hosts))} only, found Host {host!r}"
            )
        for origin in header_values(request.headers, "origin"):
            if urlsplit(origin).netloc.lower() != host:
                return f"the admin endpoint does not answer other origins, found Origin {origin!r}"
        if request.header("sec-fetch-site") in NOT_OURS:
            return "the admin endpoint does not answer other sites"
        return ""

    # ---- what it does ----

    @operation("GET", "/_onpaper/")
    def index(self, where: Mapping[str, str], request: Request) -> Script:
        """What can be asked here."""
        return _json({f"{one.method} {one.path}": one.summary for one in OPERATIONS})

    @operation("GET", "/_onpaper/health")
    def health(self, where: Mapping[str, str], request: Request) -> Script:
        """Whether the gateway is up."""
        return _json({"status": "ok"})

    @operation("GET", "/_onpaper/openapi.json")
    def openapi(self, where: Mapping[str, str], request: Request) -> Script:
        """This endpoint, described in OpenAPI 3.1."""
        from onpaper.gateway.openapi import description

        return _json(description(OPERATIONS))

    @operation("GET", "/_onpaper/metrics")
    def metrics(self, where: Mapping[str, str], request: Request) -> Script:
        """Counters and gauges in the text format of Prometheus."""
        journals = {session.name: session.journal for session in self.sessions}
        return _reply(exposition(journals, self._open_connections()).encode(), CONTENT_TYPE)

    @operation("GET", "/_onpaper/faults")
    def faults(self, where: Mapping[str, str], request: Request) -> Script:
        """Every fault that a mock can script, with its parameters."""
        return _json(
            {
                name: {
                    "about": fault.about,
                    "parameters": {
                        parameter.name: {
                            "type": parameter.kind,
                            "required": parameter.required,
                            **({} if parameter.required else {"default": parameter.default}),
                        }
                        for parameter in fault.parameters
                    },
                }
                for name, fault in known_faults().items()
            }
        )

    @operation("POST", "/_onpaper/reset")
    def reset(self, where: Mapping[str, str], request: Request) -> Script:
        """Back to the beginning: one session, its first script, an empty journal."""
        self.sessions.reset()
        return _json({"sessions": ["default"]})

    @operation("GET", "/_onpaper/sessions")
    def list_sessions(self, where: Mapping[str, str], request: Request) -> Script:
        """The sessions of this server."""
        return _json({session.name: _summary(session) for session in self.sessions})

    @operation("GET", "/_onpaper/sessions/{session}")
    def show_session(self, where: Mapping[str, str], request: Request) -> Script:
        """One session: its base URL and what its journal holds."""
        return _json(_summary(self.sessions[where["session"]]))

    @operation("PUT", "/_onpaper/sessions/{session}", takes_body=True)
    def script_session(self, where: Mapping[str, str], request: Request) -> Script:
        """Make a session, or give one another script."""
        said = _body(request)
        keys = said.pop("keys", [])
        if not isinstance(keys, list) or not all(isinstance(key, str) and key for key in keys):
            raise BadInput("keys is a list of texts: the keys whose requests belong to this session")
        return _json(_summary(self.sessions.play(where["session"], said, keys)))

    @operation("DELETE", "/_onpaper/sessions/{session}")
    def delete_session(self, where: Mapping[str, str], request: Request) -> Script:
        """Forget a session and its journal."""
        self.sessions.drop(where["session"])
        return Script(204)

    @operation("GET", "/_onpaper/sessions/{session}/journal")
    def read_journal(self, where: Mapping[str, str], request: Request) -> Script:
        """The exchanges of a session, credentials masked: those after number `since`, at most `limit`."""
        journal = self.sessions[where["session"]].journal
        since, limit = _number(request, "since", 0), _number(request, "limit", MOST_ROWS)
        first = journal.total - len(journal)
        start = max(0, since - first)
        shown = rows(journal[start : start + min(limit, MOST_ROWS)])
        for number, row in enumerate(shown, first + start + 1):
            row["number"] = number
        return _json(
            {
                "total": journal.total,
                "dropped": journal.dropped,
                "connections": journal.connections,
                "billable": len(journal.billable),
                "fired": journal.fired,
                "unfired": journal.unfired,
                "exchanges": shown,
            }
        )

    @operation("GET", "/_onpaper/sessions/{session}/journal.jsonl")
    def read_lines(self, where: Mapping[str, str], request: Request) -> Script:
        """The exchanges of a session as JSON Lines, credentials masked."""
        lines = "".join(line + "\n" for line in self.sessions[where["session"]].journal.lines())
        return _reply(lines.encode("utf-8", "backslashreplace"), "application/jsonl")

    @operation("DELETE", "/_onpaper/sessions/{session}/journal")
    def clear_journal(self, where: Mapping[str, str], request: Request) -> Script:
        """Forget the exchanges of a session."""
        self.sessions[where["session"]].journal.clear()
        return Script(204)


def _summary(session: Session) -> dict[str, Any]:
    journal = session.journal
    return {
        "url": session.url,
        "v1": session.v1,
        "total": journal.total,
        "dropped": journal.dropped,
        "fired": journal.fired,
        "unfired": journal.unfired,
        "problems": [row["problem"] for row in rows(entry for entry in journal if entry.problem)][-10:],
    }


def _body(request: Request) -> dict[str, Any]:
    try:
        value = request.json()
    except ValueError as error:
        raise BadInput(f"the body must be a JSON object: {error}") from None
    if not isinstance(value, dict):
        raise BadInput(f"the body must be a JSON object, found {type(value).__name__}")
    return value


def _number(request: Request, name: str, default: int) -> int:
    text = parse_qs(request.target.partition("?")[2]).get(name, [str(default)])[0]
    if not re.fullmatch(r"[0-9]{1,12}", text):
        raise BadInput(f"{name} must be a whole number from 0 on, found {text!r}")
    return int(text)


def _json(value: Any) -> Script:
    return _reply(
        json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace"), "application/json"
    )


def _reply(body: bytes, content_type: str) -> Script:
    headers = (("content-type", content_type), ("cache-control", "no-store"))
    return Script(200, headers, (Write(body),), transfer="length", joined=True)
