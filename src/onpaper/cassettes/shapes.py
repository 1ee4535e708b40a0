"""What must not be in a recording, as patterns: keys, account ids, local addresses, a value in any spelling.

A pattern runs over bytes; its group `value`, if it has one, is the part to mask, otherwise the whole match
is. None takes more than linear time: repetitions that could start anywhere are bounded or possessive.

The shapes of keys are those that providers document and that secret scanners look for; see
https://docs.github.com/en/code-security/secret-scanning/introduction/supported-secret-scanning-patterns.
"""

from __future__ import annotations

import base64
import functools
import platform
import re
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MASK = b"REDACTED"


@dataclass(frozen=True, slots=True)
class Shape:
    """A pattern and what it finds, in words that fit after "something shaped like"."""

    what: str
    pattern: re.Pattern[bytes]

    def spans(self, data: bytes | bytearray) -> Iterator[tuple[int, int]]:
        """Start and end of every find that is not a mask already."""
        group = "value" if "value" in self.pattern.groupindex else 0
        for match in self.pattern.finditer(data):
            if match[group].strip(b"*") not in (b"", MASK):
                yield match.span(group)


# Where a word may begin: after anything but a letter or digit, or after a JSON escape such as \n or \u0022.
_START = r"(?:(?<![A-Za-z0-9])|(?<=\\[bfnrt])|(?<=\\u[0-9A-Fa-f]{4}))"
# A JSON string's quote, also in JSON that is itself inside a JSON string.
_QUOTE = r'\\{0,7}"'


def _shape(what: str, pattern: str, flags: int = 0) -> Shape:
    return Shape(what, re.compile(pattern.encode(), flags))


def _member(what: str, keys: str) -> Shape:
    """The text of a JSON member whose key matches."""
    pattern = rf"{_QUOTE}(?:{keys}){_QUOTE}\s*+:\s*+{_QUOTE}(?P<value>[^\"\\]{{3,}}+)"
    return _shape(what, pattern, re.IGNORECASE)


