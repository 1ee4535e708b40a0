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
        """Look for a case that breaks the rule. Where it needs no socket, one is used only before anybody is blamed."""
        if not rule.socket and _kept_without(rule, stage):
            return
        found = _search(rule, stage, socket=True)
        if found is not None:
            raise Broken(f"smallest case found: {found}")

    return judge


def _kept_without(rule: Property, stage: Any) -> bool:
    try:
        return _search(rule, stage, socket=False) is None
    except TimeoutError:
        stage.stopped = ""
        return False


def _search(rule: Property, stage: Any, socket: bool) -> Any:
    from onpaper.strategies.search import SHRINKING, search
    from onpaper.strategies.staged import subject_on

    with subject_on(stage, socket=socket) as (subject, run):
        reason = rule.applies(subject)
        if reason:
            raise NotApplicable(reason)
        return search(rule, subject, run, shrinking=SHRINKING * stage.pace if socket else 0)


for _id, _rule in properties().items():
    enter(
        _id, "property", "must", _rule.rule, _rule.fix, "Single cases are what somebody thought of.",
        _rule.source, (), lambda _: ONCE, _judge(_rule),
    )  # fmt: skip
