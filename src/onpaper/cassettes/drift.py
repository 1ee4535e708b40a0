"""Whether a server still speaks as it was recorded: the same requests again, and the structure of what comes back.

Words, ids, times and counts change with every request; what is compared are the axes of `onpaper.truth`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from onpaper import folders
from onpaper.cassettes.cases import CASES, LIMITS, Case, Key
from onpaper.cassettes.cassette import Cassette, CassetteError
from onpaper.cassettes.recorder import Endpoint
from onpaper.cassettes.shapes import MASK
from onpaper.contract import Contract
from onpaper.mock import Mock
from onpaper.truth import Feature, features
from onpaper.truth.plays import answered, played, request

_KEYS: Mapping[str, Key] = {case.name: case.key for case in CASES}


@dataclass(frozen=True, slots=True)
class Change:
    """One value of one axis that came or went. `cases` show it; `wrong` says what does not fit any more."""

    axis: str
    value: str
    state: Literal["new", "gone"]
    cases: tuple[str, ...]
    wrong: tuple[str, ...]


def again(cassette: Cassette, endpoint: Endpoint, contract: Contract) -> Case:
    """The recorded request as a case, with the endpoint's model in place of the recorded one.

    Raises CassetteError when it cannot be asked again: the recorder has masked a part of it.
    """
    asked = cassette.exchanges[0].request
    if MASK in asked.body or MASK.decode() in asked.target:
        raise CassetteError(f"{cassette.name}: a part of its request was masked, so it cannot be asked again")
    text = asked.body.decode("utf-8")
    known = cassette.provenance.model if cassette.provenance else ""
    if known and known != endpoint.model:
        text = text.replace(json.dumps(known), json.dumps(endpoint.model))
    sends_key = asked.header(contract.auth_header) is not None
    path = "chat" if asked.path.endswith(endpoint.chat_path) else "models"
    if path == "models" and not asked.path.endswith(endpoint.models_path):
        path = "nowhere"
    return Case(
        cassette.case,
        f"{asked.method} {asked.path} again",
        None if asked.method == "GET" else text,
        _limit(text),
        path=path,  # type: ignore[arg-type]
        key=_KEYS.get(cassette.case, "right" if sends_key or not endpoint.key else "none"),
        provoked=cassette.provoked,
    )


def _limit(text: str) -> int:
    """The tokens that a request allows its reply."""
    try:
        body = json.loads(text)
    except ValueError:
        return 0
    limits = [body[key] for key in LIMITS if isinstance(body, dict) and isinstance(body.get(key), int)]
    return max(limits, default=0)


def drift(before: Mapping[str, Cassette], now: Mapping[str, Cassette], contract: Contract) -> list[Change]:
    """What changed between two recordings of the same cases, and what is wrong because of it."""
    cases = sorted(set(before) & set(now))
    was, is_now = _shown(before, cases), _shown(now, cases)
    new, gone = set(is_now) - set(was), set(was) - set(is_now)
    said = (
        {feature for exchange in played(contract) for feature in features(exchange)} if new or gone else set()
    )
    mocks = dict(_mocks(contract, gone - said)) if gone - said else {}
    changes = [
        Change(*one, "new", is_now[one], tuple(_wrong_by_new(one in said, is_now[one])))
        for one in sorted(new)
    ]
    changes += [
        Change(*one, "gone", was[one], tuple(_wrong_by_gone(one in said, mocks.get(one, ()), was[one])))
        for one in sorted(gone)
    ]
    return sorted(changes, key=lambda one: (one.axis, one.state))


def _shown(cassettes: Mapping[str, Cassette], cases: Iterable[str]) -> dict[Feature, tuple[str, ...]]:
    """Each feature with the cases that show it."""
    found: defaultdict[Feature, list[str]] = defaultdict(list)
    for case in cases:
        for feature in {one for exchange in cassettes[case].exchanges for one in features(exchange)}:
            found[feature].append(case)
    return {feature: tuple(shown) for feature, shown in found.items()}


def _wrong_by_new(said: bool, cases: tuple[str, ...]) -> Iterator[str]:
    if not said:
        yield "contract: it cannot say this"
    yield from (f"cassette: {case}" for case in cases)


def _wrong_by_gone(said: bool, mocks: tuple[str, ...], cases: tuple[str, ...]) -> Iterator[str]:
    if said:
        yield "contract: it still says this"
    yield from (f"mock: {name}" for name in mocks)
    yield from (f"cassette: {case}" for case in cases)


def _mocks(contract: Contract, gone: set[Feature]) -> Iterator[tuple[Feature, tuple[str, ...]]]:
    """The mocks that say, in words of their own, what the provider does not say any more."""
    from onpaper.answer import Provider

    found: defaultdict[Feature, list[str]] = defaultdict(list)
    for name in folders.names("mocks"):
        mock = Mock.load(name)
        if mock.protocol not in (None, contract.protocol):
            continue
        for stream in (False, True):
            body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
            told = answered(Provider(contract, mock, strict=False), request(contract, body))
            for feature in features(told) & gone:
                if name not in found[feature]:
                    found[feature].append(name)
    yield from ((feature, tuple(names)) for feature, names in found.items())
