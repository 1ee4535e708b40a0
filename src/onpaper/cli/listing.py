"""`onpaper list`, `explain` and `show`: what there is, and what it means."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer

from onpaper.cli import USAGE, Json, app, console, print_json
from onpaper.errors import BadInput


@app.command(short_help="Explain a clause: why it exists, and how to keep it.")
def explain(clause: Annotated[str, typer.Argument(help="A clause's id, such as sse/bom.")], as_json: Json = False) -> None:
    """Explain a clause: the rule, why it exists, a minimal failing wire, and how a client is put right."""
    from onpaper.clauses import nearest_clause, register
    from onpaper.report import explanation

    clauses = register()
    if clause not in clauses:
        raise BadInput(f"there is no clause {clause!r}{nearest_clause(clause)}")
    said = explanation.of(clauses[clause])
    if as_json:
        print_json(said)
    else:
        explanation.show(console(), said)


listing = typer.Typer(no_args_is_help=True, help="List clauses, contracts, mocks, backends, cassettes or faults.")
app.add_typer(listing, name="list")


def _table(rows: list[dict[str, Any]], columns: list[str], as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    from onpaper.report import table

    table.show(console(), columns, [[str(row.get(column) or "") for column in columns] for row in rows])


def _loaded(names: Iterable[Any], load: Callable[[Any], Any]) -> tuple[list[Any], list[BadInput]]:
    """What can be loaded, and what is wrong with the others."""
    found, bad = [], []
    for name in names:
        try:
            found.append(load(name))
        except BadInput as error:
            bad.append(error)
    return found, bad


def _refuse(bad: list[BadInput]) -> None:
    """End with 2 when there were files that could not be loaded, after all others are listed."""
    for error in bad:
        print(f"onpaper: {error}", file=sys.stderr)
    if bad:
        raise typer.Exit(USAGE)


@listing.command("clauses", short_help="Every clause with its level, rule and source.")
def clauses(as_json: Json = False) -> None:
    """Every clause: id, level, kind, rule, source, and the numbers of the catalogue that it covers."""
    from onpaper.clauses import register
    from onpaper.clauses.catalogue import LEFT_OUT

    rows = [
        {
            "id": one.id,
            "level": one.level + (" (policy)" if one.policy else ""),
            "kind": one.kind,
            "rule": one.rule,
            "source": one.source,
            "covers": ", ".join(map(str, one.covers)),
        }
        for one in register().values()
    ]
    if as_json:
        print_json({"clauses": rows, "left out": [{"number": number, "reason": reason} for number, reason in LEFT_OUT.items()]})
        return
    _table(rows, ["id", "level", "kind", "rule", "covers", "source"], False)
    print(f"\n{len(rows)} clauses. Left out of the catalogue's 187, with the reason:")
    for number, reason in LEFT_OUT.items():
        print(f"  {number:>3}  {reason}")


@listing.command("contracts", short_help="Every contract: the project's own, and onpaper's.")
def contracts(as_json: Json = False) -> None:
    """Every contract: the project's own, and those that come with onpaper."""
    from onpaper import folders
    from onpaper.contract import Contract

    found, bad = _loaded(folders.names("contracts"), Contract.load)
    rows = [
        {"name": one.name, "kind": one.get("kind"), "metered": "yes" if one.metered else "no", "protocol": one.protocol, "summary": one.get("summary")}
        for one in found
    ]
    _table(rows, ["name", "kind", "metered", "protocol", "summary"], as_json)
    _refuse(bad)


@listing.command("mocks", short_help="Every mock: what the gateway can say, and how it goes wrong.")
def mocks(as_json: Json = False) -> None:
    """Every mock: what the fake gateway can say, and how it can go wrong."""
    from onpaper import folders
    from onpaper.mock import Mock

    found, bad = _loaded(folders.names("mocks"), Mock.load)
    _table([{"name": one.name, "protocol": one.protocol or "any", "about": one.about} for one in found], ["name", "protocol", "about"], as_json)
    _refuse(bad)


@listing.command("faults")
def faults(as_json: Json = False) -> None:
    """Every fault that a mock can script, with its parameters."""
    from onpaper.gateway.faults import known_faults

    rows = [
        {
            "name": name,
            "parameters": ", ".join(p.name if p.required else f"{p.name}={p.default!r}" for p in one.parameters),
            "about": one.about,
        }
        for name, one in known_faults().items()
    ]
    _table(rows, ["name", "parameters", "about"], as_json)


@listing.command("backends")
def backends(as_json: Json = False) -> None:
    """The backends that are declared here, or the reference ones."""
    from onpaper.driving import declaration

    rows = [
        {"name": one.name, "factory": one.factory, "contract": one.contract.name, "env": ", ".join(one.env), "known failures": len(one.known_failures)}
        for one in declaration.read().values()
    ]
    _table(rows, ["name", "factory", "contract", "env", "known failures"], as_json)


@listing.command("cassettes")
def cassettes(as_json: Json = False) -> None:
    """Every cassette with its provenance."""
    from onpaper import folders
    from onpaper.cassettes import find, load

    found, bad = _loaded(find(folders.search_path("cassettes")).values(), load)
    rows = []
    for one in found:
        origin = one.provenance
        rows.append(
            {
                "name": one.name,
                "contract": one.contract,
                "exchanges": len(one.exchanges),
                "recorded": origin.recorded if origin else "",
                "server": origin.server if origin else "no provenance",
            }
        )
    _table(rows, ["name", "contract", "exchanges", "recorded", "server"], as_json)
    _refuse(bad)


@app.command(short_help="Print a contract, each fact with its source.")
def show(contract: Annotated[str, typer.Argument(help="A contract's name, such as openai.")], as_json: Json = False) -> None:
    """Print a resolved contract, each line with the file and the source it came from."""
    import json

    from onpaper.contract import Contract

    found = Contract.load(contract)
    rows = []
    for path, value in found.facts():
        file, source = found.source_of(path)
        said = dict(source or {})
        rows.append({"fact": path, "value": value, "file": file, "source": said.get("url") or said.get("cassette") or "", "date": str(said.get("date", "")), "verified": said.get("verified", True)})
    if as_json:
        print_json(rows)
        return
    for row in rows:
        row["value"] = json.dumps(row["value"], ensure_ascii=False, default=str)
        row["source"] = f"{row['source']}{' ' + row['date'] if row['date'] else ''}{'' if row['verified'] else ' (not verified)'}"
    _table(rows, ["fact", "value", "file", "source"], False)
