"""The command line's frame: the application, the terminal, and how bad input ends."""

from __future__ import annotations

import atexit
import contextlib
import errno
import gc
import json
import os
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onpaper import streams
from onpaper.errors import BadInput

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

UsageError: Any = typer.BadParameter.__base__
"""Of typer's own click, or of the one beside it: which depends on typer's version."""

USAGE = 2
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM
PIPE_WIDTH = 100_000
"""Columns of what is no terminal: a report that is cut off there is lost."""
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def _version(asked: bool) -> None:
    if asked:
        from onpaper import __version__

        print(f"onpaper {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version and exit.")] = False,
) -> None:
    """On paper, every backend is OpenAI-compatible. onpaper checks what happens on the wire."""


def main() -> None:
    """Run the command line: bad input is one sentence and exit 2, never a traceback."""
    try:
        os.getcwd()
    except OSError:
        print("onpaper: the working directory is gone; change to one that is there", file=sys.stderr)
        sys.exit(USAGE)
    gc.set_threshold(50_000, 20, 20)  # imports make much, and no garbage
    atexit.register(gc.freeze)  # nor does the end of a process need any looked for
    if sys.argv[1:2] == ["check"] and not {"-h", "--help"} & set(sys.argv):
        from onpaper.suite.processes import prepare

        prepare()  # the imports of its processes take as long as those of this one
    from onpaper.cli import (  # noqa: F401 - importing a module enters its commands
        cassettes,
        checking,
        drifting,
        fuzzing,
        listing,
        measuring,
        modelling,
        recording,
        serving,
        tapping,
    )

    streams.prepare()
    try:
        with _ending_on_sigterm():
            status = app(standalone_mode=False)
            sys.stdout.flush()
            sys.exit(status)
    except BadInput as error:
        print(f"onpaper: {error}", file=sys.stderr)
        sys.exit(USAGE)
    except UsageError as error:
        _refuse(error)
        sys.exit(USAGE)
    except typer.Abort:
        sys.exit(INTERRUPTED)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print(f"onpaper: what there is to say cannot be written: {error.strerror}", file=sys.stderr)
        streams.write_no_more(1)
        sys.exit(USAGE)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


@contextlib.contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does, so that what it has started ends with it."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _refuse(error: Any) -> None:
    """Say in one sentence what is wrong with the options; without any, show what there is."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return
    command = error.ctx.command_path if error.ctx is not None else "onpaper"
    print(f"onpaper: {error.format_message().rstrip('.')} (see {command} --help)", file=sys.stderr)


def console(stderr: bool = False) -> Console:
    """A terminal that respects NO_COLOR and pipes; a pipe gets lines as long as they are."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    wide = None if stream.isatty() else PIPE_WIDTH
    return Console(stderr=stderr, width=wide, highlight=False, soft_wrap=not stream.isatty())


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=not streams.take_unicode(), default=str), flush=True)
