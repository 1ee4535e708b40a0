"""Cuts what a client sends into requests (RFC 9112), within limits, on httptools (llhttp).

A head that came before, byte for byte, is not parsed again: clients that send many requests send few heads.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import NamedTuple

import httptools

from onpaper.exchange import Headers
from onpaper.gateway.limits import Limits

logger = logging.getLogger(__name__)

LONGEST_KNOWN_HEAD = 4096
MOST_KNOWN_HEADS = 1024
_ABSOLUTE = re.compile(r"https?://([^/?]*)(.*)", re.IGNORECASE)


class Head(NamedTuple):
    """The head of a request: its parts, and what they mean for the connection. `length` is the body's, in
    bytes.
    """

    method: str
    target: str
    headers: Headers
    version: str
    keep_alive: bool
    length: int


class Reader:
    """Reads the requests of one connection.

    `arrived(head, body)` is called for each that is whole, `expects()` when one waits for 100 Continue, and
    `refuse(status, sentence)`, at most once, when there is no going on. `known` remembers heads;
    connections share it.
    """

    __slots__ = (
        "_arrived",
        "_asked",
        "_body",
        "_expecting",
        "_expects",
        "_fed",
        "_headers",
        "_in_head",
        "_known",
        "_limits",
        "_parser",
        "_refuse",
        "_target",
        "_whole",
        "deaf",
        "in_message",
    )

    def __init__(
        self,
        limits: Limits,
        known: dict[bytes, Head],
        arrived: Callable[[Head, bytes], None],
        expects: Callable[[], None],
        refuse: Callable[[int, str], None],
    ) -> None:
        self._limits = limits
        self._known = known
        self._arrived = arrived
        self._expects = expects
        self._refuse = refuse
        self._parser: httptools.HttpRequestParser | None = None
        self._asked: Headers | None = None  # of a request that is read again
        self._whole = b""  # what was fed in one piece, if a message began with it
        self._fed = 0
        self._in_head = False
        self.in_message = False
        """A request has begun and is not complete."""
        self.deaf = False
        """Whatever follows is ignored."""

    def feed(self, data: bytes) -> None:
        """Take what came."""
        if self.deaf:
            return
        if not self.in_message:
            end = data.find(b"\r\n\r\n") + 4
            head = self._known.get(data[:end])
            if head is not None and len(data) - end == head.length:
                self._arrived(head, data[end:])
                return
            self._whole = data
        else:
            self._whole = b""
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        self._fed += len(data)
        pieces: list[bytes | memoryview] = [data]
        try:
            while pieces:
                piece = pieces.pop()
                if self._parser is None:
                    self._parser = httptools.HttpRequestParser(self)
                try:
                    self._parser.feed_data(piece)
                except httptools.HttpParserUpgrade as upgrade:
                    self._whole = b""
                    if not self.deaf:
                        pieces += [memoryview(piece)[upgrade.args[0] :], self._without_upgrade()]
                        self._parser = None
        except httptools.HttpParserCallbackError as error:
            logger.error("the gateway failed on a request", exc_info=error)
            self._stop(500, f"the gateway failed on this request: {error.__context__!r}")
        except httptools.HttpParserError as error:
            self._stop(400, f"this is not an HTTP/1.1 request: {error}")
        if self._fed > self._limits.header_bytes and self.in_message:
            what = "head" if self._in_head else "trailers or chunk extensions"
            self._stop(431, f"the request's {what} exceed {self._limits.header_bytes} bytes")

    def _without_upgrade(self) -> bytes:
        """The head just read as if it asked for no upgrade, which a server may ignore (RFC 9110 §7.8).

        The parser takes what follows such a head for another protocol, so it has to be shown a head that asks
        for none before it reads the body.
        """
        assert self._parser is not None
        self._asked = tuple(self._headers)
        first = f"{self._parser.get_method().decode('ascii')} / HTTP/{self._parser.get_http_version()}"
        kept = [f"{name}: {value}" for name, value in self._asked if name.lower() != "upgrade"]
        return "\r\n".join([first, *kept, "", ""]).encode("latin-1")

    def _stop(self, status: int, sentence: str) -> None:
        if not self.deaf:
            self.deaf = True
            self._refuse(status, sentence)

    # What the parser tells it.

    def on_message_begin(self) -> None:
        self.in_message = self._in_head = True
        self._headers: list[tuple[str, str]] = []
        self._body: bytes | bytearray = b""
        if self._asked is not None:
            return
        self._expecting = False
        self._target = b""

    def on_url(self, url: bytes) -> None:
        if self._asked is None:
            self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # later ones are trailers; RFC 9110 §6.5.1 lets a recipient ignore them
            value = value.rstrip(b" \t")  # RFC 9112 §5.1: no white space around it
            self._headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._asked is not None:
            return
        assert self._parser is not None
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            self._stop(505, f"the gateway speaks HTTP/1.1, found HTTP/{version}")
            return
        hosts = 0
        for name, value in self._headers:
            lower = name.lower()
            if lower == "host":
                hosts += 1
            elif lower == "expect":
                self._expecting = version == "1.1" and value.lower() == "100-continue"
            elif lower == "content-length" and int(value) > self._limits.body_bytes:
                self._stop(413, f"the request's body exceeds {self._limits.body_bytes} bytes")
                return
        if hosts != 1 and (version == "1.1" or hosts):
            self._stop(400, f"an HTTP/1.1 request has exactly one Host header (RFC 9112 §3.2), found {hosts}")
        elif self._expecting:
            self._expects()

    def on_body(self, data: bytes) -> None:
        self._fed = 0
        if self.deaf:
            return
        if not self._body:
            self._body = data
        elif isinstance(self._body, bytearray):
            self._body += data
        else:
            self._body = bytearray(self._body) + data
        if len(self._body) > self._limits.body_bytes:
            self._body = b""
            self._stop(413, f"the request's body exceeds {self._limits.body_bytes} bytes")

    def on_message_complete(self) -> None:
        self.in_message = False
        self._fed = 0
        whole, self._whole = self._whole, b""  # a second message in the same piece does not begin with it
        if self.deaf:
            return
        assert self._parser is not None
        method = self._parser.get_method().decode("ascii")
        if self._parser.should_upgrade() and method != "CONNECT":
            return  # it is read again, with its body
        headers, self._asked = self._asked or tuple(self._headers), None
        keep_alive = self._parser.should_keep_alive() and method != "CONNECT"
        self.deaf = not keep_alive  # whatever follows on this connection is not ours to read
        body = bytes(self._body)
        target = self._target.decode("latin-1")
        if target[:1] != "/":
            target, headers = _origin_form(target, headers)
        head = Head(method, target, headers, self._parser.get_http_version(), keep_alive, len(body))
        if whole and keep_alive and not self._expecting:
            self._remember(head, whole)
        self._arrived(head, body)

    def _remember(self, head: Head, whole: bytes) -> None:
        """Keep a head that need not be parsed again: if its bytes alone tell where the message ends."""
        end = whole.find(b"\r\n\r\n") + 4
        if end + head.length != len(whole) or end > LONGEST_KNOWN_HEAD:
            return
        names = {name.lower() for name, _ in head.headers}
        if not names & {"transfer-encoding", "upgrade"}:
            if len(self._known) >= MOST_KNOWN_HEADS:
                self._known.clear()
            self._known[whole[:end]] = head


def _origin_form(target: str, headers: Headers) -> tuple[str, Headers]:
    """Target and headers of a request in absolute form as those of the same one in origin form.

    A server must accept both, and the target's host replaces the one in the header (RFC 9112 §3.2.2).
    """
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        return target, headers
    host, rest = absolute.groups()
    told = tuple((name, host if name.lower() == "host" else value) for name, value in headers)
    return rest if rest.startswith("/") else f"/{rest}", told
