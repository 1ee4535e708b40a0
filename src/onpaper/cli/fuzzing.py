"""`onpaper fuzz`: the properties, for longer than CI runs them."""

from __future__ import annotations

import contextlib
import itertools
import math
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from onpaper.cli import app, console
from onpaper.cli.checking import chosen_backends
from onpaper.cli.live import check_writable
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
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The project: what is found goes to its mocks/ and tests/.")] = Path(),
    example_db: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep what is found here, and try it first.")] = None,
) -> None:
    """Look for a case that breaks a property, and write the smallest one down as a mock file and a pytest test.

    They go to mocks/found-….toml and tests/test_found_….py; no file is overwritten.

    Exit 0: nothing found. 1: something was. 2: the command cannot be carried out. 130: interrupted.
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
    if math.isnan(seconds):
        raise BadInput("--seconds wants a number of seconds, found nan")
    for folder in (out / "mocks", out / "tests", *([example_db] if example_db else [])):
        check_writable(folder)
    rules = [known[name] for name in clause] if clause else list(known.values())
    database = DirectoryBasedExampleDatabase(example_db) if example_db else None
    again = _again(backend, contract, env or [], arg or [], can or [], model)
    quiet()
    until = time.monotonic() + seconds
    with _stopping() as stopped, Judge() as judge:
        found = 0
        try:
            for counterexample, begun in _rounds(judge.stage(declared), rules, seed, until, database, stopped):
                found += 1
                _tell(counterexample, declared, out, f"{again} --clause {counterexample.property.id} --seed {begun}")
        except TimeoutError as error:
            raise BadInput(f"the backend was stopped: {error}; `onpaper check {backend}` shows what makes it hang") from None
    if stopped:
        print(f"interrupted; {found or 'nothing'} found", file=sys.stderr)
        raise typer.Exit(128 + stopped[0])
    if not found:
        print(f"nothing found in {seconds:g} s")
    raise typer.Exit(1 if found else 0)


@contextlib.contextmanager
def _stopping() -> Iterator[list[int]]:
    """Where the number of the signal appears that wants an end: an exception could be taken for the backend's own. The
    second signal ends everything at once."""
    seen: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: Any) -> None:
        seen.append(number)
        for one, handler in before.items():
            signal.signal(one, handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _again(backend: str, contract: str, env: list[str], arg: list[str], can: list[str], model: str) -> str:
    """The command that looks again, as it was given."""
    options = [("--contract", [contract]), ("--env", env), ("--arg", arg), ("--can", can), ("--model", [model])]
    parts = [part for option, values in options for value in values if value for part in (option, value)]
    return shlex.join(["onpaper", "fuzz", backend, *parts])


def _rounds(stage: Any, rules: list[Any], seed: int, until: float, database: Any, stopped: list[int]) -> Iterator[tuple[Any, int]]:
    """Search property after property, round after round, each with a seed of its own; one that is broken is done.

    Yields what is found, as soon as it is, with the seed.
    """
    from onpaper.strategies.search import Enough, search
    from onpaper.strategies.staged import subject_on

    found = tried = 0
    status = console(stderr=True)

    def ended() -> bool:
        return bool(stopped) or time.monotonic() >= until

    with subject_on(stage) as (subject, run):

        def running(work: Any) -> Any:
            if stopped:
                work.close()
                raise Enough
            return run(work)

        left = [rule for rule in rules if not rule.applies(subject)]
        if not left:
            reasons = dict.fromkeys(rule.applies(subject) for rule in rules)
            raise BadInput(f"there is nothing to look for: {'; '.join(reasons)}")
        while left and not ended():
            for rule in tuple(left):
                if ended():
                    break
                try:
                    counterexample = search(rule, subject, running, seed=seed, database=database)
                except Enough:
                    break
                tried += rule.examples
                if counterexample is not None:
                    found += 1
                    left.remove(rule)
                if status.is_terminal:
                    print(f"\r{tried} cases, {found} found, {max(0, until - time.monotonic()):.0f} s left   ", end="", file=sys.stderr)
                if counterexample is not None:
                    yield counterexample, seed
            seed += 1
    if status.is_terminal:
        print(file=sys.stderr)
    print(f"{tried} cases tried, up to seed {seed - 1}", file=sys.stderr)


def _tell(found: Any, declared: Any, out: Path, again: str) -> None:
    """Print a case, and what is written of it and where."""
    from onpaper.driving.stage import KEY

    print(f"\n{found.property.id}: {found.property.rule}\nsmallest case: {found.case}\n{found.broken}".replace(KEY, "<key>"))
    for path, new in _written(found, declared, out, again):
        print(f"{'written' if new else 'was there already'}: {path}", flush=True)


def _written(found: Any, declared: Any, out: Path, again: str) -> Iterator[tuple[Path, bool]]:
    """Write the mock and the test of a case, beside what is there: nothing is overwritten. Yields each path, and whether
    it is new. Raises BadInput."""
    from onpaper.strategies.written import as_mock, as_test, name_of

    for number in itertools.count(1):
        name = name_of(found) + (f"-{number}" if number > 1 else "")
        test = as_test(found, declared.factory, declared.contract.name, declared.model_name, declared.env, name=name, again=again)
        files = {out / "mocks" / f"{name}.toml": as_mock(found), out / "tests" / f"test_{name.replace('-', '_')}.py": test}
        files = {path: text for path, text in files.items() if text}
        if all(not path.exists() or path.read_text("utf-8") == text for path, text in files.items()):
            break
    for path, text in files.items():
        new = not path.exists()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        except OSError as error:
            raise BadInput(f"{path}: cannot be written: {error.strerror}; give another folder with --out") from None
        yield path, new
