"""`onpaper serve`: the fake gateway for any client in any language."""

from __future__ import annotations

import json
import signal
import sys
import threading
from typing import Annotated, Any

import typer

from onpaper.cli import app
from onpaper.errors import BadInput


@app.command()
def serve(
    provider: Annotated[str, typer.Option("--as", metavar="PROVIDER", help="The provider to play.")] = "openai",
    mock: Annotated[str, typer.Option(help="What it says, and how it goes wrong: a mock's name.")] = "hello",
    port: Annotated[int, typer.Option(help="0 takes a free port.")] = 0,
    key: Annotated[str, typer.Option(help="The one right key; without it any key that is not empty.")] = "",
    json_log: Annotated[bool, typer.Option("--json-log", help="Print each exchange as a line of JSON, credentials masked.")] = False,
) -> None:
    """Play a provider strictly on 127.0.0.1 until interrupted: it refuses what the real one refuses.

    Prints one line with its root URL.
    """
    from onpaper.answer import Provider
    from onpaper.contract import Contract
    from onpaper.gateway import CannotListen, ServerThread, faults
    from onpaper.mock import Mock

    answer = Provider(Contract.load(provider), Mock.load(mock), strict=True, key=key or None, faults=faults.apply)
    try:
        server = ServerThread(answer, port=port)
    except CannotListen as error:
        raise BadInput(str(error)) from None
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with server:
        print(server.url, flush=True)
        if json_log:
            _log(server.journal, stopping)
        else:
            while not stopping.wait(3600):
                pass


def _log(journal: Any, stopping: threading.Event) -> None:
    from onpaper.gateway.masking import rows

    shown = 0
    while not stopping.is_set():
        finished = [entry for entry in journal if not entry.running]
        new = journal.total - shown
        ready = finished[-new:] if new else []
        for row in rows(ready):
            print(json.dumps(row, ensure_ascii=False), flush=True)
        shown += len(ready)
        stopping.wait(0.1)
    sys.stdout.flush()
