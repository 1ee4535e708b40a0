"""Requests that are broken in one place, each with a correct reply."""

from __future__ import annotations

from typing import Any

from onpaper.exchange import Exchange

from .parts import KEY, WHOLE, completion, request, whole
from .table import breaks


def sent(body: Any, *path: str, **headers: str) -> Exchange:
    return Exchange(request(body, *path, **headers), whole(completion()).reply)


@breaks("auth/header", "POST /v1/chat/completions carries no key")
def request_without_its_key() -> Exchange:
    """A request without its key."""
    return sent(WHOLE, authorization="")


@breaks("auth/not-in-url-or-body", "the key is in the URL: /v1/chat/completions?key=<key>")
def request_with_its_key_in_the_url() -> Exchange:
    """A key as a query parameter."""
    return sent(WHOLE, f"/v1/chat/completions?key={KEY}")


@breaks("body/whitelist", "/drop_params")
def request_with_a_key_that_nobody_knows() -> Exchange:
    """A body key that the provider does not know."""
    return sent(WHOLE | {"drop_params": True})


@breaks("body/types", "/max_tokens: ")
def request_with_a_number_as_text() -> Exchange:
    """A number written as text."""
    return sent(WHOLE | {"max_tokens": "64"})


@breaks("body/types", "'messages' is missing")
def request_without_messages() -> Exchange:
    """A body without the messages that the provider requires."""
    return sent({"model": "m"})


@breaks(
    "body/combinations", "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported"
)
def request_with_two_limits() -> Exchange:
    """Both limits of tokens at once."""
    return sent(WHOLE | {"max_tokens": 1, "max_completion_tokens": 1})


@breaks("body/no-null", "null was sent for stop")
def request_with_a_null() -> Exchange:
    """A null for what nobody set."""
    return sent(WHOLE | {"stop": None})


@breaks("body/json", "NaN is not JSON")
def request_with_nan() -> Exchange:
    """NaN, which is not JSON."""
    return sent(WHOLE | {"temperature": float("nan")})


@breaks("body/json", "the request body is not a JSON object")
def request_with_a_list() -> Exchange:
    """A list for a body."""
    return sent([WHOLE])


@breaks("body/content-type", "Content-Type is 'text/plain'")
def request_labelled_as_text() -> Exchange:
    """JSON labelled as text."""
    return sent(WHOLE, content_type="text/plain")


@breaks("body/path", "POST /v1/v1/chat/completions; the provider serves /v1/chat/completions")
def request_to_v1_twice() -> Exchange:
    """The version twice in the path."""
    return sent(WHOLE, "/v1/v1/chat/completions")
