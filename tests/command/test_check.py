"""`onpaper check` as a person runs it: a class that this repository has never seen, in a project of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

ONPAPER = [sys.executable, "-m", "onpaper"]
CLIENT = '''
import threading

from onpaper.backends import LiteLLMBackend


class Right(LiteLLMBackend):
    """A correct one."""


class PrefillsAloud(LiteLLMBackend):
    async def prefill(self, messages):
        await self.complete(messages, max_tokens=1)


class SendsTopK(LiteLLMBackend):
    def _extra_keys(self, sampling):
        return {"top_k": 20}


class SwapsTheCounts(LiteLLMBackend):
    async def stream(self, messages, *, stats=None, **kwargs):
        own = {}
        async for piece in super().stream(messages, stats=own, **kwargs):
            yield piece
        if stats is not None:
            stats.update(own, prompt_tokens=own.get("completion_tokens"), completion_tokens=own.get("prompt_tokens"))


class NeverEnds(LiteLLMBackend):
    async def stream(self, messages, **kwargs):
        with open("begun", "w") as begun:
            begun.write("begun")
        threading.Event().wait()
        yield ""
'''


@pytest.fixture
def project(tmp_path: Path) -> Path:
    package = tmp_path / "mypkg"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "llm.py").write_text(CLIENT)
    return tmp_path


def onpaper(project: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name != "GITHUB_STEP_SUMMARY"}
    return subprocess.run([*ONPAPER, *arguments], cwd=project, env={**clean, **env}, capture_output=True, text=True, timeout=240)


def judged(project: Path, name: str, *topics: str) -> tuple[int, list[dict[str, Any]]]:
    options = [part for topic in topics for part in ("--clause", topic)]
    done = onpaper(
        project, "check", f"mypkg.llm:{name}", "--contract", "litellm", "--env", "VUI_LITELLM_KEY={key}", *options, "--json", "-"
    )
    assert done.stderr == "", done.stderr
    return done.returncode, json.loads(done.stdout)


def broken(verdicts: list[dict[str, Any]]) -> set[str]:
    return {one["clause"] for one in verdicts if one["verdict"] == "broken"}


def test_a_correct_backend_is_blamed_for_nothing(project: Path) -> None:
    status, verdicts = judged(project, "Right", "body", "auth", "prefill", "usage", "sse")
    assert (status, broken(verdicts)) == (0, set())


def test_a_prefill_that_bills_is_told_so(project: Path) -> None:
    status, verdicts = judged(project, "PrefillsAloud", "prefill", "stream/text")
    assert status == 1
    assert broken(verdicts) == {"prefill/silent", "prefill/repeated"}


def test_a_parameter_that_the_provider_refuses_is_told_so(project: Path) -> None:
    status, verdicts = judged(project, "SendsTopK", "body/whitelist", "body/types", "stream/text")
    assert status == 1
    assert broken(verdicts) == {"body/whitelist"}


def test_swapped_counts_are_told_so(project: Path) -> None:
    status, verdicts = judged(project, "SwapsTheCounts", "usage/counts", "stream/text", "sse/bom")
    assert status == 1
    assert broken(verdicts) == {"usage/counts"}


def test_a_backend_without_its_key_is_told_so(project: Path) -> None:
    done = onpaper(
        project, "check", "mypkg.llm:Right", "--contract", "litellm", "--env", "ANOTHER_KEY={key}", "--clause", "auth/header", "--json", "-"
    )
    assert done.returncode == 1
    assert broken(json.loads(done.stdout)) == {"auth/header"}


def test_a_verdict_has_these_keys_and_no_others(project: Path) -> None:
    _, verdicts = judged(project, "Right", "stream/text")
    assert {tuple(one) for one in verdicts} == {("backend", "clause", "case", "level", "verdict", "message", "source")}


def test_the_reports_for_ci_are_written(project: Path) -> None:
    summary = project / "summary.md"
    arguments = ("check", "mypkg.llm:Right", "--contract", "litellm", "--clause", "stream/text", "--junit", "out/junit.xml", "--json", "out/v.json")
    done = onpaper(project, *arguments, GITHUB_STEP_SUMMARY=str(summary))
    assert done.returncode == 0, done.stderr
    assert ET.parse(project / "out/junit.xml").getroot().find("testsuite") is not None
    assert json.loads((project / "out/v.json").read_text())
    assert "| stream |" in summary.read_text("utf-8")
    assert "\x1b[" not in done.stdout


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no full disk to offer")
def test_a_report_that_cannot_be_written_keeps_no_other_from_being_given(project: Path) -> None:
    arguments = ("check", "mypkg.llm:Right", "--contract", "litellm", "--clause", "sse/bom", "--json", "/dev/full", "--junit", "junit.xml")
    done = onpaper(project, *arguments, GITHUB_STEP_SUMMARY="/dev/full")
    assert done.returncode == 2 and "cannot be written" in done.stderr
    assert "4 kept in" in done.stdout and (project / "junit.xml").exists()


def test_two_reports_do_not_share_a_file(project: Path) -> None:
    done = onpaper(project, "check", "mypkg.llm:NeverEnds", "--contract", "litellm", "--json", "report", "--junit", "./report")
    assert (done.returncode, done.stdout) == (2, "")
    assert "give each a file of its own" in done.stderr


@pytest.mark.parametrize("option", ["--json", "--junit"])
def test_a_report_that_cannot_be_written_is_told_before_the_run(option: str, project: Path) -> None:
    (project / "taken").touch()
    done = onpaper(project, "check", "mypkg.llm:NeverEnds", "--contract", "litellm", option, "taken/report")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "onpaper: taken/report: the report cannot be written: " + f"{project}/taken is not a folder; choose another file\n"


def test_nothing_is_left_in_the_project(project: Path) -> None:
    arguments = ("check", "mypkg.llm:Right", "--contract", "litellm", "--clause", "property/zeros-kept")
    done = onpaper(project, *arguments, XDG_CACHE_HOME=str(project.parent / "cache"), PYTHONDONTWRITEBYTECODE="1")
    assert done.returncode in (0, 1), done.stderr
    assert [path.name for path in project.iterdir()] == ["mypkg"]


def test_junit_goes_to_standard_output_as_json_does(project: Path) -> None:
    done = onpaper(project, "check", "mypkg.llm:Right", "--contract", "litellm", "--clause", "stream/text", "--junit", "-")
    assert ET.fromstring(done.stdout.encode()).tag == "testsuites"
    assert list(project.glob("-")) == []


SCRIPT = """
from onpaper.driving import declaration
from onpaper.suite.check import check

