"""The list of known failures itself: what it excuses, and what is said when it is wrong."""

from __future__ import annotations

import datetime
import io

from rich.console import Console

from onpaper.driving import declaration
from onpaper.driving.declaration import Declared
from onpaper.driving.verdict import Verdict
from onpaper.report import terminal
from onpaper.report.summary import paste
from onpaper.suite.known import apply_known, stale_failures

TODAY = datetime.date(2026, 11, 20)
BROKEN = Verdict("mine", "sse/bom", "sse-bom@mock/whole", "must", "broken", "it broke", "https://example.com")


def declared(*entries: dict[str, str]) -> Declared:
    return declaration.declare("mine", {"factory": "a:b", "contract": "litellm", "known-failures": entries})


def entry(**more: str) -> dict[str, str]:
    return {"clause": "sse/bom", "reason": "issue 41", **more}


def test_an_entry_that_holds_excuses_what_one_that_has_expired_does_not() -> None:
    both = declared(entry(expires="2026-11-19"), entry())
    assert apply_known(both, BROKEN, TODAY).verdict == "known"
    assert apply_known(declared(entry(expires="2026-11-19")), BROKEN, TODAY).verdict == "broken"


def test_what_is_wrong_with_the_list_is_not_to_be_added_to_it() -> None:
    wrong = declared(entry(clause="sse/bob"), entry(case="nope"), entry(expires="2026-11-19"))
    found = [*stale_failures(wrong, [], complete=True, today=TODAY)]
    passes = apply_known(declared(entry(case=BROKEN.case)), Verdict("mine", "sse/bom", BROKEN.case, "must", "kept"), TODAY)
    assert len(found) == 3 and passes.verdict == "broken"
    assert paste([*found, passes]) == ""


def test_what_is_wrong_with_the_list_is_said_without_the_rule_that_is_not_broken() -> None:
    file = io.StringIO()
    found = stale_failures(declared(entry(case="nope")), [], complete=False, today=TODAY)
    terminal.report(Console(file=file, width=200), found, False, 1.0)
    assert "the known failures list case 'nope' of sse/bom" in file.getvalue()
    assert not {"rule", "source", "to do", "To"} & set(file.getvalue().split())
