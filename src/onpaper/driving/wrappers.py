"""What a client takes that takes any keyword by its signature: whoever wraps another client hands them on to it."""

from __future__ import annotations

import inspect
from typing import Any

from onpaper.driving.acts import MESSAGES, copied, names, signature
from onpaper.driving.run import Hung, Run
from onpaper.driving.stage import Setup, Stage

GIVEN: dict[str, Any] = {
    "stats": {},
    "max_tokens": 16,
    "temperature": 0.5,
    "top_k": 7,
    "top_p": 0.5,
    "presence_penalty": 0.5,
    "stop": ["END"],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}],
}
"""An ordinary value for each parameter of the interface."""


async def learn(stage: Stage) -> None:
    """Try once each parameter that only a `**` takes, and note on the stage those that are not known further in."""
    if stage.takes("__init__", "sampling") and not names(signature(stage.factory), "sampling"):
        run = Run(stage.contract)
        async with stage.backend(run, setup=Setup(args=(("sampling", {}),))):
            pass
        if isinstance(run.error, TypeError) and "sampling" in str(run.error):
            stage.untaken.add(("__init__", "sampling"))
    for method in ("stream", "complete"):
        for name, value in GIVEN.items():
            if stage.takes(method, name) and not names(stage.methods and stage.methods[method], name):
                if not await _tried(stage, method, name, value):
                    return


async def _tried(stage: Stage, method: str, name: str, value: Any) -> bool:
    """Try one parameter; tells whether it is worth the time to go on."""
    run = Run(stage.contract)

    async def act(backend: Any, run: Run) -> None:
        source = getattr(backend, method)(copied(MESSAGES), **{name: copied(value)})
        source = await source if inspect.isawaitable(source) else source
        if method == "stream":
            async for _ in source:
                break

    async with stage.backend(run) as backend:
        if backend is not None:
            await stage.perform(act, backend, run, stage.patience * stage.slowness())
    if isinstance(run.error, TypeError) and name in str(run.error) and not run.exchanges:
        stage.untaken.add((method, name))
    return not isinstance(run.error, Hung) and run.phase != "construct"