declared = declaration.declare("right", {"factory": "mypkg.llm:Right", "contract": "litellm", "env": {"VUI_LITELLM_KEY": "{key}"}})
print(*sorted({one.verdict for one in check([declared], ["usage/counts"])}))
"""


def test_a_run_can_be_started_from_any_script_and_does_not_run_it_again(project: Path) -> None:
    (project / "judge.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, "judge.py"], cwd=project, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("kept\n", "")


def test_nobody_takes_the_reference_backends_for_their_own(project: Path) -> None:
    declared = '[tool.onpaper.backends.litellm]\nfactory = "mypkg.llm:PrefillsAloud"\ncontract = "litellm"\n'
    (project / "pyproject.toml").write_text(declared)
    there = onpaper(project, "check", "litellm", "--clause", "prefill/silent")
    assert (there.returncode, there.stderr) == (1, "")
    elsewhere = onpaper(project / "mypkg", "check", "litellm", "--clause", "prefill/silent")
    said = f"no backend is declared in {project / 'mypkg' / 'pyproject.toml'}: these are the reference backends of onpaper\n"
    assert (elsewhere.returncode, elsewhere.stderr) == (0, said)


@pytest.mark.parametrize("name", ["types", "queue", "calendar", "json", "httpx", "onpaper"])
def test_a_module_of_the_project_is_taken_for_none_of_ours(name: str, project: Path) -> None:
    (project / f"{name}.py").write_text("raise RuntimeError('this is not the one that was meant')\n")
    script = "import sys; sys.path.remove(''); from onpaper.__main__ import main; main()"  # python -m looks there first
    arguments = ("check", "mypkg.llm:Right", "--contract", "litellm", "--clause", "sse/bom", "--quiet")
    done = subprocess.run([sys.executable, "-c", script, *arguments], cwd=project, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_processes_that_cannot_be_started_are_told_with_a_sentence_at_the_end(project: Path) -> None:
    (project / "elsewhere").mkdir()
    (project / "elsewhere" / "anyio.py").write_text("raise RuntimeError('a broken installation')\n")
    path = os.pathsep.join([str(project / "elsewhere"), os.environ.get("PYTHONPATH", "")])
    done = onpaper(project, "check", "mypkg.llm:Right", "--contract", "litellm", "--clause", "sse/bom", PYTHONPATH=path)
    assert done.returncode == 2 and "a broken installation" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("onpaper: the processes that judge cannot be started")


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked from a server on Linux only")
def test_ctrl_c_as_it_begins_ends_it_without_a_word(project: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what it runs in the background
    arguments = ("check", "mypkg.llm:Right", "--contract", "litellm")
    with subprocess.Popen([*ONPAPER, *arguments], cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while len(begun := pids_below(process.pid)) < 2:  # what tracks resources, and what forks
            assert process.poll() is None
        for pid in (*begun, process.pid):  # what a terminal does
            os.kill(pid, signal.SIGINT)
        assert process.stderr.read() == ""
    assert process.returncode == 130


def pids_below(pid: int) -> list[int]:
    """The processes that a process has started by now."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_run_that_is_ended_leaves_no_process_behind(number: signal.Signals, status: int, project: Path) -> None:
    os.mkfifo(project / "begun")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what it runs in the background
    arguments = ("check", "mypkg.llm:NeverEnds", "--contract", "litellm", "--clause", "stream/text")
    with subprocess.Popen(
        [*ONPAPER, *arguments], cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert (project / "begun").read_text() == "begun"
        process.send_signal(number)
        said, complaint = process.communicate(timeout=30)  # returns when nobody holds the pipes any more
    assert (process.returncode, said) == (status, "")
    assert number == signal.SIGKILL or complaint == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("check", "nope"), "no backend 'nope' is declared"),
        (("check", "mypkg.llm:Nope", "--contract", "litellm"), "has no 'Nope'"),
        (("check", "no.such.module:X", "--contract", "litellm"), "cannot be imported"),
        (("check", "mypkg.llm:Right"), "needs --contract"),
        (("check", "mypkg.llm:Right", "--contract", "gorq"), "did you mean 'groq'"),
        (("check", "mypkg.llm:Right", "--contract", "litellm", "--env", "X"), "--env wants NAME=VALUE"),
        (("check", "mypkg.llm:Right", "--contract", "litellm", "--env", "X={api_key}"), "did you mean 'key'"),
        (("check", "mypkg.llm.Right", "--contract", "litellm"), "found 'mypkg.llm.Right'"),
        (("check", "mypkg/llm.py:Right", "--contract", "litellm"), "name the module: 'mypkg.llm:Right'"),
        (("check", ".llm:Right", "--contract", "litellm"), "not of the form 'package.module:Class'"),
        (("check", "mypkg.llm:Right", "--contract", "litellm", "--can", "fly=yes"), "unknown capability 'fly'"),
        (("check", "mypkg.llm:Right", "--contract", "litellm", "--clause", "sse/bob"), "did you mean 'sse/bom'"),
        (("check", "mypkg.llm:Right", "--contract", "litellm", "--json", "-", "--junit", "-"), "would mix on standard output"),
        (("check", "mypkg.llm:Right", "--contract", "litellm", "--json", ""), "is a variable not set?"),
        (("serve", "--journal", ""), "is a variable not set?"),
        (("explain", "sse/bob"), "did you mean 'sse/bom'"),
        (("show", "../x"), "cannot be the name of a contract"),
        (("serve", "--mock", "helo"), "did you mean 'hello'"),
        (("serve", "--host", "0.0.0.0"), "not a loopback address"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(project: Path, arguments: tuple[str, ...], words: str) -> None:
    done = onpaper(project, *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""


@pytest.mark.parametrize("place", ["at import", "in the factory"])
def test_a_key_of_somebody_s_own_is_in_no_complaint(place: str, project: Path) -> None:
    fails = "raise ValueError('sk-proj-Abcdefghijklmnopqrstuvwx0123 is revoked')"
    (project / "fails.py").write_text(fails if place == "at import" else f"def make(**given):\n    {fails}\n")
    done = onpaper(project, "check", "fails:make", "--contract", "litellm")
    assert done.returncode == 2 and "is revoked" in done.stderr
    assert "Abcdef" not in done.stderr


def test_an_argument_that_the_factory_does_not_take_is_not_taken_for_a_time_out(project: Path) -> None:
    declared = '[tool.onpaper.backends.mine]\nfactory = "mypkg.llm:Right"\ncontract = "litellm"\ntimeouts = { first_byte = { timeout = 0.2 } }\n'
    (project / "pyproject.toml").write_text(declared)
    done = onpaper(project, "check", "mine", "--clause", "connection/first-byte-time-out")
    assert (done.returncode, done.stdout) == (2, "")
    assert "mypkg.llm:Right(model=…, base_url=…, timeout=0.2) raised TypeError" in done.stderr
    assert "timeouts.first_byte in the declaration wants arguments of the factory" in done.stderr


def test_an_ad_hoc_backend_is_not_mixed_up_with_a_declared_one(project: Path) -> None:
    (project / "mine.py").write_text("from mypkg.llm import PrefillsAloud as litellm\n")
    done = onpaper(project, "check", "mine:litellm", "litellm", "--contract", "litellm", "--clause", "prefill/silent", "--json", "-")
    found = {(one["backend"], one["verdict"]) for one in json.loads(done.stdout)}
    assert {("mine:litellm", "broken"), ("litellm", "kept")} <= found


def test_a_malformed_contract_names_file_key_and_the_known_keys(project: Path) -> None:
    (project / "contracts").mkdir()
    (project / "contracts" / "mine.toml").write_text('extends = "openai"\n[stream]\nnewlin = "lf"\n')
    done = onpaper(project, "show", "mine")
    assert done.returncode == 2
    assert all(words in done.stderr for words in ("mine.toml", "'newlin'", "did you mean 'newline'"))


def test_a_cassette_that_would_build_an_object_is_refused(project: Path) -> None:
    folder = project / "cassettes" / "groq"
    folder.mkdir(parents=True)
    (folder / "x.yaml").write_text("interactions: !!python/object/apply:os.system ['true']\nversion: 1\n")
    done = onpaper(project, "list", "cassettes")
    assert done.returncode == 2
    assert "x.yaml" in done.stderr and "Traceback" not in done.stderr


def test_nothing_heavy_is_imported_for_the_help(project: Path) -> None:
    script = "import sys, onpaper.plugin, onpaper.cli; print([n for n in ('httpx','hypothesis','vcr','jsonschema_rs','respx','rich.table','onpaper.suite') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], cwd=project, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]"
