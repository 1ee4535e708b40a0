"""Looking for the smallest case: the same one each time, within bounds, and nobody else's mistakes."""

from __future__ import annotations

import asyncio
import doctest
import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.database import InMemoryExampleDatabase

from onpaper import backends, strategies
from onpaper.contract import Contract
from onpaper.driving.verdict import Broken
from onpaper.gateway import Gateway
from onpaper.strategies.properties import Property
from onpaper.strategies.subject import Subject, takes_of

SUBJECT = Subject(lambda **given: None, Contract.load("openai"), None)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def run() -> Iterator[Any]:
    with asyncio.Runner() as runner:
        yield runner.run


def rule(judge: Any, cases: Any = None, examples: int = 50) -> Property:
    """A property of numbers."""
    drawn = st.integers(0, 1000) if cases is None else cases
    return Property("test/rule", "A rule.", "", "", lambda _: drawn, judge, examples=examples)


async def at_most_ten(subject: Subject, case: int) -> None:
    if case > 10:
        raise Broken(f"{case} is more than ten")


def test_the_cases_are_the_same_whatever_else_is_loaded(run: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[Any]] = []

    async def note(subject: Subject, case: Any) -> None:
        seen[-1].append(case)

    def look() -> None:
        seen.append([])
        strategies.search(rule(note, st.integers(), examples=500), SUBJECT, run)

    look()
    (tmp_path / "of_a_project.py").write_text(f"NUMBERS = {[10**6 + 7 * number for number in range(900)]}")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("of_a_project")
    look()
    assert seen[0] == seen[1]


def test_the_smallest_case_is_found_and_named(run: Any) -> None:
    found = strategies.search(rule(at_most_ten), SUBJECT, run)
    assert found is not None
    assert (found.case, str(found.broken), str(found)) == (
        11,
        "11 is more than ten",
        "11\n11 is more than ten",
    )


def test_nothing_is_found_where_the_rule_holds(run: Any) -> None:
    assert strategies.search(rule(at_most_ten, st.integers(0, 10)), SUBJECT, run) is None


def test_the_same_seed_tries_the_same_cases(run: Any) -> None:
    def tried(seed: int) -> list[int]:
        seen: list[int] = []

        async def note(subject: Subject, case: int) -> None:
            seen.append(case)

        strategies.search(rule(note), SUBJECT, run, seed=seed)
        return seen

    assert tried(1) == tried(1) != tried(2)


def test_no_more_cases_are_tried_than_asked_for(run: Any) -> None:
    seen: list[int] = []

    async def note(subject: Subject, case: int) -> None:
        seen.append(case)

    strategies.search(rule(note, examples=7), SUBJECT, run)
    strategies.search(rule(note), SUBJECT, run, examples=5)
    assert len(seen) == 12


def test_an_error_that_is_not_the_backends_is_passed_on(run: Any) -> None:
    async def fail(subject: Subject, case: int) -> None:
        raise RuntimeError("ours")

    with pytest.raises(RuntimeError, match="ours"):
        strategies.search(rule(fail), SUBJECT, run)


def test_a_case_that_breaks_only_once_is_told_all_the_same(run: Any) -> None:
    seen: list[int] = []

    async def once(subject: Subject, case: int) -> None:
        seen.append(case)
        if len(seen) == 3:
            raise Broken("this time")

    found = strategies.search(rule(once), SUBJECT, run)
    assert found is not None and str(found.broken) == "this time"


def test_shrinking_ends_when_its_time_is_over(run: Any) -> None:
    failed: list[int] = []

    async def never(subject: Subject, case: int) -> None:
        failed.append(case)
        raise Broken("never")

    found = strategies.search(rule(never, st.integers(500, 1000)), SUBJECT, run, shrinking=0.0)
    assert found is not None
    assert failed == [found.case]


def test_a_case_found_before_is_tried_first(run: Any) -> None:
    database = InMemoryExampleDatabase()
    strategies.search(rule(at_most_ten), SUBJECT, run, database=database)
    seen: list[int] = []

    async def note(subject: Subject, case: int) -> None:
        seen.append(case)
        await at_most_ten(subject, case)

    strategies.search(rule(note), SUBJECT, run, database=database, seed=5)
    assert seen[0] == 11


