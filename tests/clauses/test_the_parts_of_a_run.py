"""A run is cut into parts: together they judge every item, and each item gets one verdict."""

from __future__ import annotations

from collections import Counter

import pytest

from onpaper.clauses import EVERYTHING
from onpaper.driving import declaration
from onpaper.driving.verdict import Verdict
from onpaper.suite.judge import clauses_to_judge, plan
from onpaper.suite.parts import items_of, merged, parts

BACKENDS = declaration.read()


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("patterns", [(), ("auth",), ("sse/bom", "property/precedence", "connection/released")])
def test_every_item_is_in_one_part_but_for_those_that_look_at_everything(name, patterns):
    declared = BACKENDS[name]
    counts = Counter(
        item.id for part in parts(clauses_to_judge(patterns)) for item in items_of(part, declared, patterns)
    )
    planned = plan(declared, patterns)
    assert counts.keys() == {item.id for item in planned}
    assert {counts[item.id] for item in planned if item.case is not EVERYTHING} == {1}


def test_those_look_at_each_part_that_drives_in_the_open():
    looking = [part for part in parts(clauses_to_judge()) if any(item.case is EVERYTHING for item in items_of(part, BACKENDS["ollama"], ()))]
    assert looking == [part for part in parts(clauses_to_judge()) if not part.startswith("property/")]


def test_the_worst_verdict_of_an_item_counts():
    said = [Verdict("one", "auth/header", "everything-else", "must", outcome) for outcome in ("not-applicable", "broken", "kept")]
    assert [one.verdict for one in merged(said)] == ["broken"]
