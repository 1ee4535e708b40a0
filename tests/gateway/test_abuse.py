"""A small run of the hostile clients in benchmarks/gateway_abuse.py."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "gateway_abuse.py"


@pytest.fixture(scope="module")
def abuse():
    spec = importlib.util.spec_from_file_location("gateway_abuse", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("seed", [1, 2])
def test_hostile_clients_never_break_it(abuse, seed):
    assert abuse.run(1500, seed, say=lambda text: None) == []


def test_a_gateway_that_breaks_is_noticed(abuse, monkeypatch):
    from onpaper.gateway.reading import Reader

    def fails(reader: Reader, data: bytes) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(Reader, "on_body", fails)
    wrong = abuse.run(200, 1, say=lambda text: None)
    assert any("a good request got" in sentence for sentence in wrong)
    assert any("ZeroDivisionError: a defect" in sentence for sentence in wrong)
