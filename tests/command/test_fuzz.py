"""`onpaper fuzz`: what it finds is written down as a mock and as a test that runs."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ONPAPER = [sys.executable, "-m", "onpaper"]
LOSES = """
from onpaper.backends import LiteLLMBackend


class Loses(LiteLLMBackend):
    async def stream(self, messages, **kwargs):
        async for piece in super().stream(messages, **kwargs):
            yield piece.replace("\\u2028", "")


class OnlyOnce(LiteLLMBackend):
    called = False

    async def list_models(self):
        if self.called:
            raise RuntimeError("called twice")
        self.called = True
        return await super().list_models()
"""
PLAIN = """
import time


class Plain:
    def __init__(self, model, base_url):
        pass

    async def stream(self, messages):
        yield "x"


class Blocks(Plain):
    async def stream(self, messages):
        while True:
            time.sleep(0.01)
        yield "x"
"""
ASK = ("mypkg:Loses", "--contract", "litellm", "--env", "VUI_LITELLM_KEY={key}")
FRAMING = ("--clause", "property/any-framing-any-cut")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "mypkg.py").write_text(LOSES)
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    return tmp_path


def ran(project: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "HYPOTHESIS_"))}
    env["XDG_CACHE_HOME"] = str(project.parent / "cache")
    return subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, timeout=240)


def fuzz(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return ran(project, [*ONPAPER, "fuzz", *arguments])


def test_a_find_becomes_a_mock_and_a_test_that_fails(project: Path) -> None:
    done = fuzz(project, *ASK, *FRAMING)
    assert done.returncode == 1, done.stderr
    written = [line.removeprefix("written: ") for line in done.stdout.splitlines() if line.startswith("written: ")]
    assert written == ["mocks/found-any-framing-any-cut.toml", "tests/test_found_any_framing_any_cut.py"]
    again = ran(project, [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"])
    assert "1 failed" in again.stdout and "stream(" in again.stdout, again.stdout
    assert not (project / ".hypothesis").exists()


def test_a_file_that_is_there_is_not_overwritten(project: Path) -> None:
    (project / "out" / "mocks").mkdir(parents=True)
    mine = project / "out" / "mocks" / "found-any-framing-any-cut.toml"
    mine.write_text("mine")
    first = fuzz(project, *ASK, *FRAMING, "--out", "out")
    assert "written: out/mocks/found-any-framing-any-cut-2.toml" in first.stdout
    second = fuzz(project, *ASK, *FRAMING, "--out", "out")
    assert "was there already: out/tests/test_found_any_framing_any_cut_2.py" in second.stdout
    assert mine.read_text() == "mine"


def test_a_place_that_cannot_be_written_to_is_told_before_anything_is_looked_for(project: Path) -> None:
    (project / "mocks").touch()
    done = fuzz(project, *ASK, "--seconds", "600")
    assert (done.returncode, done.stdout) == (2, "")
    assert "mocks: is not a folder" in done.stderr


def test_a_database_that_could_keep_nothing_is_told_before_anything_is_looked_for(project: Path) -> None:
    (project / "taken").touch()
    done = fuzz(project, *ASK, "--seconds", "600", "--example-db", "taken")
    assert (done.returncode, done.stdout) == (2, "")
    assert "taken: is not a folder" in done.stderr


def test_the_command_that_a_test_names_finds_the_steps_again(project: Path) -> None:
    steps = ("--clause", "property/any-order", "--seconds", "600")
    first = fuzz(project, "mypkg:OnlyOnce", *ASK[1:], *steps)
    assert first.returncode == 1, first.stderr
    (test,) = (project / "tests").iterdir()
    told = test.read_text().partition("run it again: ")[2].rpartition('"')[0]
    assert told.startswith("onpaper fuzz mypkg:OnlyOnce --contract litellm --env ")
    again = ran(project, [*ONPAPER, *shlex.split(told)[1:]])
    assert again.returncode == 1, again.stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_was_found_is_told_when_it_is_interrupted(number: signal.Signals, status: int, project: Path) -> None:
    command = [*ONPAPER, "fuzz", *ASK, "--seconds", "600"]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("written: tests/"):
            assert process.poll() is None
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == status
    assert said.endswith("interrupted; 1 found\n") and "Traceback" not in said


def test_where_no_property_applies_it_says_so_and_looks_for_nothing(project: Path) -> None:
    (project / "plain.py").write_text(PLAIN)
    done = fuzz(project, "plain:Plain", *ASK[1:], "--clause", "property/precedence")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is nothing to look for: neither stream() nor complete() takes a parameter" in done.stderr


def test_a_backend_that_blocks_its_loop_ends_it_with_a_sentence(project: Path) -> None:
    (project / "plain.py").write_text(PLAIN)
    done = fuzz(project, "plain:Blocks", *ASK[1:], "--clause", "property/any-framing-any-cut", "--seconds", "5")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "the backend was stopped: " in done.stderr
