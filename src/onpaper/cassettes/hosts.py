"""Which contract judges what was said at an address."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

from onpaper import folders
from onpaper.cassettes.cassette import Cassette
from onpaper.contract import Contract

_PLACEHOLDER = re.compile(r"[A-Z]+")
"""A label of a contract's host that stands for any other: the customer's own."""


def contract_at(host: str | None) -> str | None:
    """The contract whose provider is at that host; None when there is none, or the host is one of many servers."""
    if not host or "." not in host:
        return None
    for name in folders.names("contracts"):
        known = urlsplit(str(Contract.load(name).get("endpoint.url") or "")).netloc
        labels = ("[^.]+" if _PLACEHOLDER.fullmatch(label) else re.escape(label) for label in known.split("."))
        if "." in known and not re.fullmatch(r"[\d.]+(:\d+)?", known) and re.fullmatch(r"\.".join(labels), host):
            return name
    return None


def default_contract(upstream: SplitResult) -> str:
    """The contract whose provider is at that host; `openai` when there is none."""
    return contract_at(upstream.hostname) or "openai"


def contract_of(cassette: Cassette) -> str:
    """The contract that judges a recording, wherever it lies: the one that it names, that of its host if it serves what
    was asked, of the nearest folder that is called as one, of a path that one provider alone has; else `openai`."""
    if cassette.provenance and cassette.provenance.contract:
        return cassette.provenance.contract
    names, paths = folders.names("contracts"), [one.request.path for one in cassette.exchanges]
    host = contract_at(urlsplit(cassette.origin).hostname)
    if host and any(map(Contract.load(host).paths.serves, paths)):
        return host
    above = reversed(cassette.path.parent.parts) if cassette.path else [cassette.name.partition("/")[0]]
    folder = next((one for one in above if one in names), None)
    return folder or host or _by_path(names, paths) or "openai"


def _by_path(names: Iterable[str], paths: list[str]) -> str | None:
    own = ((name, Contract.load(name).get("endpoint.chat")) for name in names)
    return next((name for name, chat in own if chat and any(path.endswith(chat) for path in paths)), None)
