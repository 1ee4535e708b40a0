"""`onpaper model make`: a tiny model for any real engine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onpaper.cli import Json, app, print_json
from onpaper.errors import BadInput, nearest

models = typer.Typer(no_args_is_help=True, help="Make a tiny model, to record a real engine without a GPU.")
app.add_typer(models, name="model")

FOR = {
    "gguf": "llama-server --jinja -m {path}",
    "llama": "vllm serve {path} --dtype float32 --enable-auto-tool-choice --tool-call-parser hermes",
    "qwen2": "transformers serve {path}",
}
"""A command that serves each format."""


@models.command("make", short_help="Make a real transformer of 3 million weights, in a second.")
def make(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the files go; made if it is missing.")],
    kind: Annotated[str, typer.Option(help="scripted: says known texts; random: says noise.")] = "scripted",
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="gguf, llama or qwen2; may be repeated. Default: all."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the random weights.")] = 7,
    as_json: Json = False,
) -> None:
    """Make a real transformer of 3 million weights, in a second, without a download.

    Its `scripted` kind says known texts, tool calls, thoughts and split characters, chosen by a [[marker]] in the
    last message, so that `onpaper record … --scripted` records the same from every engine. Prints each file with
    a command that serves it.
    """
    from onpaper import model

    for name in formats or ():
        if name not in model.FORMATS:
            raise BadInput(f"there is no format {name!r}{nearest(name, model.FORMATS)}")
    if kind not in model.KINDS:
        raise BadInput(f"there is no kind {kind!r}{nearest(kind, model.KINDS)}")
    wanted = tuple(one for one in model.FORMATS if not formats or one in formats)
    made = dict(zip(wanted, model.make(folder, kind, wanted, seed), strict=True))
    if as_json:
        print_json({"kind": kind, "files": {one: str(path) for one, path in made.items()}})
        return
    for one, path in made.items():
        print(f"{path}  # {FOR[one].format(path=path)}")
