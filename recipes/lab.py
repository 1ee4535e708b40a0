"""The lab: install real servers, start them on the loopback, record every case into cassettes, stop them.

    python recipes/lab.py record litellm         # one server, in one command
    python recipes/lab.py record --all
    python recipes/lab.py serve vllm             # keep it running, to look at by hand
    python recipes/lab.py list

Each server is installed into an environment of its own below `.lab/` (`--lab DIR` for another folder), with
nothing but pip and npm. Run it with a Python that has onpaper. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from environments import ENVIRONMENTS, Environment
from servers import CONTEXT, RECIPES, SERVERS, Place, Server

import onpaper
from onpaper.cassettes import CassetteError, Provenance, save
from onpaper.cassettes.cases import select
from onpaper.cassettes.recorder import Endpoint, record
from onpaper.errors import BadInput, nearest


class LabError(Exception):
    """Something in the lab does not work; the message is for a person."""


def main() -> int:
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers are stopped on the way out
    try:
        return arguments.run(arguments)
    except (LabError, CassetteError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except BadInput as error:
        print(f"lab: {error}", file=sys.stderr)
        return 2


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run, text in (
        ("install", _install, "install servers and make the scripted model"),
        ("record", _record, "install, start, record and stop servers"),
        ("serve", _serve, "install and start one server and keep it running"),
        ("list", _list, "name the servers"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        command.add_argument("--lab", type=Path, default=RECIPES.parent / ".lab", help="where to install")
        if name != "list":
            command.add_argument("servers", nargs="*", metavar="SERVER")
            command.add_argument("--all", action="store_true", help="every server")
        if name == "record":
            command.add_argument("--out", type=Path, default=RECIPES.parent / "cassettes")
            command.add_argument("--case", action="append", default=[], help="only this case (repeatable)")
    return parser.parse_args()


def _chosen(arguments: argparse.Namespace) -> list[Server]:
    """The set-ups that the command line names, by their own name or by their folder."""
    names = arguments.servers
    if arguments.all:
        return list(SERVERS)
    known = {server.name for server in SERVERS}
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        problem = f"there is no server {unknown[0]!r}" if unknown else "name a server, or --all"
        raise BadInput(f"{problem}{nearest(unknown[0] if unknown else '', known)}")
    return [server for server in SERVERS if server.name in names or server.folder in names]


def _list(arguments: argparse.Namespace) -> int:
    for server in SERVERS:
        print(f"{server.name:24}{server.server}: {server.setup}")
    return 0


def _install(arguments: argparse.Namespace) -> int:
    for server in _chosen(arguments):
        _prepare(arguments.lab.resolve(), server)
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    chosen = _chosen(arguments)
    lab = arguments.lab.resolve()
    with contextlib.ExitStack() as stack:
        for server in chosen:
            place = stack.enter_context(_running(lab, server))
            url, key = f"http://127.0.0.1:{place.port}/v1", server.key or "none"
            print(f"{server.name}: {url}  key {key}  model {server.model}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
    return 0


def _record(arguments: argparse.Namespace) -> int:
    missing = 0
    for server in _chosen(arguments):
        with _running(arguments.lab.resolve(), server) as place:
            missing += asyncio.run(_record_one(server, place, arguments.out, arguments.case))
    return 1 if missing else 0


async def _record_one(server: Server, place: Place, out: Path, names: list[str]) -> int:
    """Record a running server; the number of cases that gave no cassette."""
    folder = server.folder or server.name
    endpoint = Endpoint(
        base_url=f"http://127.0.0.1:{place.port}/v1",
        model=server.model,
        key=server.key,
        headers=server.headers(place),
        scripted=True,
        provenance=Provenance(
            contract=server.contract or folder, server=server.server, setup=server.setup, note=server.note
        ),
    )
    cases = select(names or server.only, context=CONTEXT, scripted=True)
    cases = tuple(case for case in cases if case.name not in server.without)
    missing = 0
    async for case, outcome in record(endpoint, cases):
        if isinstance(outcome, CassetteError):
            missing += 1
            print(f"  {case.name:24}no cassette: {outcome}")
            continue
        save(outcome, out / folder / f"{case.name}.yaml", canaries=[server.key])
        for reply in (exchange.reply for exchange in outcome.exchanges if exchange.reply):
            size = f"{len(reply.body):6} bytes in {len(reply.chunks):3} chunks"
            print(f"  {case.name:24}{reply.status}  {size}, {reply.end}")
    return missing


@contextlib.contextmanager
def _running(lab: Path, server: Server) -> Iterator[Place]:
    """Install what is missing, start the server and what stands behind it, stop both at the end."""
    with contextlib.ExitStack() as stack:
        behind = ""
        if server.behind:
            upstream = next(other for other in SERVERS if other.name == server.behind)
            behind = f"http://127.0.0.1:{stack.enter_context(_running(lab, upstream)).port}"
        _prepare(lab, server)
        place = Place(lab, _free_port(), behind)
        log = lab / "logs" / f"{server.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        print(f"starting {server.name} on port {place.port}", flush=True)
        with log.open("wb") as output:
            process = subprocess.Popen(
                server.command(place),
                cwd=_folder(lab, server),
                env=_variables(lab, server),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        stack.callback(_stop, process)
        _wait(process, server, place, log)
        yield place


def _folder(lab: Path, server: Server) -> Path:
    """Where the server is started: beside its packages, or beside the models, named without a path then."""
    node = lab / "node" / server.environment
    return node if node.is_dir() else lab / "models"


def _variables(lab: Path, server: Server) -> dict[str, str]:
    """The server's environment: nothing of the caller's but the search path, and no way to the network."""
    home = lab / "home"
    (home / "hub").mkdir(parents=True, exist_ok=True)  # without it, transformers' list of models is a 500
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "OMP_NUM_THREADS": "2",
        **server.variables,
    }


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _wait(process: subprocess.Popen[bytes], server: Server, place: Place, log: Path) -> None:
    """Wait until the server answers a chat, which also keeps its slow first request out of the recordings."""
    started, healthy = time.monotonic(), False
    while time.monotonic() - started < 240:
        if process.poll() is not None:
            tail = log.read_text(errors="replace").splitlines()[-5:]
            raise LabError(
                "\n".join([f"{server.name} ended with {process.returncode}; its log ends:", *tail])
            )
        with contextlib.suppress(OSError, http.client.HTTPException):
            healthy = healthy or _ask(place.port, "GET", server.health) < 500
            if healthy and _ask(place.port, "POST", "/v1/chat/completions", server, place) == 200:
                print(f"  up after {time.monotonic() - started:.1f} s", flush=True)
                return
        time.sleep(0.3)
    raise LabError(f"{server.name} did not answer within 240 s; its log is {log}")


def _ask(port: int, method: str, path: str, server: Server | None = None, place: Place | None = None) -> int:
    """The status of the answer to one request: of a small chat, if a server is given."""
    body, headers = None, {}
    if server and place:
        message = {"role": "user", "content": "hello"}
        body = json.dumps({"model": server.model, "messages": [message], "max_tokens": 4})
        headers = {"Content-Type": "application/json", **dict(server.headers(place))}
        if server.key:
            headers["Authorization"] = f"Bearer {server.key}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the process and those it started: they share its session."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
            return


def _prepare(lab: Path, server: Server) -> None:
    """Install the server's environment and make the models, unless that is done."""
    _install_environment(lab, "model")
    if not (lab / "models" / "done").exists():
        models = lab / "models"
        models.mkdir(parents=True, exist_ok=True)
        package = (
            Path(onpaper.__file__).resolve().parents[1]
        )  # that Python has what a model needs, and no onpaper
        making = [str(lab / "venvs/model/bin/python"), "-m", "onpaper.model", str(models)]
        _run(making, lab, {"PYTHONPATH": str(package)})
        (models / "done").touch()
    _install_environment(lab, server.environment)


