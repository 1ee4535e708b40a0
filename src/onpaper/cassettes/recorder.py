"""Asking a live server every case and keeping what it really said, as cassettes without secrets."""

from __future__ import annotations

import datetime
import importlib.metadata
import ipaddress
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import SplitResult, urlsplit

from onpaper.cassettes.cases import Case
from onpaper.cassettes.cassette import INVALID_ORIGIN, Cassette, CassetteError, Provenance
from onpaper.cassettes.client import Limits, fetch
from onpaper.cassettes.native import in_native_words
from onpaper.cassettes.redaction import Redactor
from onpaper.exchange import Exchange, Headers, Request

WRONG_KEY = "sk-onpaper-wrong-key"
NO_PATH = "/no/such/path"
PASSING = frozenset({408, 409, 425, 429})
"""Client errors that say nothing of the request: asked again, it may be answered."""
NO_SUCH_PATH = frozenset({404, 405})
"""What a server says where there is no chat at all, whatever is asked; also of a model that it does not have."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server to record.

    `base_url` is what the paths are appended to (`http://127.0.0.1:8000/v1`; `prefix` is added to one without
    a path). `key` is sent in the header `auth` (name and value, with `{key}` in it) and kept nowhere else;
    empty means none. `origin` is what stands for scheme and host in the cassettes; give the real one only if
    it is public and says nothing of the account. `provenance` holds what only the caller knows: contract,
    server, set-up. `scripted` says that the scripted model answers; `limit_key` is the member that bounds a
    reply's tokens; `native` that the requests are put into Ollama's own protocol.
    """

    base_url: str
    model: str
    key: str = field(default="", repr=False)
    headers: Headers = field(default=(), repr=False)
    auth: tuple[str, str] = ("Authorization", "Bearer {key}")
    chat_path: str = "/chat/completions"
    models_path: str = "/models"
    prefix: str = "/v1"
    limit_key: str = "max_tokens"
    native: bool = False
    origin: str = INVALID_ORIGIN
    provenance: Provenance = field(default_factory=Provenance)
    scripted: bool = False
    limits: Limits = field(default_factory=Limits)

    @property
    def url(self) -> SplitResult:
        """The base URL in parts. Raises CassetteError when it is not one of HTTP without credentials."""
        try:
            url = urlsplit(self.base_url.strip().rstrip("/"))
            usable = url.scheme in ("http", "https") and url.hostname and url.port != 0
        except ValueError:
            usable = False
        if not usable or "@" in url.netloc or url.query or url.fragment:
            raise CassetteError(
                "the base URL must be like 'http://127.0.0.1:8000/v1', without a user name, query or fragment"
            )
        return url if url.path else url._replace(path=self.prefix)


class NotAnswered(CassetteError):
    """The server refused a case that was not meant to be refused; the message says how."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


async def record(
    endpoint: Endpoint, cases: Iterable[Case], keep_refusals: bool = False
) -> AsyncIterator[tuple[Case, Cassette | CassetteError]]:
    """Ask the cases one after the other; for each, its cassette or why there is none."""
    for case in cases:
        try:
            yield case, await record_case(endpoint, case, keep_refusals)
        except CassetteError as error:
            yield case, error


async def record_case(endpoint: Endpoint, case: Case, keep_refusals: bool = False) -> Cassette:
    """Ask one case and return its cassette, redacted and named `<contract>/<case>`, not saved.

    With `keep_refusals` a refusal of what should be answered is a finding: it is recorded, as one that was
    provoked. Raises NotAnswered when a request that should be answered is refused (or fails at the server),
    and CassetteError when there is no exchange to record.
    """
    url = endpoint.url
    exchange = await fetch(url, request_of(endpoint, case), endpoint.limits)
    hosts = [url.hostname or ""] if endpoint.origin == INVALID_ORIGIN and not is_loopback(url) else []
    redactor = Redactor([endpoint.key, WRONG_KEY], hosts, endpoint.origin)
    exchange = redactor.exchange(exchange)
    status = exchange.reply.status if exchange.reply else 0
    refused = 400 <= status < 500 and status not in PASSING
    provoked = case.provoked or (keep_refusals and refused)
    astray = status in NO_SUCH_PATH and case.path == "chat" and not case.model and not keep_refusals
    if astray or (not provoked and not 200 <= status < 300):  # a wrong path refuses, but not what was provoked
        raise NotAnswered(f"{case.name}: answered with {status}: {_beginning(exchange)}", status)
    given = endpoint.provenance
    provenance = replace(
        given,
        case=case.name,
        recorder=recorder_name(),
        recorded=datetime.datetime.now(datetime.UTC).date().isoformat(),
        model=given.model or endpoint.model,
        host_class="loopback" if is_loopback(url) else "cloud",
        provoked=provoked,
        note=" ".join(filter(None, [given.note, _note(case, provoked, status)])),
    )
    name = f"{given.contract or 'unnamed'}/{case.name}"
    kept = replace(exchange, source=name, provoked=provoked)
    return Cassette(name, (kept,), provenance, endpoint.origin)


def request_of(endpoint: Endpoint, case: Case) -> Request:
    """The request of a case, key and all: not to be shown. Raises CassetteError for an impossible header."""
    url = endpoint.url
    body = content_of(endpoint, case)
    paths = {"chat": endpoint.chat_path, "models": endpoint.models_path, "nowhere": NO_PATH}
    headers = [
        ("Host", url.netloc),
        ("User-Agent", f"onpaper/{_version()}"),
        ("Accept", "*/*"),
        ("Accept-Encoding", "identity"),  # a compressed body could not be masked
        *_credentials(endpoint, case),
        *endpoint.headers,
    ]
    if case.body is not None:
        headers += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    if any(not (name + value).isprintable() for name, value in headers):
        raise CassetteError("the key or a header holds a control character; check where it comes from")
    return Request("GET" if case.body is None else "POST", url.path + paths[case.path], tuple(headers), body)


def content_of(endpoint: Endpoint, case: Case) -> bytes:
    """The body of a case as that server is asked it."""
    body = case.content(endpoint.model, endpoint.limit_key, endpoint.scripted)
    if endpoint.native and isinstance(case.body, Mapping):
        return in_native_words(body)
    return body


def _credentials(endpoint: Endpoint, case: Case) -> Headers:
    key = {"right": endpoint.key.strip(), "wrong": WRONG_KEY, "none": ""}[case.key]
    name, template = endpoint.auth
    return ((name, template.replace("{key}", key)),) if key else ()


def is_loopback(url: SplitResult) -> bool:
    """Whether a URL is of this machine."""
    try:
        return ipaddress.ip_address(url.hostname or "").is_loopback
    except ValueError:
        return url.hostname == "localhost"


def _note(case: Case, provoked: bool, status: int) -> str:
    """What the case meant to provoke and did not, or did not and provoked."""
    if case.provoked:
        return "Not refused by this server." if 200 <= status < 300 else ""
    return "Refused by this server." if provoked else ""


def _beginning(exchange: Exchange) -> str:
    body = exchange.reply.body if exchange.reply else b""
    return " ".join(body[:300].decode("utf-8", "replace").split()) or "an empty body"


def recorder_name() -> str:
    """This recorder and its version, as a cassette names it."""
    return f"onpaper {_version()}"


def _version() -> str:
    return importlib.metadata.version("onpaper")
