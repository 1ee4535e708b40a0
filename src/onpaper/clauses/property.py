"""The properties: rules that hold for any parameters, any reply and any cut; Hypothesis looks for a case that breaks them.

They are written in `onpaper.strategies`; here each becomes a clause, judged with the same cases on every run.
"""

from __future__ import annotations

from typing import Any

from onpaper.clauses import ONCE, enter
from onpaper.driving.verdict import Broken, NotApplicable
from onpaper.strategies.properties import Property, properties


def _judge(rule: Property) -> Any:
    def judge(stage: Any, case: Any) -> None:
        """Look for a case that breaks the rule, on a gateway of its own."""
        from onpaper.strategies.search import SHRINKING, search
        from onpaper.strategies.staged import subject_on

        with subject_on(stage) as (subject, run):
            reason = rule.applies(subject)
            if reason:
                raise NotApplicable(reason)
            found = search(rule, subject, run, shrinking=SHRINKING * stage.pace)
        if found is not None:
            raise Broken(f"smallest case found: {found}")

    return judge


for _id, _rule in properties().items():
    enter(
        _id, "property", "must", _rule.rule, _rule.fix, "Single cases are what somebody thought of.",
        _rule.source, (), lambda _: ONCE, _judge(_rule),
    )  # fmt: skip
