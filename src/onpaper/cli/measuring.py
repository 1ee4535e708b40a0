"""`onpaper truth`: how true the contracts are to recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from onpaper.cli import Json, app, console, print_json
from onpaper.errors import BadInput


@app.command(short_help="Compare what contracts play with what was recorded.")
def truth(
    providers: Annotated[list[str] | None, typer.Argument(help="Contracts; all that the folder has recordings of, unless given.")] = None,
    recordings: Annotated[list[Path] | None, typer.Option(help="A folder of cassettes, or one with a manifest.json. Default: every cassette there is.")] = None,
    missing: Annotated[bool, typer.Option("--missing", help="List each value that a contract cannot say.")] = False,
    unseen: Annotated[bool, typer.Option("--unseen", help="List each value that is played and in no recording.")] = False,
    at_least: Annotated[float, typer.Option(metavar="PERCENT", help="Exit 1 when a contract covers less, or nothing of it was recorded.")] = 0.0,
    as_json: Json = False,
) -> None:
    """Compare what contracts play with what recordings show, axis by axis.

    For each value of an axis (first delta, usage placement, error envelope, ...) seen in a recording: can the contract
    produce it? And does it produce anything that was never seen?
    """
    from onpaper import folders
    from onpaper.contract import Contract
    from onpaper.truth import compare, of, read_folder

    if not 0 <= at_least <= 100:
        raise BadInput(f"--at-least wants a percentage from 0 to 100, found {at_least:g}")
    found: dict[str, list[Any]] = {}
    for folder in recordings or folders.search_path("cassettes"):
        for name, rows in read_folder(folder).items():
            found.setdefault(name, []).extend(rows)
    compared = []
    for name in providers or folders.names("contracts"):
        own = of(Contract.load(name), found)
        if own or providers:
            compared.append(compare(Contract.load(name), own))
    if as_json:
        print_json([_as_json(one) for one in compared])
    else:
        _table(compared, missing, unseen)
    raise typer.Exit(1 if any(one.covered < at_least or (at_least and not one.recordings) for one in compared) else 0)


def _as_json(one: Any) -> dict[str, Any]:
    rows = [{"axis": r.axis, "value": r.value, "recordings": r.recordings, "played_by": r.played_by, "state": r.state} for r in one.rows]
    return {"contract": one.contract, "recordings": one.recordings, "covered": _share(one, one.covered), "backed": _share(one, one.backed), "rows": rows}


def _share(one: Any, share: float) -> float | None:
    """A percentage, or None of nothing."""
    return round(share, 1) if one.recordings else None


def _table(compared: list[Any], missing: bool, unseen: bool) -> None:
    from onpaper.report import table

    rows = []
    seen_in_all = covered_in_all = 0
    for one in compared:
        seen = [row for row in one.rows if row.recordings]
        seen_in_all += len(seen)
        covered_in_all += sum(row.state == "covered" for row in seen)
        shares = (f"{one.covered:.1f} %", f"{one.backed:.1f} %") if seen else ("nothing seen", "")
        rows.append((one.contract, str(one.recordings), str(len(seen)), *shares))
    if seen_in_all:
        share = 100 * covered_in_all / seen_in_all
        rows.append(("all", str(sum(one.recordings for one in compared)), str(seen_in_all), f"{share:.1f} %", ""))
    table.show(console(), ("contract", "recordings", "values seen", "covered", "played and seen"), rows)
    for one in compared:
        for state, wanted in (("missing", missing), ("unseen", unseen)):
            for row in one.rows_of(state) if wanted else ():
                print(f"{one.contract}  {state}  {row.axis}: {row.value}" + (f"  ({row.recordings} recordings)" if row.recordings else ""))
