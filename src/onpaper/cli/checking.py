"""`onpaper check`: run the suite over backends."""

from __future__ import annotations

import json
import sys
import time
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onpaper import streams
from onpaper.cli import app, console, print_json
from onpaper.errors import BadInput, nearest

if TYPE_CHECKING:
    from onpaper.suite.check import Progress


@app.command(short_help="Judge backends: which promise is broken, and the bytes.")
def check(
    backends: Annotated[
        list[str] | None,
        typer.Argument(help="Declared backends, or module:factory. Default: all that are declared, else the three reference backends."),
    ] = None,
    contract: Annotated[str, typer.Option(help="The provider that an ad hoc factory talks to.")] = "",
    env: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for an ad hoc factory; {key} and {base_url} are the gateway's.")] = None,
    arg: Annotated[list[str] | None, typer.Option(help="NAME=VALUE: a further argument of an ad hoc factory; JSON, or text.")] = None,
    can: Annotated[list[str] | None, typer.Option(help="NAME=STATE: a capability of an ad hoc factory: yes, refuses or ignores.")] = None,
    model: Annotated[str, typer.Option(help="The model's name for an ad hoc factory.")] = "",
    clause: Annotated[list[str] | None, typer.Option("--clause", "-c", help="Only this clause or topic; may be repeated.")] = None,
    strict: Annotated[bool, typer.Option(help="A broken `should` makes the run red as well.")] = False,
    json_file: Annotated[str | None, typer.Option("--json", metavar="FILE", help="Write a JSON array, an object per verdict; - is standard output.")] = None,
    junit: Annotated[str | None, typer.Option(metavar="FILE", help="Write JUnit XML; - is standard output.")] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=0, help="Processes; 0: two per core.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No matrix, only what is broken.")] = False,
) -> None:
    """Run the contract suite and say which promise was broken, with the bytes that prove it.

    Exit 0: all kept. 1: a `must` is broken (with --strict: or a `should`), or of a backend nothing was judged (with
    --clause: of all of them). 2: the command cannot be carried out.
    """
    from onpaper.report import files
    from onpaper.report.summary import red
    from onpaper.suite import check as running

    if "" in (json_file, junit):
        raise BadInput("--json and --junit want a file, found an empty name: is a variable not set?")
    if json_file == junit == "-":
        raise BadInput("--json - and --junit - would mix on standard output: give one of them a file")
    if json_file and junit and Path(json_file).resolve() == Path(junit).resolve():
        raise BadInput(f"--json and --junit both want {junit}, where one would replace the other: give each a file of its own")
    for path in (json_file, junit):
        if path and path != "-":
            files.check_writable(path)
    chosen = chosen_backends(backends or [], contract, env or [], arg or [], can or [], model)
    patterns = tuple(clause or ())
    start = time.monotonic()
    verdicts = running.check(chosen, patterns, jobs or None, _shown)
    seconds = time.monotonic() - start
    with ExitStack() as reports:  # each is given, the last one here first, whatever becomes of the others
        if "-" not in (json_file, junit):
            from onpaper.report import terminal

            reports.callback(terminal.report, console(), verdicts, strict, seconds, quiet, whole=not patterns)
        if junit == "-":
            reports.callback(_print_xml, files.as_junit(verdicts, strict))
        elif junit:
            reports.callback(files.write, junit, files.as_junit(verdicts, strict))
        if json_file == "-":
            reports.callback(print_json, [one.as_json() for one in verdicts])
        elif json_file:
            reports.callback(files.write, json_file, files.as_json(verdicts))
        reports.callback(files.job_summary, verdicts, strict)
    raise typer.Exit(1 if red(verdicts, strict, whole=not patterns) else 0)


def _print_xml(text: str) -> None:
    if not streams.take_unicode():
        text = text.encode("ascii", "xmlcharrefreplace").decode()
    print(text, end="", flush=True)


def _shown() -> AbstractContextManager[Progress]:
    """The progress of a run, on a terminal. What draws it is imported while others work."""
    from onpaper.report import terminal

    return terminal.progress(console(stderr=True))


def chosen_backends(names: list[str], contract: str, env: list[str], args: list[str], can: list[str], model: str) -> list[Any]:
    from onpaper.driving import declaration

    names = list(dict.fromkeys(names))
    adhoc = [name for name in names if ":" in name]
    if not adhoc and (contract or env or args or can or model):
        found = f", found {names[0]!r}" if names else ""
        raise BadInput(f"--contract, --env, --arg, --can and --model are for a factory given as module:factory{found}; declared backends say theirs in pyproject.toml")
    if adhoc and not contract:
        from onpaper import folders

        raise BadInput(f"{adhoc[0]!r} needs --contract: which provider does it talk to? Known: {', '.join(folders.names('contracts'))}.")
    chosen = [
        declaration.declare(
            short if len(adhoc) == 1 and (short := name.rpartition(":")[2]) not in names else name,
            {
                "factory": name,
                "contract": contract,
                "env": declaration.pairs(env, "--env"),
                "args": {key: _json_or_text(value) for key, value in declaration.pairs(args, "--arg").items()},
                "capabilities": declaration.pairs(can, "--can"),
                "model": model,
            },
        )
        for name in adhoc
    ]
    wanted = [name for name in names if ":" not in name]
    if wanted or not chosen:
        own = declaration.own()
        if not own:  # somewhere else than in the project's folder, that would be taken for the project's own
            print(f"no backend is declared in {Path.cwd() / 'pyproject.toml'}: these are the reference backends of onpaper", file=sys.stderr)
        declared = own or declaration.read()
        for name in wanted:
            if name not in declared:
                raise BadInput(f"no backend {name!r} is declared{nearest(name, declared)} An ad hoc one is given as module:factory.")
        chosen += [declared[name] for name in wanted or declared]
    return chosen


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value
