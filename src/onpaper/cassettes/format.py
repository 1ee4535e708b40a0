"""The cassette format: vcrpy's version 1, and what stock vcrpy ignores under keys of its own.

`response.stream` keeps the sizes and times of the chunks (`[[milliseconds since the request, bytes], …]`) and
how the connection ended; the top-level `onpaper` keeps the provenance. A cassette without them, written by
vcrpy or another tool that shares its format, loads too: its body is one chunk.

Source of the format: https://vcrpy.readthedocs.io/en/latest/ and the recordings of vcrpy 1 to 9.
"""

from __future__ import annotations

import base64
import datetime
import json
import re
from collections.abc import Iterator
from typing import Any, get_args

from onpaper.cassettes.cassette import INVALID_ORIGIN, Cassette, CassetteError, Provenance
from onpaper.cassettes.yamltext import Flow, scalar
from onpaper.errors import nearest
from onpaper.exchange import Chunk, End, Exchange, Headers, Reply, Request

_URI = re.compile(r"(?P<origin>[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*|<[^<>/?#]+>)(?P<target>.*)", re.DOTALL)
"""A URL whose origin is known, or hidden by its recorder behind a name in angle brackets."""
_PARSED = "parsed_body"
# The fields of Provenance, in the order and spelling of the file.
_KEYS = {
    "contract": "contract",
    "case": "case",
    "recorder": "recorder",
    "recorded": "recorded",
    "server": "server",
    "set-up": "setup",
    "model": "model",
    "host-class": "host_class",
    "provoked": "provoked",
    "note": "note",
}


def to_document(cassette: Cassette) -> dict[str, Any]:
    """The plain values of a cassette's file. Raises CassetteError for an exchange that got no reply."""
    document: dict[str, Any] = {}
    if cassette.provenance:
        known = {key: getattr(cassette.provenance, name) for key, name in _KEYS.items()}
        document["onpaper"] = {key: value for key, value in known.items() if value != ""}
    document["interactions"] = [_interaction(cassette, exchange) for exchange in cassette.exchanges]
    document["version"] = 1
    return document


def _interaction(cassette: Cassette, exchange: Exchange) -> dict[str, Any]:
    request, reply = exchange.request, exchange.reply
    if reply is None:
        raise CassetteError(
            f"{cassette.name}: {request.method} {request.path} got no reply, which the format cannot hold; "
            "record a request that is answered"
        )
    return {
        "request": {
            "method": request.method,
            "uri": cassette.origin + request.target,
            "headers": _grouped(request.headers),
            "body": scalar(request.body),
        },
        "response": {
            "status": {"code": reply.status, "message": reply.reason},
            "headers": _grouped(reply.headers),
            "body": {"string": scalar(reply.body)},
            "stream": {
                "end": reply.end,
                "chunks": Flow([_milliseconds(chunk.at), len(chunk.data)] for chunk in reply.chunks),
            },
        },
    }


def _grouped(headers: Headers) -> dict[str, Flow]:
    groups: dict[str, Flow] = {}
    for name, value in headers:
        groups.setdefault(name, Flow()).append(value)
    return groups


def _milliseconds(seconds: float) -> int | float:
    rounded = round(seconds * 1000.0, 1)
    return int(rounded) if rounded.is_integer() else rounded


def from_document(document: Any, name: str, where: str) -> Cassette:
    """The cassette in the plain values of a file.

    `where` names the file in messages. Raises CassetteError when the values are not a cassette's.
    """
    read = _Reader(where)
    provenance = read.provenance(document) if isinstance(document, dict) and "onpaper" in document else None
    provoked = bool(provenance and provenance.provoked)
    origin, exchanges = INVALID_ORIGIN, []
    for number, interaction in enumerate(read.interactions(document)):
        at = f"interactions[{number}]"
        seen, request = read.request(interaction, at)
        origin = seen if number == 0 else origin
        reply = read.reply(interaction, at)
        exchanges.append(Exchange(request, reply, source=name, provoked=provoked, redacted=True))
    if provenance and "version" not in document:
        raise CassetteError(f"{where}: is cut short: 'version', its last line, is missing; record it again")
    return Cassette(name, tuple(exchanges), provenance, origin)


