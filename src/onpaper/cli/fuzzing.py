"""`onpaper fuzz`: the properties, for longer than CI runs them."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from onpaper.cli import app, console
from onpaper.cli.checking import chosen_backends
from onpaper.errors import BadInput, nearest


@app.command(short_help="Look for cases that break a property, for longer than CI.")
def fuzz(
    backend: Annotated[str, typer.Argument(help="A declared backend, or module:factory.")],
    contract: Annotated[str, typer.Option(help="The provider that an ad hoc factory talks to.")] = "",
    env: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for an ad hoc factory; {key} and {base_url} are the gateway's.")] = None,
    arg: Annotated[list[str] | None, typer.Option(help="NAME=VALUE: a further argument of an ad hoc factory.")] = None,
    can: Annotated[list[str] | None, typer.Option(help="NAME=STATE: a capability of an ad hoc factory.")] = None,
    model: Annotated[str, typer.Option(help="The model's name for an ad hoc factory.")] = "",
    seconds: Annotated[float, typer.Option(min=1, help="How long to look.")] = 60.0,
    seed: Annotated[int, typer.Option(help="Where to begin; the same seed looks at the same cases.")] = 0,
    clause: Annotated[list[str] | None, typer.Option("--clause", "-c", help="Only this property; may be repeated.")] = None,
    example_db: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep what is found here, and try it first.")] = None,
) -> None:
    """Look for a case that breaks a property, and write the smallest one down as a mock file and a pytest test.

    Exit 0: nothing found. 1: something was.
    """
    from hypothesis.database import DirectoryBasedExampleDatabase

    from onpaper.strategies.properties import properties
    from onpaper.suite.check import quiet
    from onpaper.suite.judge import Judge

    declared = chosen_backends([backend], contract, env or [], arg or [], can or [], model)[0]
    known = properties()
    for name in clause or ():
        if name not in known:
            raise BadInput(f"no property is called {name!r}{nearest(name, known)}")
    rules = [known[name] for name in clause] if clause else list(known.values())
    database = DirectoryBasedExampleDatabase(example_db) if example_db else None
    quiet()
    until = time.monotonic() + seconds
    with Judge() as judge:
        found = _rounds(judge.stage(declared), rules, seed, until, database)
    if not found:
        print(f"nothing found in {seconds:g} s")
        raise typer.Exit(0)
    _report(found, declared)
    raise typer.Exit(1)


def _rounds(stage: Any, rules: list[Any], seed: int, until: float, database: Any) -> list[Any]:
    """Search property after property, round after round, each with a seed of its own; one that is broken is done."""
    from onpaper.strategies.search import search
    from onpaper.strategies.staged import subject_on

    found: list[Any] = []
    tried = 0
    left = list(rules)
    status = console(stderr=True)
    with subject_on(stage) as (subject, run):
        left = [rule for rule in left if not rule.applies(subject)]
        while left and time.monotonic() < until:
            for rule in list(left):
                if time.monotonic() >= until:
                    break
                counterexample = search(rule, subject, run, seed=seed, database=database)
                tried += rule.examples
                if counterexample is not None:
                    found.append(counterexample)
                    left.remove(rule)
                if status.is_terminal:
                    print(f"\r{tried} cases, {len(found)} found, {max(0, until - time.monotonic()):.0f} s left   ", end="", file=sys.stderr)
            seed += 1
    if status.is_terminal:
        print(file=sys.stderr)
    print(f"{tried} cases tried, up to seed {seed - 1}", file=sys.stderr)
    return found


def _report(found: list[Any], declared: Any) -> None:
    from onpaper.driving.stage import KEY
    from onpaper.strategies.written import as_mock, as_test, name_of

    for one in found:
        print(f"\n# {one.property.id}: {one.property.rule}\n# smallest case: {one.case}".replace(KEY, "<key>"))
        print("# " + str(one.broken).replace("\n", "\n# ").replace(KEY, "<key>"))
        mock = as_mock(one)
        if mock:
            print(f"\n# ---- mocks/{name_of(one)}.toml\n{mock}")
        print(f"# ---- tests/test_{name_of(one).replace('-', '_')}.py\n{as_test(one, declared.factory, declared.contract.name, declared.model_name, declared.env)}")
