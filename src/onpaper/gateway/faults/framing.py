"""HTTP framing that lies or breaks: lengths, chunk sizes, status lines (RFC 9112)."""

from __future__ import annotations

from dataclasses import replace

from onpaper.errors import BadInput
from onpaper.gateway.faults.events import chosen_end, ending, own_head, position, with_head_fault
from onpaper.gateway.faults.table import fault
from onpaper.script import Script, Write


@fault("length-too-long")
def length_too_long(script: Script, *, by: int = 10, end: str = "cut") -> Script:
    """Content-Length announces so many bytes more than come; then the connection closes (or hangs, or is
    reset).
    """
    size = _size(own_head(script, "length-too-long"), by, "length-too-long")
    if chosen_end(end, "length-too-long") == "clean":
        raise BadInput("the fault length-too-long cannot end clean: the message is never complete")
    lying = replace(script, transfer="length", length=size + by)
    return ending(lying, chosen_end(end, "length-too-long"), "length-too-long")


@fault("length-too-short")
def length_too_short(script: Script, *, by: int = 10) -> Script:
    """Content-Length announces so many bytes fewer than come."""
    size = _size(own_head(script, "length-too-short"), by, "length-too-short")
    if by > size:
        raise BadInput(
            f"the fault length-too-short cannot announce {by} bytes fewer than the {size} there are"
        )
    lying = replace(script, transfer="length", length=size - by)
    return with_head_fault(lying, "length-too-short")


@fault("bad-chunk-size")
def bad_chunk_size(script: Script, *, at: int | None = None, size: str = "zz") -> Script:
    """The HTTP chunk that carries event `at` (the middle one unless said) has this text as its size."""
    if script.transfer != "chunked":
        raise BadInput(f"the fault bad-chunk-size needs a chunked reply, found transfer {script.transfer!r}")
    number = position(script, at, "bad-chunk-size")
    event = script.writes[number]
    frame = size.encode("utf-8", "surrogateescape") + b"\r\n" + event.data + b"\r\n"
    broken = Write(frame, event.after, raw=True, fault="bad-chunk-size")
    marks = (Write(b"", fault=event.fault),) if event.fault else ()
    return replace(script, writes=(*script.writes[:number], broken, *marks, *script.writes[number + 1 :]))


@fault("bad-status-line")
def bad_status_line(script: Script, *, line: str = "HTTP/1.1 OK") -> Script:
    """The reply begins with this line in place of a status line."""
    own_head(script, "bad-status-line")
    head = line.encode("utf-8", "surrogateescape") + b"\r\n"
    for name, value in script.headers:
        head += f"{name}: {value}\r\n".encode()
    framing = b"transfer-encoding: chunked\r\n" if script.transfer == "chunked" else b""
    if script.transfer == "length":
        framing = b"content-length: %d\r\n" % (len(script.body) if script.length is None else script.length)
    return with_head_fault(replace(script, head=head + framing + b"\r\n"), "bad-status-line")


@fault("no-response")
def no_response(script: Script, *, end: str = "cut") -> Script:
    """No byte of a reply comes: the connection just closes (or hangs, or is reset)."""
    chosen = chosen_end(end, "no-response")
    if chosen == "clean":
        raise BadInput("the fault no-response cannot end clean: there is no message to complete")
    silent = replace(script, head=b"", preface=(), writes=(), length=None)
    return ending(silent, chosen, "no-response")


@fault("interim-103")
def interim_103(script: Script, *, link: str = "</style.css>; rel=preload; as=style") -> Script:
    """An interim reply, 103 Early Hints (RFC 8297), comes before the reply itself."""
    hints = f"HTTP/1.1 103 Early Hints\r\nlink: {link}\r\n\r\n".encode()
    return replace(script, preface=(*script.preface, Write(hints, fault="interim-103")))


def _size(script: Script, by: int, fault: str) -> int:
    if by < 1:
        raise BadInput(f"the fault {fault} wants by to be 1 or more, found {by}")
    return len(script.body)
