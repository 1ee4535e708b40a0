"""Replies that end too early, between events or inside one.

`end` says how the connection goes on: `cut` closes it without the end of the transfer coding, `clean`
ends the HTTP message as if it were whole (only the stream inside is not), `reset` sends a TCP reset,
`hang` stays silent.
"""

from __future__ import annotations

from dataclasses import replace

from onpaper.errors import BadInput
from onpaper.gateway.faults.events import chosen_end, ending, position, positions
from onpaper.gateway.faults.table import fault
from onpaper.script import Script, Write


@fault("cut")
def cut(script: Script, *, at: int | None = None, end: str = "cut") -> Script:
    """The reply ends before event `at` (the middle one unless said)."""
    stop = position(script, at, "cut")
    return ending(script, chosen_end(end, "cut"), "cut", script.writes[:stop])


@fault("cut-mid-event")
def cut_mid_event(script: Script, *, at: int | None = None, end: str = "cut") -> Script:
    """The reply ends in the middle of event `at` (the middle one unless said)."""
    stop = position(script, at, "cut-mid-event")
    return _inside(script, stop, len(script.writes[stop].data) // 2, end, "cut-mid-event")


@fault("cut-in-utf8")
def cut_in_utf8(script: Script, *, at: int | None = None, end: str = "cut") -> Script:
    """The reply ends after the first byte of a character of several bytes, in event `at` or the first
    that has one.
    """
    places = positions(script) if at is None else [position(script, at, "cut-in-utf8")]
    for number in places:
        for offset, byte in enumerate(script.writes[number].data):
            if byte >= 0xC2:  # the first byte of a longer character in UTF-8
                return _inside(script, number, offset + 1, end, "cut-in-utf8")
    raise BadInput(
        "the fault cut-in-utf8 finds no character outside ASCII to cut; put one into the mock's text"
    )


@fault("cut-in-crlf")
def cut_in_crlf(script: Script, *, at: int | None = None, end: str = "cut") -> Script:
    """The reply ends between the CR and the LF of the last line of event `at` (the middle one unless
    said).
    """
    stop = position(script, at, "cut-in-crlf")
    offset = script.writes[stop].data.rfind(b"\r\n")
    if offset < 0:
        raise BadInput(
            'the fault cut-in-crlf finds no CRLF in that event; set framing.newline = "crlf" in the mock'
        )
    return _inside(script, stop, offset + 1, end, "cut-in-crlf")


@fault("cut-in-chunk-frame")
def cut_in_chunk_frame(script: Script, *, at: int | None = None) -> Script:
    """The connection closes inside the HTTP chunk that carries event `at` (the middle one unless said)."""
    if script.transfer != "chunked":
        raise BadInput(
            f"the fault cut-in-chunk-frame needs a chunked reply, found transfer {script.transfer!r}"
        )
    stop = position(script, at, "cut-in-chunk-frame")
    torn = script.writes[stop]
    frame = b"%x\r\n%b" % (len(torn.data), torn.data[: max(1, len(torn.data) // 2)])
    return ending(
        script,
        "cut",
        "cut-in-chunk-frame",
        (*script.writes[:stop], Write(frame, torn.after, raw=True, fault=torn.fault)),
    )


@fault("reset")
def reset(script: Script, *, at: int | None = None) -> Script:
    """The connection is reset (TCP RST) before event `at`, or after the last one unless said."""
    return ending(script, "reset", "reset", _before(script, at, "reset"))


@fault("fin")
def fin(script: Script, *, at: int | None = None) -> Script:
    """The connection closes without the last chunk (or the whole length), before event `at` or after the
    last one.
    """
    if at is None and script.transfer != "chunked":
        raise BadInput(
            f"the fault fin finds no last chunk to leave out (transfer {script.transfer!r}); give at"
        )
    return ending(script, "cut", "fin", _before(script, at, "fin"))


@fault("half-close")
def half_close(script: Script, *, at: int | None = None) -> Script:
    """The server closes its sending side only and goes on reading, before event `at` or after the last
    one.
    """
    return ending(script, "half-close", "half-close", _before(script, at, "half-close"))


def _before(script: Script, at: int | None, fault: str) -> tuple[Write, ...]:
    return script.writes if at is None else script.writes[: position(script, at, fault)]


def _inside(script: Script, stop: int, offset: int, end: str, fault: str) -> Script:
    """End the reply after `offset` bytes of the write at `stop`."""
    torn = replace(script.writes[stop], data=script.writes[stop].data[:offset])
    return ending(script, chosen_end(end, fault), fault, (*script.writes[:stop], torn))
