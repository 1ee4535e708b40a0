"""Quotas per key: so many requests and so many tokens per minute, and the provider's 429 beyond them.

Each key has a bucket of each kind that fills evenly, as OpenAI describes its own limits
(https://platform.openai.com/docs/guides/rate-limits). Only requests that a provider bills count.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from onpaper.errors import BadInput
from onpaper.exchange import Request
from onpaper.gateway.answering import Answer, refusal
from onpaper.gateway.journal import costs_money
from onpaper.gateway.keys import key_of
from onpaper.script import Script, Write

if TYPE_CHECKING:
    from onpaper.contract import Contract

MOST_KEYS = 10_000
MAXIMA = ("max_completion_tokens", "max_tokens", "num_predict")


@dataclass(frozen=True, slots=True)
class Exceeded:
    """Which quota a request went over, and after how many seconds it would fit."""

    kind: str
    limit: int
    seconds: float


Refuse = Callable[[Request, Exceeded], Script]


def estimate_tokens(request: Request) -> int:
    """The tokens a request asks for: a quarter of the characters of its texts, and the most it may
    generate.
    """
    try:
        body = request.json()
    except ValueError:
        return 1
    if not isinstance(body, dict):
        return 1
    most = next((body[name] for name in MAXIMA if type(body.get(name)) is int and body[name] > 0), 0)
    texts = json.dumps([body.get(name) for name in ("messages", "prompt", "input")], ensure_ascii=False)
    return max(1, len(texts) // 4) + most


def plain_refusal(request: Request, exceeded: Exceeded) -> Script:
    """A 429 with Retry-After (RFC 6585 §4), in whole seconds."""
    seconds = max(1, -int(-exceeded.seconds // 1))
    script = refusal(
        429, f"rate limit of {exceeded.limit} {exceeded.kind} per minute reached; try again in {seconds} s"
    )
    return replace(script, headers=(*script.headers, ("retry-after", str(seconds))))


def provider_refusal(contract: Contract) -> Refuse:
    """The refusal in the words of a provider."""
    from onpaper.mock import Trouble
    from onpaper.wire.dialect import Asked, Speaker

    def refuse(request: Request, exceeded: Exceeded) -> Script:
        seconds = max(1, -int(-exceeded.seconds // 1))
        status, headers, body = Speaker(contract, Asked()).trouble(Trouble("rate_limit", retry_after=seconds))
        return Script(status, headers, (Write(body),), transfer="length")

    return refuse


class Quotas:
    """An answer function in front of another: beyond the quota it refuses, within it the other one answers.

    A reply's `x-ratelimit-…` headers, where the provider has them, tell what is really left. `clock` is
    in seconds.
    """

    def __init__(
        self,
        answer: Answer,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        *,
        refuse: Refuse = plain_refusal,
        count: Callable[[Request], int] = estimate_tokens,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = {"requests": requests_per_minute, "tokens": tokens_per_minute}
        for kind, limit in self.limits.items():
            if limit is not None and limit < 1:
                raise BadInput(f"a quota is at least 1 per minute, found {limit} {kind}")
        self._answer = answer
        self._refuse = refuse
        self._count = count
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, dict[str, float]]] = OrderedDict()

    def __call__(self, request: Request) -> Script:
        if not costs_money(request):
            return self._answer(request)
        left = self._refilled(key_of(request))
        wanted = {"requests": 1, "tokens": self._count(request) if self.limits["tokens"] else 0}
        for kind, limit in self.limits.items():
            if limit is not None and wanted[kind] > left[kind]:
                seconds = (wanted[kind] - left[kind]) * 60 / limit
                return self._told(self._refuse(request, Exceeded(kind, limit, seconds)), left)
        for kind, limit in self.limits.items():
            if limit is not None:
                left[kind] -= wanted[kind]
        return self._told(self._answer(request), left)

    def _refilled(self, key: str) -> dict[str, float]:
        """What a key has left now."""
        now = self._clock()
        full = {kind: float(limit) for kind, limit in self.limits.items() if limit is not None}
        since, left = self._left.pop(key, (now, full))
        for kind, limit in full.items():
            left[kind] = min(limit, left[kind] + (now - since) * limit / 60)
        self._left[key] = (now, left)
        if len(self._left) > MOST_KEYS:
            self._left.popitem(last=False)
        return left

    def _told(self, script: Script, left: dict[str, float]) -> Script:
        """The script, its rate-limit headers saying what is true."""
        truth: dict[str, Any] = {}
        for kind, rest in left.items():
            limit = self.limits[kind] or 1
            truth[f"x-ratelimit-limit-{kind}"] = limit
            truth[f"x-ratelimit-remaining-{kind}"] = int(rest)
            truth[f"x-ratelimit-reset-{kind}"] = _duration((limit - rest) * 60 / limit)
        headers = tuple((name, str(truth.get(name.lower(), value))) for name, value in script.headers)
        return script if headers == script.headers else replace(script, headers=headers)


def _duration(seconds: float) -> str:
    """`12ms`, `1.5s` or `1m30s`, as these headers spell it."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds, 3), 60)
    return f"{int(minutes)}m{rest:g}s" if minutes else f"{rest:g}s"
