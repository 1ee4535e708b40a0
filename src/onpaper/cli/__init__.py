"""The command line's frame: the application, the terminal, and how bad input ends."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onpaper.errors import BadInput

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="On paper, every backend is OpenAI-compatible. onpaper checks what happens on the wire.",
)

USAGE = 2
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def main() -> None:
    """Run the command line: bad input is one sentence and exit 2, never a traceback."""
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

    try:
        app()
    except BadInput as error:
        print(f"onpaper: {error}", file=sys.stderr)
        sys.exit(USAGE)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)


def console(stderr: bool = False) -> Console:
    """A terminal that respects NO_COLOR and pipes; a pipe gets lines as long as they are."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    wide = None if stream.isatty() else 200
    return Console(stderr=stderr, width=wide, highlight=False, soft_wrap=not stream.isatty())


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False, default=str))
