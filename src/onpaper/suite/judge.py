"""The plan of a run and its verdicts: backend × clause × case, known failures applied, nothing skipped in silence."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from onpaper.clauses import EVERYTHING, Clause, Kind, View, case_id, nearest_clause, register
from onpaper.clauses.operations import operate
from onpaper.driving.declaration import Declared
from onpaper.driving.guard import guarded
from onpaper.driving.hall import Blocked, Hall
from onpaper.driving.known import apply_known
from onpaper.driving.play import Play, speaks
from onpaper.driving.run import Hung, Run
from onpaper.driving.stage import KEY, PLAIN, Setup, Stage
from onpaper.driving.verdict import Broken, NotApplicable, Verdict
from onpaper.driving.wrappers import learn
from onpaper.errors import BadInput
from onpaper.exchange import Exchange
from onpaper.gateway.masking import Masker, secrets_of

CASE_SECONDS = 60.0
"""The most that one case may take; each drive in it has a shorter limit of its own."""
BLOCKS = 4
"""How often one case may leave a blocked loop behind."""
ATTEMPTS = 3
SHORTEST_KEY = 20
"""What is shorter stands in for a key that there is none of (`EMPTY`, `sk-no-key-required`), and is worth telling."""


@dataclass(frozen=True)
class Item:
    """One verdict to come."""

    declared: Declared
    clause: Clause
    case: Any

    @property
    def id(self) -> str:
        return f"{self.declared.name}::{self.clause.id}[{case_id(self.case)}]"


def clauses_to_judge(patterns: Sequence[str] = ()) -> list[Clause]:
    """The clauses that backends are held to. `patterns` limit them to topics or ids. Raises BadInput when one of them
    matches nothing."""
    clauses = [one for one in register().values() if one.kind != "reply"]
    for pattern in patterns:
        if not any(_matches(one, pattern) for one in clauses):
            raise BadInput(f"no clause or topic is called {pattern!r}{nearest_clause(pattern, topics=True)}")
    return [one for one in clauses if not patterns or any(_matches(one, pattern) for pattern in patterns)]


def plan(declared: Declared, patterns: Sequence[str] = (), wanted: Callable[[Clause], bool] = lambda _: True) -> list[Item]:
    """The items of one backend, of the clauses that are `wanted`; the look at everything that happened comes last."""
    clauses = [one for one in clauses_to_judge(patterns) if wanted(one)]
    items = [Item(declared, one, case) for one in clauses for case in (one.cases(declared.contract) or ("none",))]
    return sorted(items, key=lambda item: item.case is EVERYTHING)


def _matches(clause: Clause, pattern: str) -> bool:
    return pattern in (clause.id, clause.topic)


class Judge:
    """Gives the verdicts of one worker. Use as a context manager.

    `patience` is how much of the usual time a drive may take before it counts as hung, and `attempts` how often a
    clause that measures time is judged before it blames; less of both is for subjects that are known to hang.
    """

    def __init__(self, *, patience: float = 1.0, attempts: int = ATTEMPTS) -> None:
        self._hall = Hall()
        self._stages: dict[str, Stage] = {}
        self._refused: dict[str, BadInput] = {}
        self._keys: dict[str, tuple[int, set[str]]] = {}
        self._patience, self._attempts = patience, attempts

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._hall.close()
        for name in tuple(self._stages):
            self.forget(name)

    def forget(self, name: str) -> None:
        """Let go of all that was seen of a backend: it is large, and strategies are remembered with their stage."""
        self._keys.pop(name, None)
        if stage := self._stages.pop(name, None):
            stage.seen.clear()
            stage.runs.clear()

    def stage(self, declared: Declared) -> Stage:
        """The stage of a backend. Raises BadInput when its factory cannot be imported or called."""
        if declared.name in self._refused:
            raise self._refused[declared.name]
        if declared.name not in self._stages:
            try:
                self._stages[declared.name] = self._set_up(declared)
            except BadInput as error:
                self._refused[declared.name] = error
                raise
        return self._stages[declared.name]

    def _set_up(self, declared: Declared) -> Stage:
        with guarded({}) as strayed:
            try:
                factory = declared.load()
            except BadInput as error:
                where = f" (it tried to reach {strayed[0]} while it was imported)" if strayed else ""
                raise BadInput(f"{_without_keys(str(error))}{where}") from None
        stage = Stage(declared, self._hall, factory, pace=self._patience, strayed=list(strayed))
        self._try_out(stage)
        return stage

    def _try_out(self, stage: Stage) -> None:
        """Make the backend as it is declared, and with the arguments of each time-out: an error about one that the factory
        does not take would pass for a time-out. Raises BadInput when that fails."""
        self._make(stage, PLAIN, "(model=…, base_url=…)", "give further arguments in the declaration's args, or a factory of your own")
        for which, args in stage.declared.timeouts.items():
            given = ", ".join(["model=…", "base_url=…", *(f"{name}={value!r}" for name, value in args.items())])
            self._make(stage, Setup(args=tuple(args.items())), f"({given})", f"timeouts.{which} in the declaration wants arguments of the factory")

    def _make(self, stage: Stage, setup: Setup, given: str, advice: str) -> None:
        async def make() -> Run:
            run = Run(stage.contract)
            async with stage.backend(run, setup=setup):
                pass
            if run.phase != "construct":
                await learn(stage)
            return run

        name = stage.declared.name
        try:
            run = self._hall.drive(make(), CASE_SECONDS, lambda: stage.due)
        except TimeoutError:
            said = f"the factory {stage.declared.factory} did not return, or closing what it made did not"
            raise BadInput(f"backend {name!r}: {said}; it was stopped") from None
        if run.phase == "construct":
            error = run.error
            where = f" after trying to reach {run.strayed[0]}, which onpaper refuses" if run.strayed else ""
            said = _without_keys(str(error))
            raise BadInput(f"backend {name!r}: {stage.declared.factory}{given} raised {type(error).__name__}{where}: {said}; {advice}")

    def verdict(self, item: Item) -> Verdict:
        """Judge one item, known failures applied."""
        return apply_known(item.declared.known_failures, self.found(item))

    def found(self, item: Item) -> Verdict:
        """Judge one item, as if there were no list of known failures."""
        clause, start = item.clause, time.monotonic()
        outcome, message = "kept", ""
        try:
            self._run_fairly(item)
        except NotApplicable as reason:
            outcome, message = "not-applicable", str(reason)
        except Broken as broken:
            outcome, message = "broken", str(broken)
        except TimeoutError as error:
            outcome, message = "broken", f"the backend was stopped: {error}"
        except BadInput:
            raise
        except Exception as error:
            outcome, message = "broken", _own_failure(error)
        return Verdict(
            item.declared.name,
            clause.id,
            case_id(item.case),
            clause.level,
            outcome,  # type: ignore[arg-type]
            self._masked(item, message),
            clause.source,
            time.monotonic() - start,
        )

    def _masked(self, item: Item, message: str) -> str:
        """A message without keys: ours has a name, and a backend may have found a real one where we did not look."""
        message = message.replace(KEY, "<key>")
        stage = self._stages.get(item.declared.name)
        if stage is None or not message:
            return message
        seen, keys = self._keys.get(item.declared.name, (0, set()))
        for run in stage.runs[seen:]:
            found = (one for each in (*run.made, *run.exchanges) for one in secrets_of(each.request))
            keys.update(one for one in found if len(one) >= SHORTEST_KEY and KEY not in one and " " not in one)  # not the scheme
        self._keys[item.declared.name] = len(stage.runs), keys
        return Masker(keys).text(message) if keys else message

    def _run_fairly(self, item: Item) -> None:
        """Judge an item, and blame nobody for what was played without a socket: then it is judged over one."""
        try:
            self._run_patiently(item)
        except (Broken, TimeoutError):
            if not self.stage(item.declared).over_sockets():
                raise
            self._run_patiently(item)

    def _run_patiently(self, item: Item) -> None:
        """Judge a clause that measures time up to three times before it blames: the machine may have been busy."""
        for attempt in range(self._attempts if item.clause.timed else 1):
            try:
                return self._run(item)
            except Broken:
                if attempt == self._attempts - 1 or not item.clause.timed:
                    raise
                self.stage(item.declared).seen.clear()
        return None

    def _run(self, item: Item) -> None:
        clause, declared = item.clause, item.declared
        if clause.protocol not in (None, declared.contract.protocol):
            raise NotApplicable(f"the provider speaks {declared.contract.protocol}, the clause is about {clause.protocol}")
        if item.case == "none":
            raise NotApplicable(f"there is no case of it for {declared.contract.name}: no recording")
        stage = self.stage(declared)
        if isinstance(item.case, Play):
            speaks(item.case, declared.contract)
        if clause.kind == "property":
            self._drive(stage, lambda: _not_hanging(stage))
            clause.judge(stage, item.case)
        elif clause.kind == "request":
            self._drive(stage, lambda: _judge_requests(stage, item))
        else:
            self._drive(stage, lambda: _call(clause, stage, item.case))

    def _drive(self, stage: Stage, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Drive what judges. When the subject had to be left behind, judge again what is known of it by now."""
        for _ in range(BLOCKS):
            try:
                return self._hall.drive(work(), CASE_SECONDS, lambda: stage.due)
            except Blocked as error:
                if not stage.left_behind(str(error)):
                    raise
        raise Blocked("it blocks the event loop, or will not be cancelled, again and again")


