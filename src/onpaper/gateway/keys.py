"""The key of a request: whose it is, whichever header it stands in."""

from __future__ import annotations

import re

from onpaper.exchange import Request

HEADERS = re.compile(r"(?i)authorization|(?:.*-)?(?:api-key|vk)|(?!proxy-).*-authorization")


def key_of(request: Request) -> str:
    """The key that a request carries, without its scheme; empty if there is none. Authorization comes first."""
    found = {name.lower(): value.strip() for name, value in reversed(request.headers) if HEADERS.fullmatch(name)}
    value = found.get("authorization") or next(filter(None, reversed(found.values())), "")
    scheme, _, rest = value.partition(" ")
    return rest.strip() or scheme
