"""Configuration: base URLs as people write them, and the environment."""

from __future__ import annotations

from onpaper.clauses import INTERFACE, Case, clause
from onpaper.clauses.conditions import needs_key
from onpaper.driving.stage import KEY, Setup, Stage
from onpaper.driving.verdict import Broken, NotApplicable


@clause("config/base-url", cases=tuple(Case(name, suffix) for name, suffix in (("root", ""), ("slash", "/"), ("v1", "/v1"), ("v1-slash", "/v1/"))), covers=(2,),
        source="https://github.com/Oaklight/llm-rosetta/pull/50", why="`//v1` and `/v1/v1` are 404s that look like a wrong model or a wrong host.")  # fmt: skip
async def base_url(stage: Stage, case: Case) -> None:
    """A base URL with or without a trailing slash, and with or without /v1, leads to the same path."""
    if stage.contract.protocol == "ndjson" and "v1" in case.id:
        raise NotApplicable("the provider has no /v1")
    run = await stage.stream(setup=Setup(suffix=case.value))
    if not run.chats:
        run.must_not_raise()
    path = run.chats[0].request.path if run.chats else "nothing"
    if path != stage.contract.chat_path and not (stage.contract.protocol == "sse" and path == "/v1" + stage.contract.get("endpoint.chat", "/chat/completions")):
        raise Broken(f"base_url ending in {case.value!r} led to {path}; the provider serves {stage.contract.chat_path}")
    run.must_not_raise()


@clause("config/environment", covers=(175,), source=INTERFACE, why="The URL is set in the deployment, not in the code.")
async def environment(stage: Stage, case: Case) -> None:
    """Without an argument the base URL comes from the environment variable that the declaration names."""
    if not any("{base_url}" in value for value in stage.declared.env.values()):
        raise NotApplicable("the declaration names no environment variable with {base_url}")
    run = await stage.stream(setup=Setup(url_from_env=True))
    if not run.exchanges:
        raise Broken(f"stream() did not reach the URL of the environment{run._raised()}")
    run.must_not_raise()


@clause("config/key-read-when-made", covers=(176,), source=INTERFACE, why="A key that is read at import is the key of whoever imported first.")
async def read_when_made(stage: Stage, case: Case) -> None:
    """The key is read when the backend is made: another key in the environment makes another client."""
    from onpaper.clauses import View
    from onpaper.clauses.auth import credentials

    needs_key(stage)
    for key in (KEY, "sk-onpaper-Second4Ab1cYz8"):
        run = await stage.stream(setup=Setup(key=key))
        values = credentials(run.exchanges[0].request, View(stage.contract)) if run.exchanges else []
        if values and not values[0].endswith(key):
            raise Broken("a backend that was made with one key sent another")
        if not values:
            raise NotApplicable("no key was sent: see auth/header")