def _without_keys(text: str) -> str:
    """What the code of somebody says when it fails, without our key, and without one that it has of its own."""
    from onpaper.cassettes.redaction import without_keys

    return without_keys(text.replace(KEY, "<key>"))


def _own_failure(error: Exception) -> str:
    return f"onpaper itself failed here, which is no fault of the one that is judged: {type(error).__name__}: {error}"


async def _not_hanging(stage: Stage) -> None:
    """Demand that ordinary calls end: looking for a case that hangs would find nothing new. Raises NotApplicable."""
    for method, call in (("stream", stage.stream), ("complete", stage.complete)):
        if stage.takes(method, "self") and isinstance((await call()).error, Hung):
            raise NotApplicable(f"an ordinary {method}() hangs already")


async def _call(clause: Clause, stage: Stage, case: Any) -> None:
    value = clause.judge(stage, case)
    if inspect.isawaitable(value):
        await value
    await asyncio.sleep(0)


async def _judge_requests(stage: Stage, item: Item) -> None:
    """Judge the requests of one operation, or of everything else that was driven."""
    if item.case is EVERYTHING:
        runs: Iterable[Run] = [run for run in stage.runs[stage.looked_at :] if not run.notes.get("judged")]
    else:
        run = await operate(stage, item.case.id)
        if not run.exchanges:
            raise NotApplicable(f"{run.operation} made no request{run._raised()}")
        runs = [run]
    _judge_exchanges(item.clause, ((exchange, _view(stage, run)) for run in runs for exchange in (*run.made, *run.exchanges)))


