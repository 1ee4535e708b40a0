"""What goes on the wire for one script and one request: the sends, in order, each with its pause and its
faults.

A pure function, no I/O. The rules are RFC 9112 (message framing, persistence) and RFC 9110 §6.4.1 (which
replies have no body); a script that asks for something else gets it, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from itertools import pairwise
from typing import NamedTuple

from onpaper.exchange import End, Headers
from onpaper.script import Script, Write

REASONS = {status.value: status.phrase for status in HTTPStatus}
SEND_WEIGHT = 200
"""Bytes of memory that a send takes beside its data, roughly."""
FRAMING = frozenset({"content-length", "transfer-encoding"})


class Send(NamedTuple):
    """Bytes handed to the socket in one call, after a pause in seconds.

    `body` is the part of the body that is complete with them, `head` says that the head is.
    """

    wire: bytes
    after: float = 0.0
    body: bytes = b""
    faults: tuple[str, ...] = ()
    head: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """One answer, ready to be sent. `keep` says that the connection outlives a clean ending, `faulty` that
    there is a fault in it.
    """

    status: int
    reason: str
    headers: Headers
    sends: tuple[Send, ...]
    end: End
    end_after: float
    end_fault: str
    keep: bool
    lockstep: bool
    body_size: int
    weight: int
    """Roughly the bytes of memory that it takes."""
    scripted: tuple[str, ...]
    """The faults that the script promised."""
    at_once: bool
    """One send without a pause, and nothing special about the ending."""
    faulty: bool


def plan(script: Script, *, method: str = "GET", version: str = "1.1", keep_alive: bool = True) -> Plan:
    """The sends of a script for a request made with this method and HTTP version.

    Raises ValueError when a header of the script cannot be written in HTTP/1.1.
    """
    bodiless = method == "HEAD" or script.status in (204, 304) or script.status < 200
    transfer = script.transfer
    if transfer == "chunked" and version == "1.0":  # RFC 9112 §6.1: never chunked to an HTTP/1.0 client
        transfer = "close"
    size = len(script.body) if transfer == "length" else 0
    announced = size if script.length is None else script.length
    closes = any("close" in value.lower() for name, value in script.headers if name.lower() == "connection")  # RFC 9112 §9.6
    keep = keep_alive and not closes and (bodiless or transfer == "chunked" or (transfer == "length" and announced <= size))
    headers = _headers(script, transfer, announced, keep, version)
    reason = script.reason or REASONS.get(script.status, "")
    head = script.head if script.head is not None else _head(script.status, reason, headers)

    sends = [send for write in script.preface for send in _raw(write)]
    sends.append(Send(head, script.head_after, b"", _named(script.head_fault), head=bool(head)))
    if not bodiless:
        sends += [send for write in script.writes for send in _framed(write, transfer)]
    end_after = script.end_after
    if script.end == "clean" and transfer == "chunked" and not bodiless:
        sends.append(Send(b"0\r\n\r\n", end_after))
        end_after = 0.0
    if script.joined:
        sends = list(_join(sends))
    elif transfer == "length" and len(sends) == len(script.preface) + 2 and not sends[-1].after:
        sends[-2:] = [_merge(sends[-2:])]  # a body of one write goes out with its head, as any server does it
    faulty = bool(script.end_fault) or any(send.faults for send in sends)
    body_size = sum(len(send.body) for send in sends)
    clean = script.end == "clean" and not end_after and not script.end_fault
    return Plan(
        status=script.status,
        reason=reason,
        headers=headers,
        sends=tuple(sends),
        end=script.end,
        end_after=end_after,
        end_fault=script.end_fault,
        keep=keep,
        lockstep=script.lockstep,
        body_size=body_size,
        weight=body_size + sum(len(send.wire) for send in sends) + SEND_WEIGHT * len(sends),
        scripted=script.faults if faulty or bodiless else (),
        at_once=clean and len(sends) == 1 and not sends[0].after and not script.lockstep,
        faulty=faulty,
    )


def _headers(script: Script, transfer: str, announced: int, keep: bool, version: str) -> Headers:
    """The script's own headers, and the framing and persistence headers that it leaves to the gateway."""
    headers = list(script.headers)
    present = {name.lower() for name, _ in headers}
    if not present & FRAMING and script.status >= 200 and script.status != 204:
        if transfer == "chunked":
            headers.append(("transfer-encoding", "chunked"))
        elif transfer == "length":
            headers.append(("content-length", str(announced)))
    if "connection" not in present:
        if not keep:
            headers.append(("connection", "close"))
        elif version == "1.0":
            headers.append(("connection", "keep-alive"))
    return tuple(headers)


def _head(status: int, reason: str, headers: Headers) -> bytes:
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers)]
    for line in lines:
        if "\r" in line or "\n" in line or "\0" in line:
            raise ValueError(
                f"a reply's head cannot hold a line break or NUL (RFC 9110 §5.5), found {line[:80]!r}"
            )
    try:
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"a reply's head is Latin-1 (RFC 9110 §5.5), found {error.object[error.start]!r}"
        ) from None


def _named(fault: str) -> tuple[str, ...]:
    return (fault,) if fault else ()


def _raw(write: Write) -> list[Send]:
    return _torn(write, write.data, b"")


def _framed(write: Write, transfer: str) -> list[Send]:
    """A write in its transfer coding. An empty one sends nothing: an empty chunk would end the body."""
    data = write.data
    if write.raw:
        return _torn(write, data, b"")
    wire = b"%x\r\n%b\r\n" % (len(data), data) if data and transfer == "chunked" else data
    if write.cuts:
        return _torn(write, wire, data)
    return [Send(wire, write.after, data, (write.fault,) if write.fault else ())]


def _torn(write: Write, wire: bytes, body: bytes) -> list[Send]:
    """One send, or one for each piece if the write has cuts; body and fault count with the last piece."""
    edges = sorted({0, *(cut for cut in write.cuts if 0 < cut < len(wire)), len(wire)})
    sends = [Send(wire[start:stop]) for start, stop in pairwise(edges)] or [Send(b"")]
    sends[0] = sends[0]._replace(after=write.after)
    sends[-1] = sends[-1]._replace(body=body, faults=_named(write.fault))
    return sends


def _join(sends: Iterable[Send]) -> Iterable[Send]:
    """The same bytes in as few sends as the pauses allow."""
    group: list[Send] = []
    for send in sends:
        if group and send.after:
            yield _merge(group)
            group = []
        group.append(send)
    if group:
        yield _merge(group)


def _merge(group: list[Send]) -> Send:
    return Send(
        b"".join(send.wire for send in group),
        group[0].after,
        b"".join(send.body for send in group),
        tuple(fault for send in group for fault in send.faults),
        any(send.head for send in group),
    )
