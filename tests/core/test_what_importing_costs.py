"""The package gives its names when they are asked for, and imports nothing before."""

from __future__ import annotations

import subprocess
import sys

import pytest

import onpaper
from onpaper.contract import Contract
from onpaper.errors import BadInput
from onpaper.mock import Mock

HEAVY = (
    "httpx",
    "hypothesis",
    "jsonschema_rs",
    "httptools",
    "asyncio",
    "rich",
    "typer",
    "yaml",
    "vcr",
    "pytest",
)


def loaded_after(statement: str) -> set[str]:
    asked = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stdout.split())


def test_the_package_alone_imports_nothing_heavy():
    loaded = loaded_after("import onpaper")
    assert not loaded & set(HEAVY) and not {name for name in loaded if name.startswith("onpaper.")}


def test_a_contract_and_a_mock_need_no_client_and_no_server():
    loaded = loaded_after("import onpaper; onpaper.Contract.load('groq'); onpaper.Mock.load('hello')")
    assert not loaded & (set(HEAVY) - {"jsonschema_rs"})


def test_the_reference_backends_need_httpx_and_nothing_else():
    loaded = loaded_after("from onpaper.backends import make_backend")
    assert "httpx" in loaded and not loaded & {
        "jsonschema_rs",
        "httptools",
        "hypothesis",
        "yaml",
        "vcr",
        "pytest",
        "typer",
    }


@pytest.mark.parametrize("name", onpaper.__all__)
def test_every_public_name_is_there(name):
    assert getattr(onpaper, name) is getattr(onpaper, name)


def test_public_names_are_the_things_themselves():
    assert (onpaper.Contract, onpaper.Mock, onpaper.BadInput) == (Contract, Mock, BadInput)


def test_a_name_that_is_not_there_is_an_ordinary_error():
    with pytest.raises(AttributeError, match="module 'onpaper' has no attribute 'Backend'"):
        _ = onpaper.Backend
