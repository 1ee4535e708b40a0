"""A backend on its stage, as properties judge it."""

from __future__ import annotations

import contextlib
from collections.abc import Coroutine, Iterator
from typing import Any

from onpaper.answer import Provider
from onpaper.driving.guard import guarded
from onpaper.driving.stage import KEY, Setup, Stage
from onpaper.driving.verdict import NotApplicable
from onpaper.gateway.httpcore_face import answering_in_place
from onpaper.strategies.properties import Runner
from onpaper.strategies.subject import Subject

SECONDS = 20.0
"""How long one case of a property may take."""


@contextlib.contextmanager
def subject_on(stage: Stage, *, socket: bool = True) -> Iterator[tuple[Subject, Runner]]:
    """The backend, on a gateway of its own, and what runs a coroutine where it lives.

    Without `socket` a client written on httpx is answered where it asks; any other still goes over it.

    For a thread of its own: Hypothesis calls its tests synchronously. Raises NotApplicable when a property of this
    backend had to be stopped before, and TimeoutError when one has to be now.
    """
    if stage.stopped:
        raise NotApplicable(f"another property had to be stopped already: {stage.stopped}")
    with (
        stage.hall.gateway(Provider(stage.contract, strict=False)) as server,
        guarded(stage.environment(server)),
        contextlib.nullcontext() if socket else answering_in_place(server),
    ):

        def make(**kwargs: Any) -> Any:
            return stage.make(server, Setup(args=tuple(kwargs.items())))

        states = stage.declared.capabilities.items()
        results = frozenset(name for name, state in states if state == "yes")
        unsent = frozenset(name for name, state in states if state in ("refuses", "ignores"))
        key = KEY if stage.keyed else None
        subject = Subject(make, stage.contract, server, key, stage.takes, results=results, unsent=unsent)

        def run(work: Coroutine[Any, Any, Any]) -> Any:
            if stage.stopped:  # whoever looks for a smaller case would wait as long for each
                work.close()
                raise TimeoutError(stage.stopped)
            try:
                return stage.hall.drive(work, SECONDS)
            except TimeoutError as error:
                stage.stopped = str(error)
                raise

        try:
            yield subject, run
        except Exception:
            if stage.stopped:
                raise TimeoutError(stage.stopped) from None
            raise
