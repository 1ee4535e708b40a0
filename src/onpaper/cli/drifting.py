"""`onpaper drift`: ask a live server what it was recorded with, and say what has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onpaper.cli import Json, app, console, print_json
from onpaper.cli.live import BaseUrl, KeyEnv, Model, Yes, ask_first, check_writable, chosen_model, key_from
from onpaper.cli.outcome import give_up
from onpaper.cli.recording import needs_url
from onpaper.errors import BadInput, nearest

if TYPE_CHECKING:
    from onpaper.cassettes import Cassette
    from onpaper.cassettes.cases import Case
    from onpaper.cassettes.drift import Change
    from onpaper.cassettes.recorder import Endpoint
    from onpaper.cli.progress import Telling


@app.command(short_help="Record again and say what has changed.")
def drift(
    provider: Annotated[str, typer.Argument(help="The folder of recordings: cassettes/<provider>/.")],
    cases: Annotated[
        list[str] | None, typer.Argument(metavar="[CASE]...", help="Only these recordings.")
    ] = None,
    base_url: BaseUrl = "",
    key_env: KeyEnv = "",
    model: Model = "",
    keep: Annotated[
        Path | None,
        typer.Option("--keep", metavar="DIR", help="Write the new recordings to DIR/<provider>/."),
    ] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Ask a live server every recorded request again and compare the structure of its answers, axis by axis.

    Says what is new, what is gone, and which contract, mock or cassette is wrong because of it. The new
    recordings stay in memory unless --keep is given.

    Exit 0: nothing has changed. 1: something has, or could not be compared. 2: it cannot be carried out.
    """
    from onpaper.cassettes.asking import endpoint_of, spends
    from onpaper.cassettes.drift import again, drift
    from onpaper.cli.progress import Telling
    from onpaper.contract import Contract

    needs_url(base_url)
    if keep is not None:
        check_writable(keep / provider)
    recorded = _recorded(provider, cases or ())
    contract = Contract.load(next(iter(recorded.values())).contract)
    key = key_from(key_env, contract)
    model = chosen_model(model, endpoint_of(contract, base_url, "", key))
    endpoint = endpoint_of(contract, base_url, model, key)
    asked, problems = _asked(recorded, lambda one: again(one, endpoint, contract))
    ask_first(asked, endpoint, spends(contract, endpoint), yes)
    with Telling(len(asked), quiet=as_json) as telling:
        now, failed = asyncio.run(_record(endpoint, asked, telling))
    problems |= failed
    changes = drift(recorded, now, contract)
    if keep is not None:
        _keep(now, keep / provider, key)
    if as_json:
        print_json(_json(provider, contract.name, sorted(now), problems, changes))
    else:
        _show(changes, len(now), problems)
    raise typer.Exit(1 if changes or problems else 0)


def _recorded(provider: str, cases: Sequence[str]) -> dict[str, Cassette]:
    """The recordings of a provider by case. Raises BadInput when there are none of that name."""
    from onpaper import folders
    from onpaper.cassettes import find, load

    places = [find([folder]) for folder in folders.search_path("cassettes")]
    own = ({name.partition("/")[2]: path for name, path in found.items() if name.startswith(f"{provider}/")} for found in places)
    of_provider = next(filter(None, own), {})  # the project's own, else onpaper's: they are of different set-ups
    if not of_provider:
        known = {name.partition("/")[0] for found in places for name in found}
        raise BadInput(f"there are no recordings of {provider!r}{nearest(provider, known)}")
    for case in cases:
        if case not in of_provider:
            raise BadInput(f"{provider!r} has no recording {case!r}{nearest(case, of_provider, listed='onpaper list cassettes')}")
    loaded = {case: load(path) for case, path in of_provider.items() if not cases or case in cases}
    return {case: one for case, one in loaded.items() if one.exchanges[0].reply}


def _asked(recorded: Mapping[str, Cassette], case_of: Any) -> tuple[list[Case], dict[str, str]]:
    """The requests to make again, and which cannot be made, with the reason."""
    from onpaper.cassettes import CassetteError

    asked: list[Case] = []
    problems: dict[str, str] = {}
    for name, cassette in recorded.items():
        try:
            asked.append(case_of(cassette))
        except CassetteError as error:
            problems[name] = str(error).removeprefix(f"{cassette.name}: ")
    return asked, problems


async def _record(
    endpoint: Endpoint, cases: Sequence[Case], telling: Telling
) -> tuple[dict[str, Cassette], dict[str, str]]:
    from onpaper.cassettes import Cassette
    from onpaper.cassettes.recorder import record

    now: dict[str, Cassette] = {}
    problems: dict[str, str] = {}
    async for case, result in record(endpoint, cases, keep_refusals=True):
        telling.step()
        if isinstance(result, Cassette):
            now[case.name] = result
            continue
        if not now and not problems:
            give_up(result)
        problems[case.name] = str(result).removeprefix(f"{case.name}: ")
    return now, problems


def _keep(now: Mapping[str, Cassette], folder: Path, key: str) -> None:
    from onpaper.cassettes import save
    from onpaper.cassettes.recorder import WRONG_KEY

    for case, cassette in now.items():
        save(cassette, folder / f"{case}.yaml", canaries=[key, WRONG_KEY])


def _json(
    provider: str, contract: str, compared: list[str], problems: Mapping[str, str], changes: Sequence[Change]
) -> dict[str, Any]:
    return {
        "provider": provider,
        "contract": contract,
        "compared": compared,
        "not compared": dict(problems),
        "changes": [
            {"axis": one.axis, "value": one.value, "state": one.state, "cases": one.cases, "wrong": one.wrong}
            for one in changes
        ],
    }


def _show(changes: Sequence[Change], compared: int, problems: Mapping[str, str]) -> None:
    from rich.text import Text

    from onpaper.report import table

    out = console()
    if changes:
        signs = {"new": Text("+ new", "green")}
        gone = Text("- gone", "red")
        rows = [(one.axis, signs.get(one.state, gone), one.value, "\n".join(one.wrong)) for one in changes]
        table.show(out, ("axis", "", "value", "now wrong"), rows)
    for case, problem in problems.items():
        out.print(Text("✗ ", "bold red").append(f"{case}: not compared: {problem}", "default"))
    wrong = sorted({text for one in changes for text in one.wrong if text.startswith("cassette")})
    said = (
        f"{len(changes)} changes in {len(wrong)} of {compared} recordings"
        if changes
        else f"{compared} recordings, no drift"
    )
    out.print(Text(said, "bold red" if changes else "bold green"))
