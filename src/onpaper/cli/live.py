"""What every command that asks a live server shares: the key, the model, the question before it costs."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onpaper.errors import BadInput

if TYPE_CHECKING:
    from onpaper.cassettes.cases import Case
    from onpaper.cassettes.recorder import Endpoint
    from onpaper.contract import Contract

BaseUrl = Annotated[
    str, typer.Option("--base-url", metavar="URL", help="The server, as a client is given it: http://…/v1.")
]
KeyEnv = Annotated[
    str, typer.Option("--key-env", metavar="VAR", help="The environment variable that holds the key.")
]
Model = Annotated[
    str, typer.Option("--model", help="The model to ask. Default: the only one that is listed.")
]
Context = Annotated[
    int | None,
    typer.Option(
        "--context", min=1, metavar="TOKENS", help="The context window, to ask for more than it holds."
    ),
]
Scripted = Annotated[
    bool, typer.Option("--scripted", help="The server runs the scripted model of `onpaper model make`.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before requests that may cost money.")]

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def key_from(variable: str, contract: Contract | None = None) -> str:
    """The key in an environment variable; empty without one.

    Raises BadInput that never repeats what was given, since that may be the key itself.
    """
    if not variable:
        if contract is not None and contract.get("auth.required"):
            raise BadInput(
                f"{contract.name} wants a key: name the environment variable that holds it with --key-env"
            )
        return ""
    if not _VARIABLE.match(variable):
        raise BadInput("--key-env wants the name of an environment variable (letters, digits, _), not a key")
    key = os.environ.get(variable, "").strip()
    if not key:
        raise BadInput("the environment variable that --key-env names is not set, or empty")
    return key


def check_writable(folder: Path) -> None:
    """Raise BadInput when files cannot be written into a folder, or into the nearest one above that exists."""
    above = next(one for one in (folder, *folder.resolve().parents) if one.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        problem = "is not a folder" if not above.is_dir() else "cannot be written to"
        raise BadInput(f"{above}: {problem}, so nothing could be kept there; choose another folder")


def chosen_model(given: str, endpoint: Endpoint) -> str:
    """The model given, else the only one that the server lists. Raises BadInput that names what it lists."""
    from onpaper.cassettes.asking import model_names

    if given:
        return given
    names = asyncio.run(model_names(endpoint))
    if len(names) > 1:
        shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        raise BadInput(f"name one model with --model; the server lists {shown}")
    return names[0]


def ask_first(cases: Sequence[Case], endpoint: Endpoint, costly: bool, yes: bool) -> None:
    """Say what asking costs at most, in requests and tokens; where that may be money, ask whether to go on.

    Ends the command with 1 on a no. Raises BadInput where there is nobody to ask.
    """
    from onpaper.cassettes.cases import bill

    due = bill(cases)
    where = f"{endpoint.url.hostname}, model {endpoint.model}"
    print(
        f"{due.requests} requests to {where}: at most {due.tokens:,} tokens in and out"
        + (f", {due.refused:,} of them only if what should be refused is answered." if due.refused else "."),
        file=sys.stderr,
    )
    if yes or not costly:
        return
    if not sys.stdin.isatty():
        raise BadInput("these requests may cost money: add --yes to make them without being asked")
    if not typer.confirm("Go on?", err=True):
        raise typer.Exit(1)
