"""Known failures: still judged, and red as soon as the list is wrong."""

from __future__ import annotations

import datetime
import io
from typing import Any

import pytest
from rich.console import Console

from onpaper.contract import Contract
from onpaper.driving.declaration import Declared
from onpaper.driving.known import KnownFailure, apply_known
from onpaper.driving.verdict import Verdict
from onpaper.report import terminal
from onpaper.report.summary import paste
from onpaper.suite.known import stale_failures

TODAY = datetime.date(2026, 11, 29)
CLAUSE = "stream/unknown-finish"


def verdict(outcome: Any, case: str = "one", level: str = "should") -> Verdict:
    return Verdict("mine", CLAUSE, case, level, outcome, "found")


def known(case: str | None = "one", reason: str = "issue 41", **more: Any) -> KnownFailure:
    return KnownFailure(CLAUSE, reason, case, **more)


def wrong(*entries: KnownFailure, verdicts: tuple[Verdict, ...] = (), complete: bool = True) -> list[Verdict]:
    declared = Declared("mine", "m:f", Contract.load("openai"), known_failures=entries)
    return stale_failures(declared, verdicts, complete, TODAY)


def stale(entry: KnownFailure, *verdicts: Verdict, complete: bool = True) -> list[str]:
    return [one.message for one in wrong(entry, verdicts=verdicts, complete=complete)]


def test_what_is_listed_and_broken_is_known_and_says_why() -> None:
    found = apply_known([known(source="https://example.org/41")], verdict("broken"), TODAY)
    assert (found.verdict, found.level) == ("known", "should")
    assert found.message == "issue 41 (https://example.org/41) — found"


def test_what_is_listed_and_kept_is_red_whatever_its_level() -> None:
    found = apply_known([known()], verdict("kept"), TODAY)
    assert (found.verdict, found.level) == ("broken", "must")
    assert found.message == "listed as a known failure (issue 41), and it passes: remove the entry"


@pytest.mark.parametrize("outcome", ["broken", "kept"])
def test_what_is_not_listed_stays_as_it_is(outcome: str) -> None:
    assert apply_known([known("another")], verdict(outcome), TODAY) == verdict(outcome)


def test_an_entry_that_has_expired_excuses_nothing() -> None:
    last_day = apply_known([known(expires=TODAY)], verdict("broken"), TODAY)
    found = apply_known([known(expires=TODAY - datetime.timedelta(1))], verdict("broken"), TODAY)
    assert last_day.verdict == "known"
    assert (found.verdict, found.level) == ("broken", "must") and "expired on 2026-11-28" in found.message


def test_a_glob_lists_each_of_its_cases() -> None:
    assert apply_known([known("o*")], verdict("broken"), TODAY).verdict == "known"
    assert apply_known([known("o*")], verdict("broken", "two"), TODAY).verdict == "broken"
    assert apply_known([known("o*")], verdict("kept"), TODAY).message.endswith("it passes: remove or narrow the entry")


def test_a_case_is_listed_by_its_own_id_whatever_signs_it_has() -> None:
    assert apply_known([known("one[1]")], verdict("broken", "one[1]"), TODAY).verdict == "known"


def test_the_entry_of_the_very_case_comes_before_a_glob_and_that_before_one_for_all() -> None:
    entries = [known(None, "all"), known("o*", "glob"), known("one", "very")]
    said = [apply_known(entries, verdict("broken", case), TODAY).message for case in ("one", "other", "two")]
    assert said == ["very — found", "glob — found", "all — found"]


def test_an_entry_of_no_clause_and_one_of_no_case_are_red() -> None:
    (unknown,), (nothing,) = stale(KnownFailure("stream/unknown-finnish", "why")), stale(known("nothing*"))
    assert unknown.startswith(f"the known failures list 'stream/unknown-finnish', which is no clause; did you mean {CLAUSE!r}?")
    assert nothing.startswith(f"the known failures list case 'nothing*' of {CLAUSE}")


def test_an_entry_for_all_cases_is_red_when_every_case_passes_in_a_whole_run() -> None:
    kept = verdict("kept", "unknown-finish@mock/whole"), verdict("not-applicable", "another")
    assert [one.endswith("every case passes: remove the entry") for one in stale(known(None), *kept)] == [True]
    assert stale(known(None), *kept, complete=False) == stale(known(None), verdict("known"), *kept) == []


def test_an_entry_that_holds_excuses_what_one_that_has_expired_does_not() -> None:
    both = [known(expires=TODAY - datetime.timedelta(1)), known()]
    assert apply_known(both, verdict("broken"), TODAY).verdict == "known"


def test_what_is_wrong_with_the_list_is_not_to_be_added_to_it() -> None:
    found = wrong(KnownFailure("sse/bob", "why"), known("nope"), known(expires=TODAY - datetime.timedelta(1)))
    passes = apply_known([known()], verdict("kept"), TODAY)
    assert len(found) == 3 and paste([*found, passes]) == ""


def test_what_is_wrong_with_the_list_is_said_without_the_rule_that_is_not_broken() -> None:
    file = io.StringIO()
    terminal.report(Console(file=file, width=200), wrong(known("nope")), False, 1.0)
    assert f"the known failures list case 'nope' of {CLAUSE}" in file.getvalue()
    assert not {"rule", "source", "to do", "To"} & set(file.getvalue().split())
