"""The register of clauses against the catalogue that it was drawn from."""

from __future__ import annotations

import re

import pytest

from onpaper.clauses import register
from onpaper.clauses.catalogue import LEFT_OUT

CLAUSES = register()


def test_every_behaviour_of_the_catalogue_is_covered_or_left_out_with_a_reason() -> None:
    covered = {number for one in CLAUSES.values() for number in one.covers}
    assert set(range(1, 188)) - covered - set(LEFT_OUT) == set()


def test_nothing_that_is_covered_is_called_left_out() -> None:
    covered = {number for one in CLAUSES.values() for number in one.covers}
    assert covered & set(LEFT_OUT) == set()


def test_there_are_enough_clauses_after_merging() -> None:
    assert len(CLAUSES) >= 120


@pytest.mark.parametrize("name", CLAUSES)
def test_a_clause_says_its_rule_its_reason_and_its_source(name: str) -> None:
    clause = CLAUSES[name]
    assert re.fullmatch(r"[a-z0-9]+/[a-z0-9-]+", name)
    assert clause.rule.endswith(".") and clause.why.endswith(".")
    assert clause.source.startswith("https://")
    assert clause.level in ("must", "should")
