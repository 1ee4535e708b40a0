"""Running a command as its user does: arguments in, exit code, output and messages out."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from onpaper import cli


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
