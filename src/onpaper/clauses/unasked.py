"""What a client adds to a request that nobody asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from onpaper.clauses import OPENAI, Case, clause
from onpaper.clauses.operations import operate
from onpaper.driving.run import Run
from onpaper.driving.stage import Stage
from onpaper.driving.verdict import Broken, NotApplicable

CALLS = tuple(Case(name) for name in ("stream", "stream-with-parameters", "complete", "complete-with-parameters", "complete-with-tools", "complete-with-history"))
NOWHERE = object()
HARMLESS: dict[str, tuple[Any, ...]] = {
    "store": (False,),
    "service_tier": ("auto", "default"),
    "tool_choice": ("auto",),
    "parallel_tool_calls": (True,),
    "response_format": ({"type": "text"},),
    "format": ("",),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "modalities": (["text"],),
    "web_search_options": (),
    "search_parameters": ({"mode": "off"},),
    "reasoning_effort": ("none", "minimal", "low", "medium"),
    "verbosity": ("medium",),
    "seed": (),
    "prediction": (),
    "prompt_cache_retention": ("in-memory", "in_memory"),
    "metadata": (),
    "user": (),
    "safety_identifier": (),
}
"""Keys that change, keep, label or bill a reply and that the interface has no argument for, each with the values that
say what the provider does anyway."""


async def _bodies(stage: Stage, name: str) -> tuple[Run, list[tuple[dict[str, Any], bytes]]]:
    run = await operate(stage, name)
    found = []
    for exchange in run.chats:
        try:
            body = exchange.request.json()
        except ValueError:
            continue  # body/json says so
        if isinstance(body, dict):
            found.append((body, exchange.request.body))
    if not found:
        raise NotApplicable(f"{run.operation} sent no JSON object{run._raised()}")
    return run, found


@clause(
    "body/one-choice",
    protocol="sse",
    cases=CALLS,
    source="https://platform.openai.com/docs/api-reference/chat/create",
    why="You are charged for the tokens of all the choices, and the interface hands on one of them.",
)
async def one_choice(stage: Stage, case: Case) -> None:
    """A request asks for one choice: `n` and `best_of` are absent or 1.

    Leave `n` out; who wants several replies calls several times.
    """
    run, bodies = await _bodies(stage, case.id)
    for body, raw in bodies:
        for key in ("n", "best_of"):
            if body.get(key, 1) not in (1, None):  # body/no-null is about null
                raise Broken(f"{run.operation} asked for {key}: {json.dumps(body[key])}; each of them is billed, and one is handed on", raw, "request body")


@clause(
    "body/nothing-unasked",
    cases=CALLS,
    level="should",
    policy=True,
    source=OPENAI,
    why="A dearer tier, a conversation that is kept, a user's name, a reply that has to be JSON: each was decided by nobody.",
)
async def nothing_unasked(stage: Stage, case: Case) -> None:
    """A request holds no key that changes, keeps, labels or bills the reply unless an argument of the call or of the
    constructor asks for it.

    Leave such keys out, or make them arguments; a value that says what the provider does anyway is harmless.
    """
    run, bodies = await _bodies(stage, case.id)
    asked_for = set(_keys(stage.declared.args))
    for body, raw in bodies:
        options = body.get("options")
        said = {**(options if isinstance(options, dict) else {}), **body}
        for key, harmless in HARMLESS.items():
            value = said.get(key, NOWHERE)
            if value is NOWHERE or value is None or key in asked_for or _among(value, harmless):
                continue
            raise Broken(f"{run.operation} sent {key}: {json.dumps(value, ensure_ascii=False)}, which nobody asked for", raw, "request body")


def _among(value: Any, harmless: tuple[Any, ...]) -> bool:
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in harmless)


def _keys(value: Any) -> Iterator[str]:
    """The names in a declaration's arguments: what they name was asked for."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from _keys(item)
