"""Taking secrets and private things out of a recording before it is written, and looking for what is left.

Headers go by an allow-list: every name stays, but the values of the others do not. Bodies and URLs go by
shape (see `shapes`); what is found is masked at the same length, so that chunk sizes and Content-Length stay
true.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from onpaper.cassettes.cassette import Cassette, CassetteError
from onpaper.cassettes.shapes import KEYS, MASK, PRIVATE, Shape, machine, of_values
from onpaper.cassettes.spread import joined_texts
from onpaper.exchange import Chunk, Exchange, Headers, Reply, header
from onpaper.wire.coding import READABLE, coding_of, decoded, is_plain

_HIDDEN = MASK.decode()
_SHOWN = re.compile(
    r"accept(-.+)?|access-control-.+|age|allow|cache-control|connection|content-(encoding|language|length|type)"
    r"|content-security-policy|date|expires|keep-alive|pragma|referrer-policy|retry-after(-ms)?|server"
    r"|transfer-encoding|user-agent|vary|via|www-authenticate|x-accel-buffering|x-content-type-options"
    r"|x-frame-options|x-powered-by|x-should-retry|(x-)?ratelimit-.+"
    r"|llm_provider-(content-type|retry-after|server)|x-litellm-version",
    re.IGNORECASE,
)
"""Headers whose values say how the server speaks and nothing of who asked."""



class Redactor:
    """Masks exchanges. `secrets` are values to find in any spelling; `hosts` are names to hide likewise.

    `origin` (scheme and host) is what the `Host` header shall say in place of the real one.
    """

    def __init__(self, secrets: Iterable[str] = (), hosts: Iterable[str] = (), origin: str = "") -> None:
        named = of_values(hosts, "the server's name")
        self._shapes = (*of_values(secrets), *KEYS, *PRIVATE, *named, *machine())
        self._host = origin.partition("://")[2] or _HIDDEN

    def exchange(self, exchange: Exchange) -> Exchange:
        """The same exchange without anything that must not be kept.

        Raises CassetteError when a compressed body holds something that would have to go, because masking it
        would change the size, or when the compression is one that cannot be looked into.
        """
        request = exchange.request
        request = replace(
            request,
            target=self.text(request.target),
            headers=self._headers(request.headers),
            body=self._body(request.headers, request.body),
        )
        reply = exchange.reply and self._reply(exchange.reply)
        problem = self.text(exchange.problem)
        return replace(exchange, request=request, reply=reply, redacted=True, problem=problem)

    def text(self, text: str) -> str:
        """A text with everything found in it masked."""
        return _masked(_bytes(text), self._shapes).decode("utf-8", "surrogatepass")

    def _headers(self, headers: Headers) -> Headers:
        return tuple((name, self._header(name.lower(), value)) for name, value in headers)

    def _header(self, name: str, value: str) -> str:
        if name == "host":
            return self._host
        return self.text(value) if _SHOWN.fullmatch(name) else _HIDDEN

    def _reply(self, reply: Reply) -> Reply:
        body, chunks, position = self._body(reply.headers, reply.body), [], 0
        for chunk in reply.chunks:
            chunks.append(Chunk(chunk.at, body[position : position + len(chunk.data)]))
            position += len(chunk.data)
        headers, reason = self._headers(reply.headers), self.text(reply.reason)
        return replace(reply, headers=headers, chunks=tuple(chunks), reason=reason)

    def _body(self, headers: Headers, body: bytes) -> bytes:
        decoded = _content(headers, body)
        if decoded is None:
            return _masked(body, self._shapes)
        for shape in _found(decoded, self._shapes):
            raise CassetteError(
                f"a body that is compressed holds something shaped like {shape.what}, which cannot be masked "
                "there; record with 'Accept-Encoding: identity'"
            )
        return body


def without_keys(text: str) -> str:
    """A text with whatever is shaped like a key masked: what a recording, or somebody's code, says may hold one of theirs."""
    return _masked(_bytes(text), KEYS).decode("utf-8", "surrogatepass")


def leaks(
    cassette: Cassette, text: str, canaries: Iterable[str] = (), private: bool = False
) -> Iterator[str]:
    """What a recording still gives away, each as a clause that says where and what, but never the value.

    `text` is the cassette's file. Every part is searched as it is and content-decoded: keys and canaries
    always, with `private` also account ids, local addresses and paths. Raises CassetteError for a body that
    cannot be searched.
    """
    shapes = (*of_values(canaries, "a given secret"), *KEYS, *(PRIVATE if private else ()))
    for place, part in _parts(cassette):
        for shape in _found(part, shapes):
            yield f"{place} holds something shaped like {shape.what}"
    for shape in _found(_bytes(text), shapes):
        yield f"its text holds something shaped like {shape.what}"


def unlisted(headers: Headers) -> list[str]:
    """Names of the headers that are not on the allow-list and still show a value."""
    return [
        name
        for name, value in headers
        if value != _HIDDEN and name.lower() != "host" and not _SHOWN.fullmatch(name)
    ]


def _parts(cassette: Cassette) -> Iterator[tuple[str, bytes]]:
    """Everything that was recorded, with its place."""
    for exchange in cassette.exchanges:
        yield "the URL", _bytes(exchange.request.target)
        sides = [("request", exchange.request.headers, exchange.request.body)]
        if exchange.reply:
            sides.append(("reply", exchange.reply.headers, exchange.reply.body))
        for side, headers, body in sides:
            for name, value in headers:
                yield f"the {side} header {name!r}", _bytes(value)
            yield f"the {side} body", body
            decoded = _content(headers, body)
            if decoded is not None:
                yield f"the {side} body, once decoded,", decoded


def _content(headers: Headers, body: bytes) -> bytes | None:
    """A compressed body decompressed, as far as it goes; None for one that is not compressed, or not as it says.

    Raises CassetteError for a coding that cannot be looked into.
    """
    coding = coding_of(header(headers, "content-encoding"), body)
    if not body or is_plain(body, coding):
        return None
    if coding not in READABLE:
        raise CassetteError(
            f"a body is compressed with {coding!r} and cannot be searched for secrets; "
            "record with 'Accept-Encoding: identity'"
        )
    return decoded(body, coding)


def _found(data: bytes, shapes: Iterable[Shape]) -> Iterator[Shape]:
    texts = [data, *(text for text, _ in joined_texts(data))]
    for shape in shapes:
        if any(next(shape.spans(text), None) for text in texts):
            yield shape


def _masked(data: bytes, shapes: tuple[Shape, ...]) -> bytes:
    masked = bytearray(data)
    for shape in shapes:
        for start, end in list(shape.spans(masked)):
            masked[start:end] = _mask(end - start)
    for text, origins in joined_texts(bytes(masked)):
        for shape in shapes:
            for start, end in shape.spans(text):
                for first, last in origins[start:end]:
                    masked[first:last] = _mask(last - first)
    return bytes(masked)


def _mask(length: int) -> bytes:
    """A mask of that many bytes, which fits into JSON, a URL and a header and is shaped like nothing."""
    return MASK.ljust(length, b"*") if length >= len(MASK) else b"*" * length


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
