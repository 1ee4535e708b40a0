"""Configuration: base URLs as people write them, and the environment."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

from onpaper.clauses import INTERFACE, Case, clause
from onpaper.clauses.conditions import needs_key, plain_stream
from onpaper.driving.acts import streaming
from onpaper.driving.play import answer_of
from onpaper.driving.run import Run
from onpaper.driving.stage import HELLO, KEY, Setup, Stage
from onpaper.driving.verdict import Broken, NotApplicable
from onpaper.exchange import Request
from onpaper.script import Script


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
    if stage.contract.paths.call("POST", path) is None:
        raise Broken(f"base_url ending in {case.value!r} led to {path}; the provider serves {stage.contract.chat_path}")
    run.must_not_raise()


@clause("config/base-url-path", level="should", cases=(Case("path", "/team-1"), Case("path-v1", "/team-1/v1"), Case("v1-path-v1", "/v1/team-1/v1")), covers=(2,), source="https://www.rfc-editor.org/rfc/rfc3986#section-5.2",
        why="Gateways are mounted below a path, which may have a /v1 of its own; `urljoin(base_url, \"/v1/…\")` drops it, and the request goes to somebody else.")  # fmt: skip
async def base_url_path(stage: Stage, case: Case) -> None:
    """A path in the base URL is kept: what the client asks for lies below it.

    Append to the base URL's path; do not resolve an absolute path against it, and take off no more than a last /v1.
    """
    if stage.contract.protocol == "ndjson" and "v1" in case.id:
        raise NotApplicable("the provider has no /v1")
    await plain_stream(stage)
    hello = answer_of(HELLO, stage.contract)

    def anywhere(request: Request) -> Script:
        return hello(replace(request, target=stage.contract.chat_path))

    run = await stage.drive("stream()", streaming(), anywhere, Setup(suffix=case.value))
    run.notes["judged"] = True  # another path than the provider's is what was asked for
    if not run.chats:
        run.must_not_raise()
        raise Broken("stream() sent no request")
    path = run.chats[0].request.path
    if not path.startswith(case.value.removesuffix("/v1") + "/"):
        raise Broken(f"base_url ending in {case.value!r} led to {path}")


@clause("config/argument-first", level="should", policy=True, covers=(175,), source=INTERFACE, why="A test, or a second tenant, that names its URL talks to the one of the deployment.")
async def argument_first(stage: Stage, case: Case) -> None:
    """The base URL that the factory is given comes before the one in the environment."""
    named = [(name, value) for name, value in stage.declared.env.items() if "{base_url}" in value]
    if not named:
        raise NotApplicable("the declaration names no environment variable with {base_url}")
    await plain_stream(stage)
    with stage.hall.gateway(answer_of(HELLO, stage.contract)) as other:
        elsewhere = tuple((name, value.replace("{base_url}", other.url)) for name, value in named)
        await stage.drive("stream()", streaming(), HELLO, Setup(env=elsewhere))
        if len(other.journal):
            raise Broken("base_url was given, and the request went to the URL in the environment")


@clause("config/silent-when-made", level="should", covers=(175,), source=INTERFACE, why="A constructor that asks the server blocks whoever imports it, and fails where the server comes up later.")
async def silent_when_made(stage: Stage, case: Case) -> None:
    """Making a backend sends nothing."""
    run = await stage.stream()
    if run.made:
        one = run.made[0].request
        raise Broken(f"making the backend sent {len(run.made)} request(s): {one.method} {one.target}")


@clause("config/apart", covers=(175, 176), source=INTERFACE, why="A default or a model that is kept on the class is everybody's.")
async def apart(stage: Stage, case: Case) -> None:
    """What one backend is told, its model and its sampling, changes no other."""
    await plain_stream(stage)

    async def act(backend: Any, run: Run) -> None:
        server = run.notes["server"]
        await streaming()(backend, run)
        with_sampling = stage.takes("__init__", "sampling") and stage.declared.can("sampling") != "ignores"
        args = (("sampling", {"temperature": 0.5, "top_p": 0.5}),) if with_sampling else ()
        try:
            other = await stage.made(server, Setup(model="other/model", args=args))
            if hasattr(other, "set_model"):
                switched = other.set_model("third/model")
                await switched if inspect.isawaitable(switched) else None
        except Exception:  # it may refuse the name, or to switch
            other = None
        await streaming()(backend, run)
        if other is not None:
            await stage.closed(other, run)

    run = await stage.drive("stream()", act)
    run.must_not_raise()
    before, after = run.chats[0].request.json(), run.chats[-1].request.json()
    changed = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
    if changed:
        raise Broken(f"another backend was made and told its own, and this one sent another {' and '.join(changed)}", run.chats[-1].request.body, "request body")


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
        given = credentials(run.exchanges[0].request, View(stage.contract)) if run.exchanges else []
        if given and not given[0][1].endswith(key):
            raise Broken("a backend that was made with one key sent another")
        if not given:
            raise NotApplicable("no key was sent: see auth/header")
