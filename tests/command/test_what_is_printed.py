"""What reaches a person: all of it, however wide the terminal is, whatever it can show, and wherever it goes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

import pytest
from rich.console import Console
from rich.text import Text

from onpaper.clauses import register
from onpaper.driving.verdict import Verdict
from onpaper.errors import nearest
from onpaper.report import table, terminal
from onpaper.report.summary import paste, red, unjudged

ONPAPER = [sys.executable, "-m", "onpaper"]
ROWS = [("endpoint.url", "https://api.example.com/openai/v1/" + "x" * 120, "example.toml"), ("auth", "true", "openai.toml")]
TALKS = """
from onpaper.backends import VLLMBackend


class Talks(VLLMBackend):
    def __init__(self, **kwargs):
        print("hello", flush=True)
        super().__init__(**kwargs)
"""
ODD = """
from onpaper.backends import VLLMBackend


class Odd(VLLMBackend):
    async def stream(self, *args, **kwargs):
        raise RuntimeError("é ☃ \U0001f600")
        yield
"""
WIRE = "wire: " + repr(bytes(range(256)) * 4)


def printed(width: int, pipe: bool = False) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=not pipe, width=width, color_system=None), file


def verdict(clause: str, outcome: str, message: str = "", backend: str = "mine") -> Verdict:
    return Verdict(backend, clause, "one", register()[clause].level, outcome, message, "https://example.com")  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_a_table_loses_nothing_on_a_terminal_of_any_width(width: int) -> None:
    console, file = printed(width)
    table.show(console, ("fact", "value", "file"), ROWS)
    said = file.getvalue()
    assert max(map(len, said.splitlines())) <= width
    letters = "".join(said.split())
    assert letters.count("x") >= 120 and "auth" in letters and letters.count(".toml") == 2


def test_a_row_is_one_line_of_any_length_in_a_pipe() -> None:
    console, file = printed(100_000, pipe=True)
    table.show(console, ("fact", "value", "file"), [*ROWS, (Text("two\nlines"), "", "")])
    lines = file.getvalue().splitlines()
    assert [line.split() for line in lines[1:3]] == [list(row) for row in ROWS]
    assert lines[3] == "two; lines"


@pytest.mark.parametrize("width", [30, 80])
def test_the_matrix_shows_every_clause_and_count_at_any_width(width: int) -> None:
    console, file = printed(width)
    backends = ("a-backend", "another-backend", "a-third-backend")
    terminal.report(console, [verdict("sse/unicode-separators", "kept", backend=one) for one in backends], False, 1.0)
    said = file.getvalue()
    assert "sse/unicode-separators" in said and said.count("✓") == 4  # one is the legend's
    assert all(one in said for one in backends)


def test_the_evidence_is_whole_in_the_log_of_a_pipe() -> None:
    console, file = printed(100_000, pipe=True)
    terminal.report(console, [verdict("sse/bom", "broken", f"it broke\n{WIRE}")], False, 1.0)
    assert WIRE in file.getvalue() and "╭" not in file.getvalue()


def test_the_root_cause_is_shown_first() -> None:
    because = [verdict("sse/bom", "not-applicable", "an ordinary stream already comes out wrong: see stream/text")]
    broken = [verdict("auth/blank-key", "broken", "a"), verdict("stream/text", "broken", "b")]
    console, file = printed(200)
    console.print(terminal.failures([*because, *broken], strict=False))
    assert file.getvalue().index("mine: stream/text") < file.getvalue().index("mine: auth/blank-key")


def test_a_person_is_sent_to_no_empty_page() -> None:
    without = next(name for name, one in register().items() if not one.fix)
    console, file = printed(200)
    console.print(terminal.failures([verdict(without, "broken", "a")], strict=False))
    assert "to do" not in file.getvalue() and "onpaper explain" not in file.getvalue()


def test_a_backend_of_which_nothing_was_judged_is_red_unless_clauses_were_chosen() -> None:
    other = verdict("sse/bom", "kept", backend="other")
    none = [verdict("sse/bom", "not-applicable", reason) for reason in ("b", "a", "a")]
    assert unjudged([other, *none]) == {"mine": "a"}
    assert red([other, *none], False) and not red([other, *none], False, whole=False)
    assert red(none, False, whole=False) and red([], False, whole=False)


def test_the_nearest_of_many_names_are_shown_with_the_command_that_lists_them() -> None:
    many = [f"sse/rule-{number}" for number in range(30)] + ["stream/text"]
    said = nearest("stream/txt", many, listed="onpaper list clauses")
    assert said.startswith("; did you mean 'stream/text'? Known: ") and said.endswith(" and 26 more (`onpaper list clauses`).")
    assert nearest("b", ["a", "c"], listed="x") == ". Known: a, c."
    assert all(name in nearest("stream/txt", many) for name in many)


# ---- the whole command ----


def run(*arguments: str, cwd: Path, **more: object) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **more.pop("env", {})}  # type: ignore[dict-item]
    return subprocess.run([*ONPAPER, *arguments], cwd=cwd, env=env, text=True, stderr=subprocess.PIPE, timeout=60, **more)  # type: ignore[call-overload,no-any-return]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no full disk to offer")
@pytest.mark.parametrize("arguments", [("list", "clauses"), ("list", "clauses", "--json"), ("--help",)])
def test_a_full_disk_is_one_sentence(arguments: tuple[str, ...], tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = run(*arguments, cwd=tmp_path, stdout=full)
    assert done.returncode == 2
    assert done.stderr == "onpaper: what there is to say cannot be written: No space left on device\n"


@pytest.fixture
def nobody() -> Iterator[IO[str]]:
    """A pipe whose reader has had enough, as after `| head -1`."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        yield pipe


