"""`python -m onpaper.gateway`: the fake gateway as a process, for load tests, containers and other
languages.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from onpaper.errors import BadInput
from onpaper.gateway.limits import Limits
from onpaper.gateway.serving import Serving, Started, serve


def parser() -> argparse.ArgumentParser:
    """The command line."""
    known = argparse.ArgumentParser("python -m onpaper.gateway", description=__doc__)
    add = known.add_argument
    add(
        "--as",
        dest="provider",
        default="openai",
        metavar="PROVIDER",
        help="provider to play (a contract's name)",
    )
    add("--mock", default="hello", metavar="NAME", help="what to say")
    add("--lenient", action="store_true", help="answer also what the provider refuses")
    add("--key", metavar="KEY", help="the one right key; any that is not empty unless given")
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=0, help="0 takes a free one")
    add("--allow-remote", action="store_true", help="listen on an address that is not loopback")
    add("--workers", type=int, default=1, metavar="N", help="processes that share the port")
    add("--no-admin", action="store_true", help="no /_onpaper/ endpoint")
    add("--admin-port", type=int, default=0, help="where it is with several workers")
    add(
        "--admin-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another name by which it may be asked",
    )
    add("--journal", metavar="FILE", help="append every exchange to this file, as JSON Lines")
    add("--rpm", type=int, metavar="N", help="requests per minute of each key")
    add("--tpm", type=int, metavar="N", help="tokens per minute of each key")
    add("--tls", action="store_true", help="with a certificate that is made now and thrown away after")
    add("--certificate", type=Path, metavar="FILE", help="with this certificate (PEM)")
    add("--certificate-key", type=Path, metavar="FILE", help="and this key (PEM)")
    add("--max-header", type=int, default=Limits().header_bytes, metavar="BYTES")
    add("--max-body", type=int, default=Limits().body_bytes, metavar="BYTES")
    add("--max-connections", type=int, default=Limits().connections, metavar="N")
    return known


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop. Returns the exit status: 2 for bad input, with one sentence on standard
    error.
    """
    given = parser().parse_args(arguments)
    play = {"provider": given.provider, "mock": given.mock, "strict": not given.lenient}
    for name, value in (
        ("key", given.key),
        ("requests_per_minute", given.rpm),
        ("tokens_per_minute", given.tpm),
    ):
        if value is not None:
            play[name] = value
    try:
        if bool(given.certificate) != bool(given.certificate_key):
            raise BadInput("--certificate and --certificate-key belong together; give both")
        own = (given.certificate, given.certificate_key) if given.certificate else given.tls
        serve(
            Serving(
                play,
                given.host,
                given.port,
                given.workers,
                allow_remote=given.allow_remote,
                admin=not given.no_admin,
                admin_port=given.admin_port,
                admin_hosts=frozenset(given.admin_host),
                journal_file=given.journal,
                tls=own,
                limits=Limits(
                    header_bytes=given.max_header,
                    body_bytes=given.max_body,
                    connections=given.max_connections,
                ),
            ),
            _announce,
        )
    except BadInput as error:
        print(f"onpaper: {error}", file=sys.stderr)
        return 2
    return 0


def _announce(started: Started) -> None:
    """One line with the root URL, at once, also into a pipe; what else there is to know goes to standard
    error.
    """
    print(started.url, flush=True)
    if started.admin:
        print(f"admin endpoint: {started.admin}", file=sys.stderr, flush=True)
    if started.certificate:
        print(f"certificate to trust:\n{started.certificate}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
