"""Another reply in place of the right one: what proxies, load balancers and confused servers send."""

from __future__ import annotations

import json
from dataclasses import replace

from onpaper.errors import BadInput
from onpaper.exchange import Headers, header
from onpaper.gateway.faults.events import own_head, with_head_fault
from onpaper.gateway.faults.table import fault
from onpaper.script import Script, Write

PAGE = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    "<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"
)


@fault("html-502")
def html_502(script: Script, *, body: str = PAGE) -> Script:
    """A proxy in between answers 502 with an HTML page."""
    return _instead(script, 502, "text/html", body.encode(), "html-502")


@fault("error-in-200")
def error_in_200(
    script: Script, *, message: str = "The server had an error", type: str = "server_error"
) -> Script:
    """The status is 200 and the body is an error object."""
    error = {"error": {"message": message, "type": type, "param": None, "code": None}}
    return _instead(script, 200, "application/json", json.dumps(error).encode(), "error-in-200")


@fault("empty-200")
def empty_200(script: Script) -> Script:
    """The status is 200 and there is no body at all."""
    return _instead(script, 200, header(script.headers, "content-type") or "", b"", "empty-200")


@fault("wrong-content-type")
def wrong_content_type(script: Script, *, type: str = "text/plain") -> Script:
    """The Content-Type is this one."""
    if header(script.headers, "content-type") == type:
        raise BadInput(
            f"the fault wrong-content-type finds that the reply is {type} already; give another type"
        )
    script = own_head(script, "wrong-content-type")
    return with_head_fault(replace(script, headers=_typed(script.headers, type)), "wrong-content-type")


def _instead(script: Script, status: int, content_type: str, body: bytes, fault: str) -> Script:
    """A whole reply of this status and body, at the time of the one it replaces."""
    if script.end != "clean":
        given = script.end_fault or script.end
        raise BadInput(f"the fault {fault} replaces the whole reply and cannot follow {given}; put it first")
    whole = replace(
        own_head(script, fault),
        status=status,
        reason="",
        headers=_typed(script.headers, content_type),
        writes=(Write(body),) if body else (),
        transfer="length",
        length=None,
    )
    return with_head_fault(whole, fault)


def _typed(headers: Headers, content_type: str) -> Headers:
    others = tuple(
        (name, value) for name, value in headers if name.lower() not in ("content-type", "content-encoding")
    )
    return (("content-type", content_type), *others) if content_type else others
