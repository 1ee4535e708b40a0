"""A backend on its stage, as properties judge it."""

from __future__ import annotations

import contextlib
from collections.abc import Coroutine, Iterator
from typing import TYPE_CHECKING, Any

from onpaper.answer import Provider
from onpaper.driving.guard import guarded
from onpaper.driving.stage import KEY, Setup, Stage
from onpaper.driving.verdict import NotApplicable
from onpaper.strategies.properties import Runner
from onpaper.strategies.subject import Subject

if TYPE_CHECKING:
    from onpaper.gateway import Server

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
        contextlib.nullcontext() if socket else _answering_in_place(server) as router,
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
            finally:
                if router is not None:
                    router.reset()  # it remembers every request

        try:
            yield subject, run
        except Exception:
            if stage.stopped:
                raise TimeoutError(stage.stopped) from None
            raise


@contextlib.contextmanager
def _answering_in_place(server: Server) -> Iterator[Any]:
    """Answer httpx clients as the server does and into its journal, through respx: a third of the time of a socket."""
    import respx

    from onpaper.gateway.respx_face import RespxFace

    settle = server.journal.settle
    server.journal.settle = lambda: settle() if server.journal.connections else None
    with respx.mock(assert_all_called=False) as router:
        RespxFace(router, server.url, lambda request: server.answer(request), server.journal)
        router.route().pass_through()
        yield router
