"""`onpaper record NAME --new`: record a provider without a contract, probe its parameters, draft one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from onpaper.cli import console, print_json
from onpaper.cli.live import ask_first
from onpaper.cli.outcome import Outcome, record_all
from onpaper.errors import BadInput

if TYPE_CHECKING:
    from onpaper.cassettes import Cassette
    from onpaper.cassettes.recorder import Endpoint
    from onpaper.cli.progress import Telling
    from onpaper.probe.parameters import Probed
    from onpaper.truth import Truth

CONTRACTS = Path("contracts")


@dataclass(frozen=True)
class Drafted:
    """What came of it: the file, what is known of each parameter, how much of the recordings it can say."""

    path: Path
    outcomes: list[Outcome]
    parameters: list[Probed]
    truth: Truth


def check_name(name: str) -> Path:
    """The file that the draft will be. Raises BadInput when the name is none, or is taken."""
    from onpaper import folders

    if not folders.NAME.match(name):
        raise BadInput(f"{name!r} cannot be the name of a contract: names are like 'my-gateway'")
    if name in folders.names("contracts"):
        path = folders.find("contracts", name)
        raise BadInput(
            f"there is a contract {name!r} already ({path}): record it without --new, or choose another name"
        )
    return CONTRACTS / f"{name}.toml"


def draft(
    name: str, endpoint: Endpoint, out: Path, context: int | None, yes: bool, as_json: bool
) -> NoReturn:
    """Record, probe and draft; the end of `onpaper record --new`."""
    from onpaper.cassettes.cases import select
    from onpaper.cli.progress import Telling
    from onpaper.probe.questions import PARAMETERS, questions

    path = check_name(name)
    ordinary = select((), context, endpoint.scripted)
    asked = (*ordinary, *questions(endpoint.limit_key))
    again = tuple(parameter.question(wrong=True) for parameter in PARAMETERS)
    ask_first((*asked, *again), endpoint, True, yes)
    with Telling(len(asked), quiet=as_json) as telling:
        outcomes = asyncio.run(_record(endpoint, context, out / name, telling))
    drafted = _write(name, endpoint, path, outcomes)
    if as_json:
        print_json(_json(drafted))
    else:
        _show(drafted)
    raise typer.Exit(1 if any(one.problem for one in outcomes) else 0)


async def _record(endpoint: Endpoint, context: int | None, folder: Path, telling: Telling) -> list[Outcome]:
    """Every ordinary case, every question, and what has to be asked once more after those."""
    from onpaper.cassettes.cases import select
    from onpaper.probe import Evidence, follow_ups, questions

    endpoint = await _with_limit(endpoint)
    outcomes = await record_all(endpoint, select((), context, endpoint.scripted), folder, telling, True)
    outcomes += await record_all(endpoint, tuple(questions(endpoint.limit_key)), folder, telling, True)
    evidence = Evidence(_by_case(outcomes), endpoint.model)
    return outcomes + await record_all(endpoint, tuple(follow_ups(evidence)), folder, telling, True)


async def _with_limit(endpoint: Endpoint) -> Endpoint:
    """The endpoint with the key for the limit of tokens that a plain chat is answered with.

    Raises BadInput when it is answered with none: then there is nothing to record.
    """
    from onpaper.cassettes.cases import select
    from onpaper.cassettes.recorder import NotAnswered, record_case

    (chat,) = select(["chat"])
    problem: NotAnswered | None = None
    for key in ("max_tokens", "max_completion_tokens"):
        try:
            await record_case(replace(endpoint, limit_key=key), chat)
        except NotAnswered as error:
            problem = problem or error
            if error.status not in (400, 422):
                break
        else:
            return replace(endpoint, limit_key=key)
    raise BadInput(f"a plain chat is refused ({problem}): check --base-url, --key-env and --model")


def _by_case(outcomes: Iterable[Outcome]) -> dict[str, Cassette]:
    return {one.case: one.cassette for one in outcomes if one.cassette is not None}


def _write(name: str, endpoint: Endpoint, path: Path, outcomes: list[Outcome]) -> Drafted:
    """Write the draft, load it, and measure it against the recordings."""
    from onpaper.contract import Contract
    from onpaper.probe import Evidence
    from onpaper.probe.draft import draft as text_of
    from onpaper.probe.parameters import probed
    from onpaper.truth import Recording, compare

    cassettes = _by_case(outcomes)
    text = text_of(name, cassettes, endpoint.url.geturl(), endpoint.model)
    if len(endpoint.key) > 4 and endpoint.key in text:
        raise BadInput(f"{path}: not written, because the key would be in it; nothing was drafted")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.draft")
    beside.write_text(text, "utf-8")
    os.replace(beside, path)
    contract = Contract.read(path)
    recordings = [Recording(name, exchange) for one in cassettes.values() for exchange in one.exchanges]
    return Drafted(path, outcomes, probed(Evidence(cassettes, endpoint.model)), compare(contract, recordings))


def _json(drafted: Drafted) -> dict[str, Any]:
    missing = [{"axis": row.axis, "value": row.value} for row in drafted.truth.rows_of("missing")]
    return {
        "contract": str(drafted.path),
        "cases": [one.as_json() for one in drafted.outcomes],
        "parameters": [
            {"key": one.key, "finding": one.finding, "why": one.why, "case": one.case}
            for one in drafted.parameters
        ],
        "covered": round(drafted.truth.covered, 1),
        "missing": missing,
    }


def _show(drafted: Drafted) -> None:
    from rich.text import Text

    from onpaper.report import table

    out = console()
    out.print()
    rows = [(one.key, one.finding, one.why) for one in drafted.parameters]
    table.show(out, ("parameter", "finding", "why"), rows)
    seen = [row for row in drafted.truth.rows if row.recordings]
    missing = drafted.truth.rows_of("missing")
    said = f"can say {len(seen) - len(missing)} of the {len(seen)} things recorded"
    out.print(f"\n{drafted.path}: a draft that {said}.")
    if missing:
        out.print("It cannot say yet, and a person has to:")
        for row in missing:
            out.print(Text(f"  {row.axis}: {row.value}"))