class _Reader:
    """Reads a document whose file is called `where`; whatever is wrong is said with its place in the file."""

    def __init__(self, where: str) -> None:
        self.where = where

    def wrong(self, at: str, rule: str, found: Any) -> CassetteError:
        shown = repr(found)
        shown = shown if len(shown) <= 60 else shown[:57] + "…"
        return CassetteError(f"{self.where}: {at} {rule}, found {shown}; record it again")

    def interactions(self, document: Any) -> Iterator[dict[str, Any]]:
        if not isinstance(document, dict) or not isinstance(document.get("interactions"), list):
            raise CassetteError(
                f"{self.where}: is not a cassette: a mapping with a list 'interactions' is expected; "
                "record it with onpaper, vcrpy 1 or later, or a tool whose files are read"
            )
        if not document["interactions"]:
            raise CassetteError(f"{self.where}: is empty: it holds no interaction; record it again")
        for number, interaction in enumerate(document["interactions"]):
            for part in ("request", "response"):
                if not isinstance(interaction, dict) or not isinstance(interaction.get(part), dict):
                    raise self.wrong(f"interactions[{number}]", f"must have a mapping {part!r}", interaction)
            yield interaction

    def provenance(self, document: dict[str, Any]) -> Provenance:
        values = document["onpaper"]
        if not isinstance(values, dict):
            raise self.wrong("onpaper", "must be a mapping", values)
        fields: dict[str, Any] = {}
        for key, value in values.items():
            if key not in _KEYS:
                raise CassetteError(
                    f"{self.where}: onpaper.{key} is not a known key{nearest(str(key), _KEYS)}"
                )
            if isinstance(value, datetime.date):
                value = value.isoformat()
            expected, words = (bool, "true or false") if key == "provoked" else (str, "text")
            if not isinstance(value, expected):
                raise self.wrong(f"onpaper.{key}", f"must be {words}", value)
            fields[_KEYS[key]] = value
        return Provenance(**fields)

    def request(self, interaction: dict[str, Any], at: str) -> tuple[str, Request]:
        request = interaction["request"]
        uri, method = request.get("uri"), request.get("method")
        match = _URI.fullmatch(uri) if isinstance(uri, str) else None
        if not match:
            raise self.wrong(f"{at}.request.uri", "must be an absolute URL", uri)
        if not isinstance(method, str):
            raise self.wrong(f"{at}.request.method", "must be text", method)
        target = match["target"]
        target = target if target.startswith("/") else "/" + target
        headers = self.headers(request.get("headers"), f"{at}.request.headers")
        body = self.body(request.get("body", _parsed(request)), f"{at}.request.body")
        return match["origin"], Request(method, target, headers, body)

    def reply(self, interaction: dict[str, Any], at: str) -> Reply:
        response, at = interaction["response"], f"{at}.response"
        headers = self.headers(response.get("headers"), f"{at}.headers")
        if "status_code" in response:  # vcrpy before 6 wrote the replies of httpx so
            status, reason, key = response["status_code"], "", "content"
        else:
            line = response.get("status")
            if not isinstance(line, dict):
                raise self.wrong(f"{at}.status", "must be a mapping with 'code'", line)
            status, reason, key = line.get("code"), line.get("message") or "", "body"
        if key not in response and _PARSED not in response:
            raise self.wrong(at, f"must have {key!r}", sorted(map(str, response)))
        raw = response.get(key, _parsed(response))
        if isinstance(status, str) and status.isascii() and status.isdigit():
            status = int(status)
        if not isinstance(status, int) or isinstance(status, bool):
            raise self.wrong(f"{at}.status.code", "must be a whole number", status)
        body = self.body(raw, f"{at}.body")
        chunks, end = self.stream(response.get("stream"), body, f"{at}.stream")
        return Reply(status, headers, chunks, end, str(reason))

    def headers(self, value: Any, at: str) -> Headers:
        if value is None:
            return ()
        if not isinstance(value, dict):
            raise self.wrong(at, "must be a mapping", value)
        pairs: list[tuple[str, str]] = []
        for name, values in value.items():
            for one in values if isinstance(values, list | tuple) else [] if values is None else [values]:
                pairs.append((str(name), one.decode("latin-1") if isinstance(one, bytes) else str(one)))
        return tuple(pairs)

    def body(self, value: Any, at: str) -> bytes:
        """A body as text, bytes or null, bare or under `string` or, as some recorders do, `base64_string`."""
        if isinstance(value, dict):
            if "base64_string" in value:
                return self.base64(value["base64_string"], f"{at}.base64_string")
            if "string" not in value:
                raise self.wrong(at, "must have 'string'", value)
            value, at = value["string"], f"{at}.string"
        if value is None:
            return b""
        if isinstance(value, bytes):
            return value
        if not isinstance(value, str):
            raise self.wrong(at, "must be text or !!binary", value)
        try:
            return value.encode("utf-8")
        except UnicodeEncodeError:
            raise self.wrong(at, "must be text that UTF-8 can hold", value) from None

    def base64(self, value: Any, at: str) -> bytes:
        try:
            return base64.b64decode("".join(str(value).split()), validate=True)
        except ValueError:
            raise self.wrong(at, "must be base64", value) from None

    def stream(self, value: Any, body: bytes, at: str) -> tuple[tuple[Chunk, ...], End]:
        if value is None:
            return ((Chunk(0.0, body),) if body else ()), "clean"
        if not isinstance(value, dict):
            raise self.wrong(at, "must be a mapping", value)
        end = value.get("end", "clean")
        if end not in get_args(End):
            raise self.wrong(f"{at}.end", f"must be one of {', '.join(get_args(End))}", end)
        listed = value.get("chunks")
        if not isinstance(listed, list) or not all(map(_is_chunk, listed)):
            raise self.wrong(f"{at}.chunks", "must be a list of [milliseconds, bytes]", listed)
        if sum(size for _, size in listed) != len(body):
            raise self.wrong(f"{at}.chunks", f"must add up to the {len(body)} bytes of the body", listed)
        chunks, position = [], 0
        for milliseconds, size in listed:
            chunks.append(Chunk(round(milliseconds / 1000, 4), body[position : position + size]))
            position += size
        return tuple(chunks), end


def _parsed(side: dict[str, Any]) -> str | None:
    """A body that its recorder kept as values, as PydanticAI does, in place of `body`."""
    return json.dumps(side[_PARSED], ensure_ascii=False, separators=(",", ":")) if _PARSED in side else None


def _is_chunk(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 2 or any(isinstance(number, bool) for number in value):
        return False
    at, size = value
    return isinstance(at, int | float) and at >= 0 and isinstance(size, int) and size >= 0
