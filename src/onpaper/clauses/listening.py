"""Everything that a process says while something runs: log records, what is printed, warnings."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any, TextIO


class _Records(logging.Handler):
    """Keeps every record with its arguments, as text."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.NOTSET)
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        try:
            said = f"{record.name}: {record.getMessage()} {record.args!r} {record.exc_text or ''}"
        except Exception as error:
            said = f"{record.name}: {error!r}"
        self.lines.append(f"a log record: {said}")


class _Copied:
    """A stream of text that passes on what is written, and keeps a copy."""

    def __init__(self, inner: TextIO, lines: list[str]) -> None:
        self._inner, self._lines = inner, lines

    def write(self, text: str) -> int:
        self._lines.append(f"what is printed: {text}")
        return self._inner.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@contextlib.contextmanager
def listening() -> Iterator[list[str]]:
    """Keep what is logged at any level by any logger, printed to stdout or stderr, and warned of. Yields the lines, each
    with where it was said."""
    lines: list[str] = []
    with (
        _every_logger(_Records(lines)),
        contextlib.redirect_stdout(_Copied(sys.stdout, lines)),  # type: ignore[type-var]
        contextlib.redirect_stderr(_Copied(sys.stderr, lines)),  # type: ignore[type-var]
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        try:
            yield lines
        finally:
            lines += [f"a warning: {one.message}" for one in caught]


@contextlib.contextmanager
def _every_logger(handler: logging.Handler) -> Iterator[None]:
    """Let the handler see every record of every logger, whatever is configured."""
    root = logging.getLogger()
    named = [one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger)]
    kept = [(one, one.level, one.propagate, one.disabled) for one in (root, *named)]
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    for logger in named:
        logger.setLevel(logging.NOTSET)
        logger.propagate, logger.disabled = True, False
    try:
        yield
    finally:
        root.removeHandler(handler)
        for logger, level, propagate, disabled in kept:
            logger.setLevel(level)
            logger.propagate, logger.disabled = propagate, disabled
