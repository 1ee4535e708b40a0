"""Asking for the answer to a request: a plain function decides, and whatever it does, there is something
to play.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from onpaper.exchange import Request
from onpaper.script import Script, Write

Answer = Callable[[Request], Script]
"""Decides what is said to a request. Called in order, one request at a time; it does no I/O and must not
block.
"""


class Unanswerable(Exception):
    """Raised by an answer function that has no answer: `script` is played, the sentence goes into the
    journal.
    """

    def __init__(self, sentence: str, script: Script) -> None:
        super().__init__(sentence)
        self.script = script


def ask(answer: Answer, request: Request) -> tuple[Script, str]:
    """The script for a request, and the problem in one sentence if there was one."""
    try:
        script = answer(request)
        if not isinstance(script, Script):
            raise TypeError(f"it must be a Script, found {type(script).__name__}")
        return script, script.problem
    except Unanswerable as error:
        return error.script, str(error)
    except Exception as error:
        problem = f"the answer to {request.method} {request.path} failed: {type(error).__name__}: {error}"
        return refusal(500, problem), problem


def refusal(status: int, sentence: str) -> Script:
    """An error by the gateway itself, in the envelope that clients of these APIs read."""
    body = json.dumps({"error": {"message": sentence, "type": "gateway_error", "param": None, "code": None}})
    return Script(
        status,
        (("content-type", "application/json"),),
        (Write(body.encode()),),
        transfer="length",
        joined=True,
    )
