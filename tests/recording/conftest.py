"""Running a command as its user does: arguments in, exit code, output and messages out."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from onpaper import cli
from onpaper.answer import Provider
from onpaper.contract import Contract
from onpaper.exchange import Request
from onpaper.gateway import ServerThread, faults
from onpaper.script import Script


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


Command = Callable[..., Ran]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """`command("cassettes", "verify")` in this process; nothing is typed into it."""

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["onpaper", *map(str, arguments)])
        capsys.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return run


KEY = "sk-test-0123456789abcdef"
Serve = Callable[..., ServerThread]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """`serve("groq")` plays a provider strictly on the loopback, `serve(answer)` any function."""
    with contextlib.ExitStack() as stack:

        def start(what: str | Callable[[Request], Script], **options: Any) -> ServerThread:
            if isinstance(what, str):
                mock = options.pop("mock", None)
                options = {"key": KEY, "models": ("m-1",)} | options
                what = Provider(Contract.load(what), mock, faults=faults.apply, **options)
            return stack.enter_context(ServerThread(what))

        yield start


@pytest.fixture
def in_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that the command is run in, with the key in the variable DEMO_KEY."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEMO_KEY", KEY)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # durability is shown elsewhere, and slow
    return tmp_path
