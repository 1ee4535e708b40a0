"""Credentials in a journal: found in the requests themselves, and masked wherever the journal leaves
memory.
"""

from __future__ import annotations

import base64
import datetime
import json
import re
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from onpaper.exchange import Exchange, Headers, Request

MASK = "***"

SHOWN = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "date",
        "expect",
        "host",
        "keep-alive",
        "retry-after",
        "server",
        "te",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "vary",
    }
)
"""The headers whose values are shown, with those that match `SHOWN_PREFIXES`; of every other only the
name is.
"""

SHOWN_PREFIXES = ("x-ratelimit-", "x-stainless-", "ratelimit-")

CREDENTIALS = re.compile(r"(?i)(?:.*-)?(?:authorization|cookie|key|token|secret|password|vk)")
"""The names of headers whose values are credentials: each provider has a name of its own for its key."""

SECRET_QUERY = re.compile(r"(?i)([?&](?:api[-_]?key|key|token|access[-_]token|sig|signature|code)=)[^&#]*")

SHORTEST = 4
"""Shorter values are not taken for credentials: masking every `x` would make the rest unreadable."""


def secrets_of(request: Request) -> set[str]:
    """The credentials that a request carries: header values, with and without their scheme, and query
    values.
    """
    found: set[str] = set()
    for name, value in request.headers:
        if CREDENTIALS.fullmatch(name):
            found.update((value, value.partition(" ")[2].strip()))
            if value.lower().startswith("basic "):
                found.update(_basic(value[6:]))
    for match in SECRET_QUERY.finditer(request.target):
        found.add(match.group(0).partition("=")[2])
    return {secret for secret in found if len(secret) >= SHORTEST}


def _basic(encoded: str) -> set[str]:
    """User, password and both of an HTTP Basic credential (RFC 7617)."""
    try:
        pair = base64.b64decode(encoded, validate=True).decode("utf-8")
    except ValueError:
        return set()
    user, _, password = pair.partition(":")
    return {pair, user, password}


class Masker:
    """Replaces given secrets, also read as UTF-8, JSON-escaped, URL-quoted and in Base64, by `***`."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms: set[str] = set()
        for secret in secrets:
            spellings = {secret, secret.encode("latin-1", "replace").decode("utf-8", "replace")}
            for spelling in spellings:
                encoded = base64.b64encode(spelling.encode("utf-8", "replace")).decode("ascii").rstrip("=")
                plain, escaped = json.dumps(spelling, ensure_ascii=False)[1:-1], json.dumps(spelling)[1:-1]
                forms.update((spelling, plain, escaped, quote(spelling, safe="", errors="replace"), encoded))
        longest_first = sorted(
            (form for form in forms if len(form) >= SHORTEST), key=lambda form: (-len(form), form)
        )
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def text(self, text: str) -> str:
        return self._pattern.sub(MASK, text) if self._pattern else text

    def target(self, target: str) -> str:
        return self.text(SECRET_QUERY.sub(rf"\1{MASK}", target))

    def headers(self, headers: Headers) -> list[list[str]]:
        return [[self.text(name), self.text(value) if _is_shown(name) else MASK] for name, value in headers]

    def body(self, body: bytes) -> dict[str, str]:
        """`{"text": …}` for UTF-8, `{"base64": …}` for anything else."""
        try:
            return {"text": self.text(body.decode("utf-8"))}
        except UnicodeDecodeError:
            latin = self.text(body.decode("latin-1")).encode("latin-1")
            return {"base64": base64.b64encode(latin).decode("ascii")}


def _is_shown(name: str) -> bool:
    lower = name.lower()
    return lower in SHOWN or lower.startswith(SHOWN_PREFIXES)


def masked(exchange: Exchange, masker: Masker) -> dict[str, Any]:
    """An exchange as JSON values, without its credentials.

    `at` is the time of day when it began; the other times are in seconds, on a clock that is never set.
    """
    request, reply = exchange.request, exchange.reply
    row: dict[str, Any] = {
        "at": _time_of_day(exchange.started),
        "connection": exchange.connection,
        "started": exchange.started,
        "ended": exchange.ended,
        "request": {
            "method": request.method,
            "target": masker.target(request.target),
            "headers": masker.headers(request.headers),
            "body": masker.body(request.body),
        },
        "reply": None,
        "fired": list(exchange.fired),
        "problem": masker.text(exchange.problem),
    }
    if reply is not None:
        row["reply"] = {
            "status": reply.status,
            "headers": masker.headers(reply.headers),
            "body": masker.body(reply.body),
            "chunks": [[round(chunk.at, 6), len(chunk.data)] for chunk in reply.chunks],
            "end": reply.end,
        }
    return row


def _time_of_day(monotonic: float) -> str:
    """`2027-03-01T12:00:00.123+00:00`, of a moment on the monotonic clock."""
    seconds = time.time() - (time.monotonic() - monotonic)
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="milliseconds")


def rows(exchanges: Iterable[Exchange]) -> list[dict[str, Any]]:
    """Exchanges as JSON values; the credentials of any of them are masked in all of them."""
    known = list(exchanges)
    masker = Masker(secret for exchange in known for secret in secrets_of(exchange.request))
    return [masked(exchange, masker) for exchange in known]
