"""What a client puts into the request body."""

from __future__ import annotations

import json
from typing import Any

from onpaper.body import Violation
from onpaper.clauses import OPENAI, View, clause
from onpaper.clauses.operations import CHAT_CASES
from onpaper.driving.verdict import Broken, NotApplicable
from onpaper.exchange import Exchange
from onpaper.refusal import takes_empty


def chat_body(exchange: Exchange) -> Any:
    """The JSON of a chat request. Raises NotApplicable for any other request."""
    if exchange.request.method != "POST":
        raise NotApplicable("the request has no body to judge")
    try:
        return exchange.request.json()
    except ValueError:
        raise NotApplicable("the body is not JSON: see body/json") from None


def _complain(exchange: Exchange, violations: list[Violation]) -> None:
    if violations:
        said = "; ".join(f"{one.pointer}: {one.message}" for one in violations[:5])
        raise Broken(said, exchange.request.body, "request body")


@clause(
    "body/whitelist",
    kind="request",
    cases=CHAT_CASES,
    covers=(3, 4),
    source="https://github.com/xlinx/sd-webui-decadetw-auto-prompt-llm/issues/29",
    why="A key that the provider does not know is a 400 at one provider and silently without effect at the next.",
)
def whitelist(exchange: Exchange, view: View) -> None:
    """A request body holds only keys that the provider's contract accepts.

    Leave the key out for this provider, or refuse the argument that leads to it.
    """
    body = chat_body(exchange)
    _complain(exchange, [one for one in view.contract.violations(body) if one.situation == "unknown_parameter"])


@clause(
    "body/types",
    kind="request",
    cases=CHAT_CASES,
    covers=(20, 22),
    source=OPENAI,
    why="Strict servers refuse a number sent as text; lenient ones read it as something else.",
)
def types(exchange: Exchange, view: View) -> None:
    """Every value in a request body has the type and range that the contract asks for, and no required key is missing.

    The message names the JSON pointer of the value. A model that the path names is not missing.
    """
    body = chat_body(exchange)
    contract, others = view.contract, ("unknown_parameter", "broken_rule")
    call = contract.paths.call("POST", exchange.request.path)
    body = call.completed(body) if call else body
    found = [one for one in contract.violations(body) if one.situation not in others and not takes_empty(contract, one)]
    _complain(exchange, [one for one in found if not (one.value is None and one.situation == "invalid_type")])


@clause(
    "body/combinations",
    kind="request",
    cases=CHAT_CASES,
    covers=(7, 8, 11),
    source="https://github.com/microsoft/semantic-kernel/issues/10510",
    why="Both token limits at once, or stream_options without stream, are a 400 at strict providers.",
)
def combinations(exchange: Exchange, view: View) -> None:
    """A request body holds no combination of keys that the contract rules out.

    Send `stream_options` only with `stream: true`, `tool_choice` only with tools, and one token limit, not two.
    """
    body = chat_body(exchange)
    _complain(exchange, [one for one in view.contract.violations(body) if one.situation == "broken_rule"])


@clause(
    "body/no-null",
    kind="request",
    cases=CHAT_CASES,
    covers=(5,),
    source="https://github.com/ztjhz/BetterChatGPT/issues/248",
    why="`max_tokens: null` is refused; other nulls are read as zero or as unset, as the provider likes.",
)
def no_null(exchange: Exchange, view: View) -> None:
    """An argument that is None is left out of the request body, never sent as null.

    Build the body from the arguments that are not None.
    """
    body = chat_body(exchange)
    nulls = [key for key, value in body.items() if value is None] if isinstance(body, dict) else []
    if nulls:
        raise Broken(f"null was sent for {', '.join(nulls)}", exchange.request.body, "request body")


@clause(
    "body/json",
    kind="request",
    cases=CHAT_CASES,
    covers=(17, 19),
    source="https://www.rfc-editor.org/rfc/rfc8259#section-8.1",
    why="NaN, a second key of the same name and bytes that are not UTF-8 are read differently by each server.",
)
def is_json(exchange: Exchange, view: View) -> None:
    """A request body is one JSON object in UTF-8, with no key twice and no NaN or infinity (RFC 8259).

    Serialise with `allow_nan=False` and encode as UTF-8.
    """
    if exchange.request.method != "POST":
        raise NotApplicable("the request has no body to judge")
    raw = exchange.request.body

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"the key {sorted(twice)[0]!r} stands twice in one object")
        return dict(pairs)

    try:
        value = exchange.request.json()
        json.loads(raw, object_pairs_hook=once)
    except ValueError as error:
        raise Broken(f"the request body is not JSON: {error}", raw, "request body") from None
    if not isinstance(value, dict):
        raise Broken("the request body is not a JSON object", raw, "request body")


@clause(
    "body/content-type",
    kind="request",
    cases=CHAT_CASES,
    covers=(1,),
    source=OPENAI,
    why="Some servers answer 400 or 415 to JSON that is labelled as anything else.",
)
def content_type(exchange: Exchange, view: View) -> None:
    """A request with a body says `Content-Type: application/json`.

    Post with your HTTP library's `json=`, or set the header.
    """
    if exchange.request.method != "POST":
        raise NotApplicable("the request has no body to judge")
    kind = (exchange.request.header("content-type") or "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Broken(f"Content-Type is {exchange.request.header('content-type')!r}")


@clause(
    "body/path",
    kind="request",
    cases=CHAT_CASES,
    covers=(1, 2),
    source="https://github.com/Oaklight/llm-rosetta/pull/50",
    why="`//v1` and `/v1/v1` are 404s that look like a wrong model or a wrong host.",
)
def path(exchange: Exchange, view: View) -> None:
    """A completion is asked for at the provider's chat path, with one `/v1` and no doubled slash.

    Normalise the base URL once: strip trailing slashes and a trailing /v1, then add the path.
    """
    if exchange.request.method != "POST":
        raise NotApplicable("the request asks for no completion")
    if view.contract.paths.call("POST", exchange.request.path) is None:
        raise Broken(f"POST {exchange.request.target}; the provider serves {view.contract.chat_path}")
