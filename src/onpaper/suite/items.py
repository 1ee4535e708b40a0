"""The suite as pytest items: one per backend × clause × case, with ids that stay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from onpaper.clauses import case_id, register
from onpaper.driving import declaration
from onpaper.driving.declaration import Declared
from onpaper.driving.verdict import Verdict
from onpaper.errors import BadInput
from onpaper.report.summary import is_red
from onpaper.suite.check import quiet
from onpaper.suite.judge import Item, Judge, plan
from onpaper.suite.known import stale_failures

JUDGE = pytest.StashKey[Judge]()
VERDICTS = pytest.StashKey[dict[str, list[Verdict]]]()


def close(config: pytest.Config) -> None:
    """Stop the worker's threads."""
    judge = config.stash.get(JUDGE, None)
    if judge is not None:
        judge.close()
        del config.stash[JUDGE]


def _judge(config: pytest.Config) -> Judge:
    if JUDGE not in config.stash:
        quiet()
        config.stash[JUDGE] = Judge()
        config.stash[VERDICTS] = {}
    return config.stash[JUDGE]


class SuiteFile(pytest.File):
    """The declarations of a pyproject.toml."""

    def collect(self) -> Iterator[pytest.Collector]:
        try:
            backends = declaration.read(self.path.parent)
        except BadInput as error:
            raise self.CollectError(str(error)) from None
        for declared in backends.values():
            yield BackendCollector.from_parent(self, name=declared.name, declared=declared)


class BackendCollector(pytest.Collector):
    """One declared backend."""

    def __init__(self, declared: Declared, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.declared = declared

    def collect(self) -> Iterator[pytest.Item]:
        for item in plan(self.declared):
            name = f"{item.clause.id}[{case_id(item.case)}]"
            # the same id that pytest would make, but not read as a name with parameters, which --lf cannot find again
            yield ClauseItem.from_parent(self, name=name, nodeid=f"{self.nodeid}::{name}", item=item)
        if self.declared.known_failures:
            yield KnownFailuresItem.from_parent(self, name="known-failures", declared=self.declared)


class ClauseItem(pytest.Item):
    """One clause on one case."""

    def __init__(self, item: Item, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.judged = item
        self.add_marker(pytest.mark.onpaper)
        self.user_properties += [("clause", item.clause.id), ("level", item.clause.level), ("source", item.clause.source)]

    def runtest(self) -> None:
        try:
            verdict = _judge(self.config).verdict(self.judged)
        except BadInput as error:
            pytest.fail(str(error), pytrace=False)
        self.config.stash[VERDICTS].setdefault(verdict.backend, []).append(verdict)
        self.user_properties.append(("verdict", verdict.verdict))
        if verdict.verdict == "not-applicable":
            pytest.skip(verdict.message)
        if verdict.verdict == "known":
            pytest.xfail(verdict.message)
        if verdict.verdict == "broken":
            if is_red(verdict, self.config.getoption("onpaper_strict")):
                raise ClauseBroken(verdict)
            pytest.xfail(f"should: {verdict.message}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, ClauseBroken):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        return self.path, None, self.judged.id


class ClauseBroken(AssertionError):
    """A broken promise as pytest shows it: what broke, the rule, its source, the bytes, what to do."""

    def __init__(self, verdict: Verdict) -> None:
        clause = register()[verdict.clause]
        rows = [
            f"{verdict.backend} breaks {verdict.clause} ({verdict.level})",
            f"rule:   {clause.rule}",
            f"found:  {verdict.message}",
            *([f"to do:  {' '.join(clause.fix.split())}"] if clause.fix else []),
            *([f"source: {verdict.source}"] if verdict.source else []),
        ]
        super().__init__("\n".join(rows))


class KnownFailuresItem(pytest.Item):
    """The list of known failures itself: unknown ids and entries that nothing breaks any more are red."""

    def __init__(self, declared: Declared, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.declared = declared
        self.add_marker(pytest.mark.onpaper)

    def runtest(self) -> None:
        _judge(self.config)
        verdicts = self.config.stash[VERDICTS].get(self.declared.name, [])
        whole = len(verdicts) >= len(plan(self.declared))
        stale = stale_failures(self.declared, verdicts, complete=whole)
        if stale:
            pytest.fail("\n".join(f"{one.clause} [{one.case}]: {one.message}" for one in stale), pytrace=False)
