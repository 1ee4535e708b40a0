"""A clause that cannot fail is a defect.

Each has a subject that breaks it for its own reason, and a correct one that keeps it. `python tests/broken`
judges every subject by every clause.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from onpaper.clauses import register
from onpaper.suite.judge import Judge, judge_exchange, plan

from .broken.exchanges import table as exchanges
from .broken.matrix import KEPT
from .broken.table import CORRECT, broken

BACKENDS = broken()
WIRES = exchanges.broken()
AIMS = [(subject.name, clause) for subject in BACKENDS.values() for clause in subject.aims]
TOPICS = sorted({one.topic for one in register().values() if one.kind != "reply"})

# Broken clients leave behind what Python warns of; the clauses judge it.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge() as judge:
        yield judge


@pytest.fixture(scope="module")
def hasty() -> Iterator[Judge]:
    """A judge for subjects that are known to hang."""
    with Judge(patience=0.5, attempts=1) as judge:
        yield judge


@pytest.fixture(scope="module", autouse=True)
def _only_their_own_garbage() -> Iterator[None]:
    """What hundreds of megabytes of other tests hold is not looked through again after each of these, nor by the clauses,
    which look for garbage while their time runs."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """What a broken client leaves behind is found here, and not in somebody else's test."""
    yield
    gc.collect()


def test_every_clause_has_a_broken_subject() -> None:
    aimed = {clause for subject in (*BACKENDS.values(), *WIRES.values()) for clause in subject.aims}
    assert sorted(aimed ^ set(register())) == []


def test_every_broken_subject_is_there_to_break_a_clause_and_says_what_is_wrong_with_it() -> None:
    assert [one.name for one in (*BACKENDS.values(), *WIRES.values()) if not one.aims or not one.fault] == []


@pytest.mark.parametrize(("name", "clause"), AIMS, ids=[f"{clause}-{name}" for name, clause in AIMS])
def test_a_broken_backend_is_blamed_for_its_own_reason(hasty: Judge, name: str, clause: str) -> None:
    subject, said = BACKENDS[name], []
    try:
        for item in plan(subject.declared(), [clause]):
            verdict = hasty.verdict(item)
            said.append(f"[{verdict.case}] {verdict.verdict}: {verdict.message[:500]}")
            if verdict.verdict == "broken" and subject.aims[clause] in verdict.message:
                return
    finally:
        hasty.forget(name)
    pytest.fail(f"{clause} does not say {subject.aims[clause]!r} of {name}:\n" + "\n".join(said))


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("contract", CORRECT)
def test_a_correct_backend_is_blamed_for_nothing_and_keeps_what_the_broken_ones_break(
    judge: Judge, contract: str, topic: str
) -> None:
    verdicts = [judge.verdict(item) for item in plan(CORRECT[contract].declared(), [topic])]
    assert [f"{one.id}: {one.message}" for one in verdicts if one.verdict == "broken"] == []
    kept = {one.clause for one in verdicts if one.verdict == "kept"}
    aimed = {clause for one in BACKENDS.values() if one.contract == contract for clause in one.aims}
    assert sorted(clause for clause in aimed - kept if clause.startswith(f"{topic}/")) == []


@pytest.mark.parametrize("name", WIRES)
def test_a_broken_exchange_is_blamed_for_its_own_reason(name: str) -> None:
    wire = WIRES[name]
    said = {
        one.clause: one.message
        for one in judge_exchange(wire.exchange, wire.view, name, "exchange")
        if one.verdict == "broken"
    }
    for clause, words in wire.aims.items():
        assert words in said.get(clause, "nothing")


def test_the_correct_exchanges_are_blamed_for_nothing_and_keep_what_the_broken_ones_break() -> None:
    verdicts = [
        one
        for wire in exchanges.CORRECT
        for one in judge_exchange(wire.exchange, wire.view, wire.name, "exchange")
    ]
    assert [f"{one.id}: {one.message}" for one in verdicts if one.verdict == "broken"] == []
    kept = {one.clause for one in verdicts if one.verdict == "kept"}
    assert sorted({clause for wire in WIRES.values() for clause in wire.aims} - kept) == []


def test_the_kept_matrix_has_a_row_for_every_broken_subject_with_what_it_is_there_to_break() -> None:
    rows = [line.split(" | ") for line in KEPT.read_text("utf-8").splitlines() if line.startswith("| `")]
    drawn = {row[0].strip("| `"): row[2] for row in rows}
    for subject in (*BACKENDS.values(), *WIRES.values()):
        for clause in subject.aims:
            assert clause.partition("/")[2] in drawn.get(
                subject.name, f"no row for {subject.name}: python tests/broken --write"
            )