KEYS: tuple[Shape, ...] = (
    _shape("a key (sk-…)", _START + r"sk-[\w-]{8,}+"),
    _shape("a key (prefix_…)", _START + r"(?:gsk|hf|fw|r8|tgp_v1|tvly|glpat|key)[-_][\w-]{16,}+"),
    # without hyphens: `"format": "xai-responses-v1"` of every chunk, joined, is long too
    _shape("a key (prefix-…)", _START + r"(?:xai|pplx|csk|jina)[-_][A-Za-z0-9]{16,}+"),
    _shape("a key (prefix-…)", _START + r"(?:nvapi|cpk|vcp|voy)[-_][\w-]{16,}+"),
    _shape("a GitHub token", _START + r"(?:gh[opsur]_[A-Za-z0-9]{20,}+|github_pat_\w{20,}+)"),
    _shape("a Slack token", _START + r"xox[abeoprs]-[A-Za-z0-9-]{10,}+"),
    _shape("an AWS key id", _START + r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _shape("a Google API key", _START + r"AIza[\w-]{30,}+"),
    _shape("a Google token", _START + r"ya29\.[\w-]{20,}+"),
    _shape("a workspace token", _START + r"dapi[0-9a-f]{32}"),
    _shape("a JSON Web Token", _START + r"eyJ[\w-]{8,1000}+\.[\w-]{8,}+(?:\.[\w-]*+)?"),
    _shape("a private key", r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?P<value>[^-]++)"),
    _shape(
        "a bearer token",
        _START + r"Bearer(?:\s|\+|%20){1,9}(?P<value>(?=[a-z_.~+/-]{0,99}\d)[\w.~+/-]{8,}+={0,2})",
        re.IGNORECASE,
    ),
    _shape("credentials in a URL", r"://(?P<value>[^\s/@:\"'\\]{0,99}:[^\s/@\"'\\]{1,300})@"),
    _shape(
        "a key in a query",
        r"[?&](?:[\w-]{0,30}(?:key|token|secret|signature|password)|sig|code)=(?P<value>[^&\s\"'\\#*]{3,}+)",
        re.IGNORECASE,
    ),
    _member("a secret member", r"[\w-]{0,30}(?:api[_-]?key|secret|password|access_token|refresh_token)"),
    _member("a secret member", "authorization"),
)
"""Anything key-shaped. A recording that still holds one is not saved."""

_SYSTEM_FOLDERS = "app|data|etc|home|mnt|opt|private|proc|root|srv|tmp|usr|Users|var|work|workspace"

PRIVATE: tuple[Shape, ...] = (
    _shape("an account id", _START + r"(?:org|proj|user|acct|team|cus)[-_][A-Za-z0-9]{16,}+"),
    _member("an account id", r"(?:account|customer|org|organi[sz]ation|project|team|tenant)[_-]?id"),
    _member("an account id", r"(?:user|workspace)[_-]?id"),
    _member("an account id", r"organi[sz]ation"),
    _shape("a request id", _START + r"req[-_][A-Za-z0-9-]{8,}+"),
    _member("a request id", r"(?:x[_-])?(?:request|trace|correlation)[_-]?id"),
    _shape(
        "a local address",
        r"(?<![\w.])(?:127(?:\.\d{1,3}){3}|0\.0\.0\.0|\[::1\]|localhost)(?::\d{1,5})?(?![\d.]*\d)",
        re.IGNORECASE,
    ),
    _shape(
        "an address in a private network",
        r"(?<![\w.])(?:10(?:\.\d{1,3}){3}|192\.168(?:\.\d{1,3}){2}|172\.(?:1[6-9]|2\d|3[01])(?:\.\d{1,3}){2})"
        r"(?::\d{1,5})?(?![\d.]*\d)",
    ),
    _shape(
        "a local path",
        rf"(?:(?<![\w.:/~-])|(?<=\\[bfnrt])|(?<=file://))/(?:{_SYSTEM_FOLDERS})/[^\s\"'<>|\\,;)\]}}*]++",
    ),
    _shape("a local path", r"(?<![A-Za-z])[A-Za-z]:\\{1,4}(?:Users|Windows)\\{1,4}[^\s\"'<>|,;)\]}*]++"),
    _shape("an e-mail address", r"(?<![\w.%+-])[\w.%+-]++@(?:[A-Za-z0-9-]{1,63}\.){1,9}[A-Za-z]{2,}+"),
)
"""What says who or where the person was who recorded."""

SHORTEST_SECRET = 8
"""Characters. A shorter key (`none`, `EMPTY`, `ollama`) is a placeholder, and would match innocent text."""


def of_values(values: Iterable[str], what: str = "the key") -> tuple[Shape, ...]:
    """Shapes that find these values as `spellings` does; one under SHORTEST_SECRET is left out."""
    kept = dict.fromkeys(value.strip() for value in values)
    return tuple(Shape(what, spellings(value)) for value in kept if len(value) >= SHORTEST_SECRET)


@functools.lru_cache(maxsize=64)
def spellings(value: str) -> re.Pattern[bytes]:
    """A pattern for a value: plain, JSON-escaped (also twice), percent- or HTML-encoded, hex, base64."""
    raw = value.encode("utf-8", "surrogatepass")
    forms = [b"".join(map(_character, value)), raw.hex().encode(), *_base64_forms(raw)]
    return re.compile(b"|".join(forms), re.IGNORECASE)


def _character(character: str) -> bytes:
    """One character in any of its spellings."""
    raw = character.encode("utf-8", "surrogatepass")
    units = character.encode("utf-16-be", "surrogatepass").hex()
    coded = (
        "".join(rf"\\{{1,8}}u{units[at : at + 4]}" for at in range(0, len(units), 4)),
        "".join(f"%(?:25){{0,3}}{byte:02x}" for byte in raw),
        f"&#0{{0,4}}{ord(character)};",
        f"&#x0{{0,4}}{ord(character):x};",
    )
    return rb"(?:\\{0,7}" + re.escape(raw) + b"|" + "|".join(coded).encode() + b")"


def _base64_forms(raw: bytes) -> Iterator[bytes]:
    """Base64 of the value at each of its three alignments in a longer text (RFC 4648 §4 and §5)."""
    for before in range(3):
        text = base64.b64encode(b"\0" * before + raw).rstrip(b"=")
        certain = text[(0, 2, 3)[before] : len(text) - bool((before + len(raw)) % 3)]
        if len(certain) >= SHORTEST_SECRET:
            yield certain.replace(b"+", b"(?:[+-]|%2B)").replace(b"/", rb"(?:\\?/|_|%2F)")


@functools.lru_cache(maxsize=1)
def machine() -> tuple[Shape, ...]:
    """Shapes that find this machine's name and platform, which some servers put into their replies."""
    names = {socket.gethostname(), platform.node(), platform.platform(), platform.release()}
    return tuple(
        Shape("the name of this machine", re.compile(re.escape(name.encode()), re.IGNORECASE))
        for name in sorted(names, key=len, reverse=True)
        if len(name) >= 5 and name.lower() != "localhost"
    )
