"""`onpaper record`: ask a live server every case and keep what it really said."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from onpaper.cli import Json, app, print_json
from onpaper.cli.live import (
    BaseUrl,
    Context,
    KeyEnv,
    Model,
    Scripted,
    Yes,
    ask_first,
    check_writable,
    chosen_model,
    key_from,
)
from onpaper.cli.outcome import record_all
from onpaper.errors import BadInput

Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where <provider>/<case>.yaml are written.")]
New = Annotated[bool, typer.Option("--new", help="There is no contract yet: record, probe, and draft one.")]
Server = Annotated[str, typer.Option("--server", help="Product and version, for the provenance.")]
SetUp = Annotated[str, typer.Option("--set-up", help="How it was started, and what stands behind it.")]


@app.command(short_help="Record a live server, one cassette for each case.")
def record(
    provider: Annotated[
        str, typer.Argument(help="The contract that describes the server; with --new a new name.")
    ],
    cases: Annotated[list[str] | None, typer.Argument(metavar="[CASE]...", help="Only these cases.")] = None,
    base_url: BaseUrl = "",
    key_env: KeyEnv = "",
    model: Model = "",
    out: Out = Path("cassettes"),
    new: New = False,
    context: Context = None,
    scripted: Scripted = False,
    server: Server = "",
    setup: SetUp = "",
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Ask a live server every case of its contract and keep what it really said, one cassette per case.

    The key is read from the environment and reaches no file. Says what it costs before it starts, and asks.

    Exit 0: every case has its cassette. 1: some have none, or you said no. 2: it cannot be carried out.
    """
    from onpaper.cassettes.asking import cases_of, described, endpoint_of, spends
    from onpaper.cli.progress import Telling
    from onpaper.contract import Contract

    needs_url(base_url)
    check_writable(out / provider)
    if new:
        _new(
            provider,
            cases or [],
            base_url,
            key_env,
            model,
            out,
            context,
            scripted,
            server,
            setup,
            yes,
            as_json,
        )
    contract = Contract.load(provider)
    key = key_from(key_env, contract)
    model = chosen_model(model, endpoint_of(contract, base_url, "", key))
    endpoint = described(endpoint_of(contract, base_url, model, key), server, setup, scripted)
    asked, left_out = cases_of(contract, endpoint, cases or (), context)
    ask_first(asked, endpoint, spends(contract, endpoint), yes)
    with Telling(len(asked), quiet=as_json) as telling:
        for name, reason in left_out.items():
            telling.line("skipped", name, f"left out: {reason}")
        outcomes = asyncio.run(record_all(endpoint, asked, out / contract.folder, telling))
    if as_json:
        rows = [one.as_json() for one in outcomes]
        print_json({"provider": provider, "folder": str(out / contract.folder), "cases": rows, "left out": left_out})
    raise typer.Exit(1 if any(one.problem for one in outcomes) else 0)


def _new(
    name: str,
    cases: Sequence[str],
    base_url: str,
    key_env: str,
    model: str,
    out: Path,
    context: int | None,
    scripted: bool,
    server: str,
    setup: str,
    yes: bool,
    as_json: bool,
) -> NoReturn:
    """The command with `--new`."""
    from onpaper.cassettes import Provenance
    from onpaper.cassettes.asking import described
    from onpaper.cassettes.recorder import Endpoint
    from onpaper.cli.drafting import CONTRACTS, check_name, draft

    check_name(name)
    check_writable(CONTRACTS)
    if cases:
        raise BadInput(
            f"with --new every case is asked, because the draft needs them: leave {cases[0]!r} out"
        )
    key = key_from(key_env)
    endpoint = Endpoint(base_url, model, key, provenance=Provenance(contract=name, server=name))
    endpoint = replace(endpoint, model=chosen_model(model, endpoint))
    draft(name, described(endpoint, server, setup, scripted), out, context, yes, as_json)


def needs_url(base_url: str) -> None:
    if not base_url:
        raise BadInput("--base-url is missing: where is the server? It is like http://127.0.0.1:8000/v1")