def _install_environment(lab: Path, name: str) -> None:
    environment = ENVIRONMENTS[name]
    folder = lab / ("node" if environment.npm else "venvs") / name
    if (folder / "done").exists():
        return
    print(f"installing {name} into {folder}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    if environment.npm:
        (folder / "package.json").write_text(json.dumps(environment.npm), encoding="utf-8")
        _run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"], folder)
    else:
        _install_venv(folder, environment)
    (folder / "done").touch()


def _install_venv(folder: Path, environment: Environment) -> None:
    python = str(folder / "bin" / "python")
    _run([sys.executable, "-m", "venv", str(folder)], folder)
    _run([python, "-m", "pip", "install", "--quiet", *environment.pip], folder)
    if environment.without:
        _run([python, "-m", "pip", "uninstall", "--quiet", "--yes", *environment.without], folder)
    for name, version in environment.missing.items():
        site = next(folder.glob("lib/python*/site-packages"))
        metadata = site / f"{name}-{version}.dist-info"
        metadata.mkdir(exist_ok=True)
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (metadata / "METADATA").write_text(text, encoding="utf-8")
        (metadata / "RECORD").touch()


def _run(command: list[str], folder: Path, more: Mapping[str, str] | None = None) -> None:
    variables = {**os.environ, **(more or {})}
    done = subprocess.run(command, cwd=folder, env=variables, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise LabError(f"{command[0]} ended with {done.returncode}: {' '.join(command)}")


if __name__ == "__main__":
    sys.exit(main())
