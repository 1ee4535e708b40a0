"""`onpaper serve`: the fake gateway for any client in any language."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from onpaper.cli import app
from onpaper.errors import BadInput

Provider = Annotated[str, typer.Option("--as", metavar="PROVIDER", help="The provider to play: a contract's name.")]
File = Annotated[Path | None, typer.Option(metavar="FILE")]


@app.command(short_help="Play a provider until interrupted; refuse what it refuses.")
def serve(
    provider: Provider = "openai",
    mock: Annotated[str, typer.Option(help="What it says, and how it goes wrong: a mock's name.")] = "hello",
    lenient: Annotated[bool, typer.Option("--lenient", help="Answer also what the provider refuses.")] = False,
    key: Annotated[str, typer.Option(help="The one right key; without it any key that is not empty.")] = "",
    host: str = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free port.")] = 0,
    allow_remote: Annotated[bool, typer.Option("--allow-remote", help="Listen on an address that is not loopback.")] = False,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that share the port.")] = 1,
    json_log: Annotated[bool, typer.Option("--json-log", help="Print each exchange as a line of JSON, credentials masked.")] = False,
    journal: Annotated[str | None, typer.Option(metavar="FILE", help="Append each exchange to this file, as JSON Lines.")] = None,
    rpm: Annotated[int | None, typer.Option(min=1, help="Requests per minute of each key; with one worker.")] = None,
    tpm: Annotated[int | None, typer.Option(min=1, help="Tokens per minute of each key; with one worker.")] = None,
    no_admin: Annotated[bool, typer.Option("--no-admin", help="No /_onpaper/ endpoint.")] = False,
    admin_port: Annotated[int, typer.Option(min=0, max=65535, help="Where the admin endpoint is with several workers.")] = 0,
    admin_host: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Another name by which it may be asked.")] = None,
    tls: Annotated[bool, typer.Option("--tls", help="With a certificate that is made now and thrown away after.")] = False,
    certificate: File = None,
    certificate_key: File = None,
    max_header: Annotated[int, typer.Option(metavar="BYTES", min=0, help="The largest head of a request; 0: 64 KiB.")] = 0,
    max_body: Annotated[int, typer.Option(metavar="BYTES", min=0, help="The largest body of a request; 0: 64 MiB.")] = 0,
    max_connections: Annotated[int, typer.Option(metavar="N", min=0, help="Connections at once; 0: 10,000.")] = 0,
) -> None:
    """Play a provider strictly until interrupted: it refuses what the real one refuses.

    Prints one line with its root URL. Tests in other languages script it and read its journal at /_onpaper/.
    """
    from onpaper.gateway.serving import Serving, serve

    if journal == "":
        raise BadInput("--journal wants a file, found an empty name: is a variable not set?")
    if bool(certificate) != bool(certificate_key):
        raise BadInput("--certificate and --certificate-key belong together; give both")
    if key != key.strip() or not (key.isascii() and key.isprintable()):
        raise BadInput("--key: no header can carry this key: it must be printable ASCII without blanks around it")
    if admin_port and (no_admin or workers == 1):
        raise BadInput("--admin-port is for several workers with an admin endpoint; a single one has it on its own port")
    play: dict[str, Any] = {"provider": provider, "mock": mock, "strict": not lenient}
    given = {"key": key or None, "requests_per_minute": rpm, "tokens_per_minute": tpm}
    play |= {name: value for name, value in given.items() if value is not None}
    own = (certificate, certificate_key) if certificate and certificate_key else tls
    serve(
        Serving(
            play,
            host,
            port,
            workers,
            allow_remote=allow_remote,
            admin=not no_admin,
            admin_port=admin_port,
            admin_hosts=frozenset(admin_host or ()),
            journal_file=journal or ("-" if json_log else None),
            echo=json_log,
            tls=own,
            limits=_limits(max_header, max_body, max_connections),
        ),
        _announce,
    )


def _limits(header: int, body: int, connections: int) -> Any:
    from onpaper.gateway import Limits

    wanted = {"header_bytes": header, "body_bytes": body, "connections": connections}
    return Limits(**{name: value for name, value in wanted.items() if value})


def _announce(started: Any) -> None:
    """One line with the root URL, at once, also into a pipe; what else there is to know goes to standard error."""
    print(started.url, flush=True)
    if started.admin:
        print(f"admin endpoint: {started.admin}", file=sys.stderr, flush=True)
    if started.certificate:
        print(f"certificate to trust:\n{started.certificate}", file=sys.stderr, flush=True)
