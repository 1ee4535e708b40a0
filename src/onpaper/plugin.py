"""The pytest plugin: fixtures for everybody, and one item per backend × clause × case where backends are declared.

It is loaded by every pytest run of an environment that has onpaper, so nothing heavy is imported before it is needed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from onpaper.cassettes.fixture import CassetteGateway, RespxCassette
    from onpaper.gateway import Gateway, RespxGateway

ITEMS = "pyproject.toml"
"""The suite's items are collected from this file: `pytest pyproject.toml` runs them alone."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("onpaper", "contract tests of LLM backends")
    group.addoption("--no-onpaper", action="store_true", help="do not run the contract suite")
    group.addoption("--onpaper-strict", action="store_true", help="a broken `should` makes the run red as well")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "onpaper: a clause of the contract suite, judged on one declared backend")
    chosen_by_testpaths = getattr(config, "args_source", None) is pytest.Config.ArgsSource.TESTPATHS
    if chosen_by_testpaths and _declares(config.rootpath / ITEMS) and not config.getoption("no_onpaper"):
        config.args.append(str(config.rootpath / ITEMS))


def _declares(path: Path) -> bool:
    """Whether a pyproject.toml asks for the suite: by declaring backends, or by `[tool.onpaper] pytest = true`."""
    try:
        text = path.read_text("utf-8")
        if "tool.onpaper" not in text:
            return False
        table = tomllib.loads(text).get("tool", {}).get("onpaper", {})
        return bool(table.get("pytest", "backends" in table))
    except (OSError, ValueError):
        return False
    except AttributeError:  # no tables: reading the declaration says so
        return True


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    config = parent.config
    if file_path != config.rootpath / ITEMS or config.getoption("no_onpaper") or not _declares(file_path):
        return None
    from onpaper.suite import items

    return items.SuiteFile.from_parent(parent, path=file_path)


@pytest.hookimpl(optionalhook=True)  # unknown where xdist is not installed
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep a backend's items on one worker, where each drive happens once and is remembered."""
    if config.getoption("dist", "no") != "load" or not _declares(config.rootpath / ITEMS):
        return None
    from onpaper.suite.scheduling import scheduler

    return scheduler(config, log, ITEMS)


def pytest_unconfigure(config: pytest.Config) -> None:
    import sys

    items = sys.modules.get("onpaper.suite.items")
    if items is not None:
        items.close(config)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """A fake gateway on a real socket of 127.0.0.1: `gateway.play("cut-mid-event", provider="openai")`.

    A scripted fault that never fired fails the test, and so does a request that could not be answered as scripted.
    """
    from onpaper.gateway import Gateway

    with Gateway() as served:
        yield served
        served.check()


@pytest.fixture
def respx_gateway() -> Iterator[RespxGateway]:
    """The same gateway without a socket, for httpx clients, through respx."""
    import respx

    from onpaper.gateway import RespxGateway

    with respx.mock(assert_all_called=False) as router:
        served = RespxGateway(router)
        yield served
        served.check()


@pytest.fixture
def cassette() -> Iterator[CassetteGateway]:
    """Recordings on a real socket: `cassette.play("vllm/tools")`.

    A request that was not recorded fails the test, and so does a cassette that is left unplayed.
    """
    from onpaper.cassettes.fixture import on_a_socket

    yield from on_a_socket()


@pytest.fixture
def respx_cassette() -> Iterator[RespxCassette]:
    """The same recordings without a socket, for httpx clients, through respx."""
    from onpaper.cassettes.fixture import through_respx

    yield from through_respx()
