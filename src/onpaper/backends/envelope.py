"""The provider's own words: error envelopes of every shape, and replies that are not what was asked for."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from .errors import BackendError, IncompleteReply, UnusableReply
from .text import parse


class Words(NamedTuple):
    """What a provider says about an error, whatever the shape it says it in."""

    message: str = ""
    code: str | int | None = None
    type: str | None = None
    param: str | None = None
    status: int | None = None


def words_of(value: Any) -> Words:
    """The message, code, type, param and status of an error envelope; an empty message when it is none.

    Known shapes: `{"error": {...}}`, `{"error": "text"}` with a `code` beside it, flat `{"message", "type",
    "code"}`, `{"message": {"detail": [...]}}`, `{"detail": "text" | [{"loc", "msg"}]}`, `{"errors": [...]}`,
    `{"fault": {"faultstring"}}`, RFC 9457 problem details, and any of them as the first element of an array.
    """
    if isinstance(value, list):
        return words_of(value[0]) if value else Words()
    if isinstance(value, str):
        return Words(value)
    if not isinstance(value, Mapping):
        return Words()
    code = value.get("code") if value.get("code") is not None else value.get("error_code")
    statuses = (_status(value.get(name)) for name in ("status_code", "status", "raw_status_code", "code"))
    said = Words(
        message=next((text for name in _MESSAGES if (text := _sentence(value.get(name)))), ""),
        code=code if isinstance(code, str | int) and not isinstance(code, bool) else None,
        type=_text(value.get("type")) or _text(value.get("error_type")),
        param=_text(value.get("param")),
        status=next((status for status in statuses if status), None),
    )
    for wrapper in ("error", "errors", "fault"):
        if value.get(wrapper):
            inner = words_of(value[wrapper])
            return Words(
                message=inner.message or json.dumps(value[wrapper], ensure_ascii=False),
                code=said.code if inner.code is None else inner.code,
                type=inner.type or said.type,
                param=inner.param or said.param,
                status=inner.status or said.status,
            )
    upstream = value.get("metadata")
    if isinstance(upstream, Mapping) and isinstance(raw := upstream.get("raw"), str):
        # A router that says only "Provider returned error" keeps the reason here.
        return said._replace(message=f"{said.message}: {raw}")
    return said


def error_in(value: Any) -> Words | None:
    """The words of an error sent inside a reply with status 200, or None when the value carries none.

    An `error` member that is not empty is one whatever else the value holds; without `choices` or `message`
    object a bare envelope (`{"object": "error", "message": …}`) is one, too.
    """
    if isinstance(value, list):
        return error_in(value[0]) if value else None
    if not isinstance(value, Mapping):
        return None
    if value.get("error") or value.get("errors"):
        return words_of(value)
    if value.get("choices") or isinstance(value.get("message"), Mapping):
        return None
    words = words_of(value)
    return words if words.message else None


def raised_inside(words: Words) -> BackendError:
    """The exception for an error sent inside a 200; a numeric code in it becomes the status."""
    return BackendError(
        f"the provider reported an error inside its reply: {words.message}",
        status=words.status,
        code=words.code,
        type=words.type,
        param=words.param,
    )


def whole_reply(data: bytes, content_type: str) -> dict[str, Any]:
    """A reply that is one JSON object.

    Raises BackendError for an error in it, and UnusableReply for anything else.
    """
    value = parse(data)
    if words := error_in(value):
        raise raised_inside(words)
    if not isinstance(value, dict):
        raise UnusableReply(f"the reply ({_kind(content_type)}) is not a JSON object: {_shown(data)}")
    return value


def no_stream(data: bytes, content_type: str) -> BackendError:
    """The exception for a reply that was to be a stream and holds not one event."""
    if words := error_in(parse(data)):
        return raised_inside(words)
    empty = not data.strip() or "event-stream" in content_type or "ndjson" in content_type
    message = f"the reply ({_kind(content_type)}) holds no event of a stream: {_shown(data)}"
    return IncompleteReply(message) if empty else UnusableReply(message)


def _kind(content_type: str) -> str:
    return f"HTTP 200, {content_type or 'no content type'}"


def _shown(data: bytes) -> str:
    return data.decode("utf-8", "replace").strip() or "it is empty"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """How long the provider asks to wait, in seconds, or None.

    `Retry-After` holds seconds or an HTTP date (RFC 9110 §10.2.3); `retry-after-ms` is finer; the LiteLLM
    proxy hands on its upstream's header with a prefix.
    """
    milliseconds = _seconds(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after") or headers.get("llm_provider-retry-after") or ""
    if (seconds := _seconds(value)) is not None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


_MESSAGES = ("message", "error_message", "detail", "msg", "faultstring", "error_description", "title")


def _sentence(value: Any) -> str:
    """A message as text: a string, validation errors (`[{"loc", "msg"}]`), or an envelope in the envelope."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "; ".join(filter(None, map(_sentence, value)))
    if isinstance(value, Mapping):
        where = value.get("loc")
        place = ".".join(map(str, where)) + ": " if isinstance(where, list) else ""
        return place + next((text for name in _MESSAGES if (text := _sentence(value.get(name)))), "")
    return ""


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _status(value: Any) -> int | None:
    """An HTTP error status out of 400 or "400"; None for anything else ("3051" is a provider's own)."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
        value = int(value)
    return value if isinstance(value, int) and 400 <= value <= 599 else None


def _seconds(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
