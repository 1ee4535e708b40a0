"""Standard output and error, as they are: closed, read to the first line only, or taking ASCII only."""

from __future__ import annotations

import codecs
import io
import os
import sys
from typing import Any

PLAIN = {"✓": "+", "✗": "x", "–": "-", "—": "-", "…": "...", "×": "x", "→": "->"}
PLAINLY = "onpaper-plainly"


def prepare() -> None:
    """Make both take whatever is written, to the end of this process."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        # A daemon may start us without them: what is said there then goes nowhere.
        setattr(sys, name, _taking_all(stream) if stream else open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


def take_unicode() -> bool:
    """Whether standard output takes every character; where it does not, formats for programs have escapes of their own."""
    return codecs.lookup(sys.stdout.encoding or "utf-8").name == "utf-8"


def write_no_more(descriptor: int) -> None:
    """Let nothing more be written there, where Python would try again at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


class _Descriptor(io.FileIO):
    """A reader that has enough (`| head`) ends what is said, but not what is done, nor the status that comes of it."""

    def write(self, data: Any) -> int | None:
        try:
            return super().write(data)
        except BrokenPipeError:
            write_no_more(self.fileno())
            return super().write(data)


def _taking_all(stream: Any) -> Any:
    if not isinstance(stream, io.TextIOWrapper):
        return stream  # of somebody who runs the command in their own process
    if not isinstance(getattr(stream.buffer, "raw", stream.buffer), io.FileIO):
        stream.reconfigure(errors=PLAINLY)
        return stream
    raw: Any = _Descriptor(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        raw if stream.write_through else io.BufferedWriter(raw),
        stream.encoding,
        PLAINLY,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _plainly(error: UnicodeError) -> tuple[str | bytes, int]:
    """How a stream that takes ASCII only shows a mark of ours; anything else becomes an escape."""
    if isinstance(error, UnicodeEncodeError):
        found = error.object[error.start]
        if found in PLAIN:
            return PLAIN[found], error.start + 1
    return codecs.backslashreplace_errors(error)


codecs.register_error(PLAINLY, _plainly)
