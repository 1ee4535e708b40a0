"""`onpaper cassettes verify`: look through recordings before they are published."""

from __future__ import annotations

import datetime
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onpaper.cli import Json, app, console, print_json
from onpaper.errors import BadInput

if TYPE_CHECKING:
    from rich.text import Text

    from onpaper.cassettes.verify import Findings
    from onpaper.driving.verdict import Verdict

tapes = typer.Typer(no_args_is_help=True, help="Look after recordings.")
app.add_typer(tapes, name="cassettes")


@tapes.command("verify", short_help="Find secrets, age, missing provenance; judge every reply.")
def verify(
    folders: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FOLDER|FILE]...",
            help="Folders of <provider>/<case>.yaml, or files of any recorder. Default: cassettes/, else those of onpaper.",
        ),
    ] = None,
    max_age: Annotated[
        int | None,
        typer.Option("--max-age", min=0, max=36500, metavar="DAYS", help="Report recordings that are older."),
    ] = None,
    strict: Annotated[bool, typer.Option(help="A broken `should` makes the run red as well.")] = False,
    as_json: Json = False,
) -> None:
    """Find keys, private data and missing provenance in recordings; judge every reply by its contract.

    Exit 0: clean. 1: something must be put right. 2: the command cannot be carried out.
    """
    from onpaper import folders as places
    from onpaper.cassettes.verify import look_through
    from onpaper.report.summary import is_red

    if "" in (folders or ()):
        raise BadInput("a folder has an empty name: is a variable not set?")
    where = [Path(folder) for folder in folders or places.search_path("cassettes")[:1]]
    oldest = (
        None if max_age is None else datetime.datetime.now(datetime.UTC).date() - datetime.timedelta(max_age)
    )
    findings = look_through(where, oldest)
    if not findings.cassettes and not findings.problems:
        raise BadInput(
            f"{', '.join(map(str, where))}: holds no cassette (<provider>/<case>.yaml); "
            "record one with `onpaper record`"
        )
    red = [one for one in findings.verdicts if is_red(one, strict)]
    if as_json:
        print_json(_json(where, findings))
    else:
        _show(findings, strict)
    raise typer.Exit(1 if findings.problems or red else 0)


def _counts(verdicts: tuple[Verdict, ...]) -> Counter[str]:
    return Counter(str(one.verdict) for one in verdicts)


def _json(where: list[Path], findings: Findings) -> dict[str, Any]:
    return {
        "folders": [str(folder) for folder in where],
        "cassettes": len(findings.cassettes),
        "problems": list(findings.problems),
        "counts": dict(_counts(findings.verdicts)),
        "verdicts": [one.as_json() for one in findings.verdicts if one.verdict in ("broken", "known")],
    }


def _show(findings: Findings, strict: bool) -> None:
    from rich.text import Text

    out = console()
    for problem in findings.problems:
        out.print(Text("✗ ", "bold red").append(problem, "default"))
    for one in findings.verdicts:
        if one.verdict in ("broken", "known"):
            said = f"{one.case}: {one.clause} ({one.level}, by {one.backend}): {one.message.splitlines()[0]}"
            out.print(_mark(one, strict).append(said, "default"))
    counts = _counts(findings.verdicts)
    servers = len({cassette.name.partition("/")[0] for cassette in findings.cassettes})
    files = f"{len(findings.cassettes)} cassettes of {servers} servers, {len(findings.problems)} problems"
    replies = f"{counts['kept']} kept, {counts['broken']} broken, {counts['known']} known failures"
    out.print(Text(f"{files}; reply clauses: {replies}", "bold"))


def _mark(verdict: Verdict, strict: bool) -> Text:
    from rich.text import Text

    from onpaper.report.summary import is_red

    if verdict.verdict == "known":
        return Text("k ", "yellow")
    return Text("✗ ", "bold red") if is_red(verdict, strict) else Text("! ", "yellow")
