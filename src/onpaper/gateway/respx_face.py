"""The gateway without a socket: plays the same answers to httpx clients through respx, in process.

What only a socket can do is refused with the reason.
"""

from __future__ import annotations

import time

import httpx
import respx

from onpaper.exchange import Request
from onpaper.gateway.answering import Answer, ask
from onpaper.gateway.entry import Entry
from onpaper.gateway.in_place import only_on_a_socket, over, reply
from onpaper.gateway.journal import Journal


class NeedsSocket(ValueError):
    """The script asks for something that cannot be seen without a socket."""


class RespxFace:
    """Routes every request below `base_url` to `answer`, which may be replaced at any time.

    `router` is a respx router (the `respx_mock` fixture, `respx.mock()`); the journal is the socket
    gateway's. The pause before the head is made before the first byte of the body. A hang, or a pause
    longer than the client's read timeout, raises `httpx.ReadTimeout` at once.
    """

    def __init__(
        self, router: respx.Router, base_url: str, answer: Answer, journal: Journal | None = None
    ) -> None:
        self.answer = answer
        self.journal = journal if journal is not None else Journal()
        self.url = base_url.rstrip("/")
        self.v1 = self.url + "/v1"
        router.route(url__startswith=self.url).mock(side_effect=self._respond)

    def _respond(self, request: httpx.Request) -> httpx.Response:
        asked = Request(
            request.method,
            request.url.raw_path.decode("ascii"),
            tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw),
            request.content,
        )
        entry = Entry(asked, 0, time.monotonic())
        self.journal.begin(entry)
        script, entry.problem = ask(self.answer, asked)
        reasons = only_on_a_socket(script)
        if reasons:
            wanted = ", ".join(reasons)
            entry.problem = f"without a socket the gateway cannot play {wanted}; use the one with a socket"
            over(entry, self.journal)
            raise NeedsSocket(entry.problem)
        patience = request.extensions.get("timeout", {}).get("read")
        status, headers, body = reply(script, entry, self.journal, patience)
        return httpx.Response(status, headers=list(headers), stream=body, request=request)