def test_each_property_keeps_its_own_cases(run: Any) -> None:
    database = InMemoryExampleDatabase()
    strategies.search(rule(at_most_ten), SUBJECT, run, database=database)
    seen: list[int] = []

    async def note(subject: Subject, case: int) -> None:
        seen.append(case)

    strategies.search(replace(rule(note), id="test/other"), SUBJECT, run, database=database)
    assert seen[0] == 0


@pytest.mark.parametrize("name", ["VLLMBackend", "LiteLLMBackend", "OllamaBackend"])
def test_the_reference_backends_keep_every_property_on_a_socket(name: str, run: Any) -> None:
    made = getattr(backends, name)
    contract = Contract.load(made.name)
    key = "sk-test" if contract.get("auth.required") else None
    with Gateway() as gateway:

        def make(**given: Any) -> Any:
            return made(base_url=gateway.url, **given, **({"api_key": key} if key else {}))

        subject = Subject(make, contract, gateway, key, takes_of(made))
        for one in strategies.properties().values():
            assert one.applies(subject) == ""
            found = strategies.search(one, subject, run, examples=10)
            assert found is None, str(found)


def test_a_backend_without_a_method_is_not_asked_for_it(run: Any) -> None:
    class OnlyStreams(backends.VLLMBackend):
        complete = prefill = list_models = set_model = None  # type: ignore[assignment]

    with Gateway() as gateway:
        subject = Subject(
            lambda **given: OnlyStreams(base_url=gateway.url, **given),
            Contract.load("vllm"),
            gateway,
            takes=takes_of(OnlyStreams),
        )
        for one in strategies.properties().values():
            assert strategies.search(one, subject, run, examples=6) is None


def test_a_backend_that_hangs_is_broken_and_not_waited_for(run: Any) -> None:
    class Hangs(backends.VLLMBackend):
        async def complete(self, *args: Any, **kwargs: Any) -> Any:
            await asyncio.Event().wait()

    with Gateway() as gateway:
        subject = Subject(
            lambda **given: Hangs(base_url=gateway.url, **given),
            Contract.load("vllm"),
            gateway,
            patience=0.05,
        )
        only = replace(strategies.properties()["property/zeros-kept"], examples=30)
        found = strategies.search(only, subject, run, shrinking=0.0)
    assert found is not None and "complete() hung" in str(found.broken)


def test_what_a_class_takes_is_read_from_its_signatures() -> None:
    takes = takes_of(backends.VLLMBackend)
    assert takes("stream", "top_k") and takes("__init__", "sampling") and takes("prefill", "self")
    assert not takes("stream", "tools") and not takes("nothing", "self")


def test_every_example_in_the_documentation_runs() -> None:
    settings.register_profile("unhurried", deadline=None, max_examples=20)
    settings.load_profile("unhurried")
    ran = 0
    names = [module.name for module in pkgutil.iter_modules(strategies.__path__, "onpaper.strategies.")]
    for name in ["onpaper.strategies", *names]:
        result = doctest.testmod(importlib.import_module(name))
        assert result.failed == 0
        ran += result.attempted
    settings.load_profile("ci")
    assert ran > 20


def test_hypothesis_is_not_imported_before_it_is_asked_for() -> None:
    code = "import sys, onpaper; print('hypothesis' in sys.modules); onpaper.strategies; print('hypothesis' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["False", "True"]


def test_it_runs_where_hypothesis_says_its_folder_as_a_path(run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = importlib.import_module("onpaper.strategies.search")
    homes: list[Path] = []
    monkeypatch.setattr(module, "storage_directory", lambda intent_to_write: tmp_path)  # as before version 6.152
    monkeypatch.setattr(module, "set_hypothesis_home_dir", homes.append)

    async def judge(subject: Subject, number: int) -> None:
        pass

    assert module.search(rule(judge), SUBJECT, run) is None
    assert homes[-1] == tmp_path
