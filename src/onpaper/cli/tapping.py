"""`onpaper tap`: a proxy in front of a live server that judges, and records, what passes."""

from __future__ import annotations

import asyncio
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onpaper.cli import app, console
from onpaper.cli.live import check_writable

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from onpaper.cassettes.tapping import Passed, Tap
    from onpaper.exchange import Exchange


@app.command(short_help="Judge and record what passes between a client and a server.")
def tap(
    url: Annotated[str, typer.Argument(help="The live server, as a client is given it: https://…/v1.")],
    provider: Annotated[
        str,
        typer.Option(
            "--as", metavar="PROVIDER", help="The contract to judge by. Default: by the host, else openai."
        ),
    ] = "",
    port: Annotated[int, typer.Option(help="0 takes a free port.")] = 0,
    folder: Annotated[
        Path | None,
        typer.Option("--record", metavar="DIR", help="Record each exchange into DIR/<provider>/."),
    ] = None,
    json_log: Annotated[
        bool, typer.Option("--json-log", help="Print each exchange as a line of JSON.")
    ] = False,
    strict: Annotated[bool, typer.Option(help="A broken `should` makes the run red as well.")] = False,
) -> None:
    """Pass everything between any client and a live server, and judge each exchange by the contract.

    Prints one line with the base URL for the client; then a line for each exchange. Listens on 127.0.0.1 only;
    bytes pass as they come. With --record the server is asked not to compress. Ends on Ctrl-C or SIGTERM.

    Exit 0: every promise was kept. 1: a `must` was broken. 2: the command cannot be carried out.
    """
    from onpaper.cassettes.hosts import default_contract
    from onpaper.cassettes.recorder import Endpoint
    from onpaper.cassettes.tapping import Tap
    from onpaper.contract import Contract

    if folder is not None:
        check_writable(folder)
    contract = Contract.load(provider or default_contract(Endpoint(url, "").url))
    upstream = Endpoint(url, "", prefix=str(contract.get("endpoint.prefix", "/v1"))).url
    judge = Tap(contract, upstream, folder)
    asyncio.run(_serve(judge, upstream, port, json_log))
    broken = ", ".join(f"{name} {count}×" for name, count in judge.broken.most_common())
    counts = judge.counts
    print(
        f"{counts['exchanges']} exchanges, {counts['judged']} judged: {counts['kept']} kept, "
        f"{counts['broken']} broken{f' ({broken})' if broken else ''}; {counts['recorded']} recorded",
        file=sys.stderr,
    )
    red = any(name.endswith("(must)") or strict for name in judge.broken)
    raise typer.Exit(1 if red else 0)


async def _serve(judge: Tap, upstream: SplitResult, port: int, json_log: bool) -> None:
    """Run the proxy until a signal. What passes is judged in a thread, so that it delays nothing."""
    from onpaper.cassettes.proxy import Proxy

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stopping.set)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stopping.set))
    with ThreadPoolExecutor(1) as worker:
        failures: list[BaseException] = []

        def told(exchange: Exchange) -> None:
            worker.submit(_tell, judge, exchange, json_log).add_done_callback(checked)

        def checked(done: object) -> None:
            error = done.exception()  # type: ignore[attr-defined]
            if error is not None:
                failures.append(error)
                loop.call_soon_threadsafe(stopping.set)

        proxy = Proxy(upstream, told, port, identity=judge.folder is not None)
        await proxy.start()
        print(proxy.url, flush=True)
        host = upstream.netloc
        print(
            f"passing everything to {host}, judged as {judge.contract.name} (--as for another)",
            file=sys.stderr,
        )
        await stopping.wait()
        await proxy.stop()
    for error in failures:
        raise error


def _tell(judge: Tap, exchange: Exchange, json_log: bool) -> None:
    from onpaper.cassettes.tapping import line, row

    passed = judge.passed(exchange)
    if json_log:
        print(row(passed), flush=True)
        return
    _print(passed, line(passed))


def _print(passed: Passed, text: str) -> None:
    from rich.text import Text

    out = console()
    bad = bool(passed.those("broken")) or passed.exchange.reply is None
    mark = ("✗ ", "bold red") if bad else ("✓ ", "green") if passed.verdicts else ("– ", "dim")
    out.print(Text(*mark).append(text, "default"))
    for one in passed.those("broken") + passed.those("known"):
        sign = "✗" if one.verdict == "broken" else "k"
        out.print(Text(f"  {sign} {one.clause} ({one.level}): {one.message.splitlines()[0]}"))
    if passed.path:
        out.print(Text(f"  recorded: {passed.path}", "dim"))
    elif passed.problem and passed.exchange.reply is not None:
        out.print(Text(f"  not recorded: {passed.problem}", "yellow"))
    sys.stdout.flush()
