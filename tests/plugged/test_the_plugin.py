"""The plugin in a project of somebody else: inert until asked, one item for each clause and case, fixtures that hold."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ASYNC = '[tool.pytest.ini_options]\nasyncio_mode = "auto"\nasyncio_default_fixture_loop_scope = "function"\n'
DECLARED = """
[tool.onpaper.backends.mine]
factory = "mine:Mine"
contract = "litellm"
env = { VUI_LITELLM_KEY = "{key}" }
"""
MINE = "from onpaper.backends import LiteLLMBackend\n\n\nclass Mine(LiteLLMBackend):\n    pass\n"
BILLING = MINE.replace("    pass\n", "    async def prefill(self, messages):\n        await self.complete(messages, max_tokens=1)\n")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text(ASYNC)
    (tmp_path / "test_own.py").write_text("def test_own():\n    pass\n")
    return tmp_path


def pytest_in(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    cache = () if "--lf" in arguments or "cacheprovider" in arguments else ("-p", "no:cacheprovider")
    command = [sys.executable, "-m", "pytest", *cache, *arguments]
    return subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, timeout=240)


def test_a_project_that_declares_nothing_gets_no_items_and_pays_nothing(project: Path) -> None:
    (project / "test_own.py").write_text(
        "import sys\n\n\ndef test_own():\n"
        "    assert not {'onpaper.suite', 'onpaper.gateway', 'vcr', 'jsonschema_rs', 'httptools'} & set(sys.modules)\n"
    )
    done = pytest_in(project, "-q")
    assert "1 passed" in done.stdout, done.stdout


def test_a_declaration_that_is_no_table_is_told_where_the_suite_would_be(project: Path) -> None:
    (project / "pyproject.toml").write_text(f"tool.onpaper = 3\n{ASYNC}")
    done = pytest_in(project, "-q")
    assert done.returncode == 2
    assert 'tool.onpaper: the top level: 3 is not of type "object"' in done.stdout


def test_each_clause_and_case_of_a_declared_backend_is_an_item(project: Path) -> None:
    (project / "mine.py").write_text(MINE)
    with (project / "pyproject.toml").open("a") as file:
        file.write(DECLARED)
    done = pytest_in(project, "--collect-only", "-q")
    assert "pyproject.toml::mine::usage/cumulative[usage-on-every-chunk@mock/random]" in done.stdout
    assert "test_own.py::test_own" in done.stdout


def test_items_are_chosen_by_name_and_by_mark(project: Path) -> None:
    (project / "mine.py").write_text(MINE)
    with (project / "pyproject.toml").open("a") as file:
        file.write(DECLARED)
    done = pytest_in(project, "-q", "-m", "onpaper", "-k", "mine and prefill/silent and fresh")
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout


def test_what_failed_last_is_run_again_alone(project: Path) -> None:
    (project / "mine.py").write_text(BILLING)
    with (project / "pyproject.toml").open("a") as file:
        file.write(DECLARED)
    cache = ("-p", "cacheprovider")
    first = pytest_in(project, *cache, "-q", "pyproject.toml", "-k", "prefill/silent and fresh or sse/bom")
    assert first.returncode == 1 and "1 failed" in first.stdout, first.stdout
    again = pytest_in(project, *cache, "-q", "--lf", "pyproject.toml")
    assert "1 failed" in again.stdout and "passed" not in again.stdout, again.stdout


def test_neither_the_suite_nor_the_plugin_needs_xdist(project: Path) -> None:
    (project / "mine.py").write_text(MINE)
    with (project / "pyproject.toml").open("a") as file:
        file.write(DECLARED)
    done = pytest_in(project, "-q", "-p", "no:xdist", "-k", "test_own or prefill/silent and fresh")
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout


def test_the_suite_can_be_left_out(project: Path) -> None:
    with (project / "pyproject.toml").open("a") as file:
        file.write(DECLARED)
    done = pytest_in(project, "-q", "--no-onpaper")
    assert "1 passed" in done.stdout, done.stdout


def test_a_broken_promise_shows_its_rule_its_bytes_and_its_source(project: Path) -> None:
    (project / "mine.py").write_text(BILLING)
    with (project / "pyproject.toml").open("a") as file:
        file.write(DECLARED)
    done = pytest_in(project, "-q", "-n", "2", "-k", "prefill/silent")
    assert done.returncode == 1
    for words in ("mine breaks prefill/silent (must)", "rule:", "POST /v1/chat/completions", "source: https://"):
        assert words in done.stdout


def test_a_known_failure_is_run_and_not_red(project: Path) -> None:
    (project / "mine.py").write_text(BILLING)
    with (project / "pyproject.toml").open("a") as file:
        file.write(DECLARED + '\n[[tool.onpaper.backends.mine.known-failures]]\nclause = "prefill/silent"\nreason = "it bills; issue 41"\n')
    done = pytest_in(project, "-q", "-rx", "-k", "prefill/silent and fresh")
    assert done.returncode == 0 and "1 xfailed" in done.stdout and "issue 41" in done.stdout


FAULT = """
import httpx
import pytest


async def test_cut(gateway):
    gateway.play("cut-mid-event", provider="groq")
    {ask}
"""
ASK = """with pytest.raises(httpx.HTTPError):
        async with httpx.AsyncClient(trust_env=False) as client:
            body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
            await client.post(gateway.v1 + "/chat/completions", json=body, headers={"authorization": "Bearer k"})
    assert gateway.journal[-1].fired"""


def test_a_fault_that_reached_the_wire_is_in_the_journal(project: Path) -> None:
    (project / "test_own.py").write_text(FAULT.replace("{ask}", ASK))
    done = pytest_in(project, "-q")
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout


def test_a_fault_that_never_fired_fails_the_test(project: Path) -> None:
    (project / "test_own.py").write_text(FAULT.replace("{ask}", "assert gateway.url"))
    done = pytest_in(project, "-q")
    assert done.returncode == 1 and "never fired" in done.stdout, done.stdout


def test_the_list_of_known_failures_is_judged_also_where_items_are_chosen_by_mark(project: Path) -> None:
    (project / "mine.py").write_text(MINE)
    with (project / "pyproject.toml").open("a") as file:
        file.write(DECLARED + '"known-failures" = [{ clause = "no/such", reason = "why" }]\n')
    done = pytest_in(project, "-q", "-m", "onpaper", "-k", "known-failures")
    assert done.returncode == 1 and "no/such" in done.stdout, done.stdout
