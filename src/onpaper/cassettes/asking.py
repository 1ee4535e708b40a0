"""What a provider is asked when it is recorded by its contract: where, in which words, and which cases."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace

from onpaper.cassettes.cases import Case, select
from onpaper.cassettes.cassette import CassetteError, Provenance
from onpaper.cassettes.client import fetch
from onpaper.cassettes.recorder import Endpoint, content_of, is_loopback, request_of
from onpaper.contract import Contract


def endpoint_of(contract: Contract, base_url: str, model: str, key: str = "") -> Endpoint:
    """Where a contract's provider is asked: its paths, its auth header, its word for the limit of tokens."""
    return Endpoint(
        base_url,
        model,
        key,
        auth=(contract.auth_header, str(contract.get("auth.form", "Bearer {key}"))),
        chat_path=str(contract.get("endpoint.chat", "/chat/completions")).replace("{model}", model),
        models_path=str(contract.get("endpoint.models", "/models")),
        prefix=str(contract.get("endpoint.prefix", "/v1")).replace("{model}", model),
        limit_key=limit_key(contract),
        native=contract.protocol == "ndjson",
        provenance=Provenance(contract=contract.name, server=str(contract.get("summary") or contract.name)),
    )


def limit_key(contract: Contract) -> str:
    """The key that bounds a reply's tokens."""
    both = ("max_tokens", "max_completion_tokens")
    return next((key for key in both if key in contract.keys), both[0])


def cases_of(
    contract: Contract,
    endpoint: Endpoint,
    names: Iterable[str] = (),
    context: int | None = None,
) -> tuple[tuple[Case, ...], dict[str, str]]:
    """The cases to ask, and those left out with the reason.

    A key beside the point that the contract does not accept is dropped from a case. With names, exactly those
    are asked. Without, all that the contract accepts: a case that is meant to be answered and whose body
    breaks the contract is left out, and so is one that would ask the same again. Raises CassetteError for an
    unknown name.
    """
    names = tuple(names)
    cases = tuple(_fitted(case, contract) for case in select(names, context, endpoint.scripted))
    if names:
        return cases, {}
    asked: list[Case] = []
    left_out: dict[str, str] = {}
    bodies: dict[tuple[str, bytes], str] = {}
    for case in cases:
        body = content_of(endpoint, case)
        twin = bodies.setdefault((case.key, case.path.encode() + body), case.name)
        reason = _reason(contract, case, body) or (f"asks the same as {twin}" if twin != case.name else "")
        if reason:
            left_out[case.name] = reason
        else:
            asked.append(case)
    if not context:
        left_out["context-overflow"] = "needs the size of the context window (--context)"
    return tuple(asked), left_out


_BESIDE_THE_POINT = frozenset(
    {"stream_options", "temperature", "top_p", "presence_penalty", "frequency_penalty", "seed"}
)
"""Keys that a case can do without."""


def _fitted(case: Case, contract: Contract) -> Case:
    if not isinstance(case.body, Mapping) or contract.protocol == "ndjson":
        return case
    dropped = _BESIDE_THE_POINT - contract.keys
    return replace(case, body={key: value for key, value in case.body.items() if key not in dropped})


def _reason(contract: Contract, case: Case, body: bytes) -> str:
    """Why a contract does not let a case be asked; empty when it does."""
    if case.path == "models":
        return "" if contract.get("models.list") is not None else "the provider has no list of models"
    if case.provoked:
        return ""
    violations = contract.violations(json.loads(body))
    return violations[0].message if violations else ""


def spends(contract: Contract | None, endpoint: Endpoint) -> bool:
    """Whether asking may cost money: not where a server on this machine is one that costs nothing."""
    return contract is None or contract.metered or not is_loopback(endpoint.url)


async def model_names(endpoint: Endpoint) -> list[str]:
    """The models that a server lists. Raises CassetteError, in one sentence, when it lists none."""
    case = next(case for case in select() if case.path == "models")
    url = endpoint.url
    exchange = await fetch(url, request_of(endpoint, case), endpoint.limits)
    reply = exchange.reply
    status = reply.status if reply else 0
    try:
        value = json.loads(reply.body) if reply else None
    except ValueError:
        value = None
    listed = value.get("data", value.get("models")) if isinstance(value, dict) else value
    names = [one.get("id") or one.get("name") for one in listed or () if isinstance(one, dict)]
    found = [name for name in names if isinstance(name, str)]
    if not found:
        path = url.path + endpoint.models_path
        raise CassetteError(f"{path} lists no models (status {status}): name one with --model")
    return found


def described(endpoint: Endpoint, server: str, setup: str, scripted: bool) -> Endpoint:
    """The endpoint with what only the person who records knows; empty text changes nothing."""
    given = endpoint.provenance
    told = replace(given, server=server or given.server, setup=setup or given.setup)
    return replace(endpoint, provenance=told, scripted=scripted)