def _view(stage: Stage, run: Run) -> View:
    key = run.key if stage.keyed and run.key and run.key.strip() == run.key else None
    return View(stage.contract, key, key is not None)


def _judge_exchanges(clause: Clause, pairs: Iterable[tuple[Exchange, View]]) -> None:
    reasons: list[str] = []
    judged = 0
    for exchange, view in pairs:
        if exchange.provoked:
            continue
        try:
            clause.judge(exchange, view)
            judged += 1
        except NotApplicable as reason:
            reasons.append(str(reason))
    if not judged:
        raise NotApplicable(reasons[0] if reasons else "there was no request to judge")


def judge_exchange(
    exchange: Exchange, view: View, subject: str, case: str, kinds: Collection[Kind] = ("request", "reply")
) -> Iterator[Verdict]:
    """The verdicts of every clause that judges one exchange: requests and replies, or one of the two. Nothing is driven."""
    for clause in register().values():
        if clause.kind not in kinds or (clause.kind == "request" and exchange.provoked):
            continue
        outcome, message = "kept", ""
        try:
            clause.judge(exchange, view)
        except NotApplicable as reason:
            outcome, message = "not-applicable", str(reason)
        except Broken as broken:
            outcome, message = "broken", str(broken)
        except Exception as error:
            outcome, message = "broken", _own_failure(error)
        yield Verdict(subject, clause.id, case, clause.level, outcome, message, clause.source)  # type: ignore[arg-type]