@pytest.mark.parametrize("arguments", [("list", "clauses"), ("list", "clauses", "--json"), ("explain", "sse/bom")])
def test_a_reader_that_has_enough_ends_it_quietly(arguments: tuple[str, ...], nobody: IO[str], tmp_path: Path) -> None:
    done = run(*arguments, cwd=tmp_path, stdout=nobody)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [("truth", "groq", "--at-least", "1"), ("truth", "groq", "--at-least", "1", "--json")])
def test_a_reader_that_has_enough_makes_nothing_green(
    arguments: tuple[str, ...], unbuffered: str, nobody: IO[str], tmp_path: Path
) -> None:
    done = run(*arguments, cwd=tmp_path, stdout=nobody, env={"PYTHONUNBUFFERED": unbuffered})
    assert (done.returncode, done.stderr) == (1, "")


def test_a_subject_that_prints_is_not_blamed_for_a_reader_that_has_enough(nobody: IO[str], tmp_path: Path) -> None:
    (tmp_path / "talks.py").write_text(TALKS)
    arguments = ("check", "talks:Talks", "--contract", "vllm", "--clause", "sse/bom")
    done = subprocess.run([*ONPAPER, *arguments], cwd=tmp_path, stdout=nobody, stderr=nobody, timeout=60)
    assert done.returncode == 0


def test_marks_are_plain_where_the_output_takes_ascii_only(tmp_path: Path) -> None:
    arguments = ("check", "litellm", "--clause", "sse/bom")
    done = run(*arguments, cwd=tmp_path, stdout=subprocess.PIPE, env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert "sse/bom | +4" in done.stdout


@pytest.mark.parametrize(("option", "read"), [("--json", json.loads), ("--junit", ElementTree.fromstring)])
def test_a_report_for_programs_is_whole_where_the_output_takes_ascii_only(
    option: str, read: Callable[[str], object], tmp_path: Path
) -> None:
    (tmp_path / "odd.py").write_text(ODD, "utf-8")
    arguments = ("check", "odd:Odd", "--contract", "vllm", "--clause", "sse/bom", option, "-")
    done = run(*arguments, cwd=tmp_path, stdout=subprocess.PIPE, env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 1 and done.stdout.isascii()
    assert read(done.stdout) is not None


def test_a_backend_that_is_named_twice_is_judged_once(tmp_path: Path) -> None:
    done = run("check", "litellm", "litellm", "--clause", "sse/bom", "--quiet", cwd=tmp_path, stdout=subprocess.PIPE)
    assert done.stdout.startswith("4 kept in ")


@pytest.mark.parametrize(
    ("kind", "name", "known"),
    [("contracts", "mine.toml", "groq"), ("mocks", "mine.toml", "hello"), ("cassettes", "mine/chat.yaml", "vllm/chat")],
)
def test_one_file_that_cannot_be_read_keeps_no_other_from_the_list(kind: str, name: str, known: str, tmp_path: Path) -> None:
    path = tmp_path / kind / name
    path.parent.mkdir(parents=True)
    path.write_text("= no = such = file")
    done = run("list", kind, cwd=tmp_path, stdout=subprocess.PIPE)
    assert done.returncode == 2
    assert any(line.startswith(known + " ") for line in done.stdout.splitlines())
    (said,) = done.stderr.splitlines()
    assert name in said


def test_a_contract_without_recordings_is_not_said_to_be_true(tmp_path: Path) -> None:
    done = run("truth", "groq", cwd=tmp_path, stdout=subprocess.PIPE)
    assert "nothing seen" in done.stdout and "%" not in done.stdout
    assert run("truth", "groq", "--at-least", "1", cwd=tmp_path, stdout=subprocess.PIPE).returncode == 1


@pytest.mark.parametrize("percent", ["101", "-1", "nan"])
def test_a_share_is_a_percentage(percent: str, tmp_path: Path) -> None:
    done = run("truth", "--at-least", percent, cwd=tmp_path, stdout=subprocess.PIPE)
    assert done.returncode == 2 and "a percentage from 0 to 100" in done.stderr


@pytest.mark.parametrize("command", ["--version", "list mocks"])
def test_a_command_that_was_started_without_standard_output_ends_well(command: str) -> None:
    done = subprocess.run(f'"{sys.executable}" -m onpaper {command} >&-', shell=True, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_block_of_known_failures_can_be_pasted_as_it_is() -> None:
    found = [verdict("sse/bom", "broken", 'stream() gave "\\x00"\nwire: b"..."'), verdict("sse/bom", "broken", "the same")]
    block = tomllib.loads(paste(found))["tool"]["onpaper"]["backends"]["mine"]["known-failures"]
    assert block == [{"clause": "sse/bom", "reason": 'stream() gave "\\x00"'}]


@pytest.mark.parametrize("name", ["mine", "a.b", "my backend"])
def test_the_block_can_be_pasted_from_a_terminal_of_any_width(name: str) -> None:
    console, file = printed(40)
    terminal.report(console, [verdict("sse/unicode-separators", "broken", "what was found " * 5, backend=name)], False, 1.0)
    block = file.getvalue().partition("[[")[2].rpartition("1 broken")[0]
    table = tomllib.loads(f"[[{block}")["tool"]["onpaper"]["backends"][name]["known-failures"]
    assert table[0]["reason"] == ("what was found " * 5).strip()


@pytest.mark.parametrize("command", ["check", "serve", "list faults"])
def test_a_working_directory_that_is_gone_is_one_sentence(command: str, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    script = f'cd gone && rmdir ../gone && "{sys.executable}" -m onpaper {command}'
    env = {**os.environ, "PYTHONSAFEPATH": "1"}
    done = subprocess.run(script, shell=True, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "onpaper: the working directory is gone; change to one that is there"
    assert "Traceback" not in done.stderr
