"""What a tap makes of the exchanges that pass: verdicts by a contract, and recordings without secrets."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import SplitResult

from onpaper.cassettes.cassette import INVALID_ORIGIN, Cassette, CassetteError, Provenance
from onpaper.cassettes.judging import kind_of, known_failures, readable, replies_of
from onpaper.cassettes.recorder import is_loopback, recorder_name
from onpaper.cassettes.redaction import Redactor
from onpaper.cassettes.store import save
from onpaper.clauses import View
from onpaper.contract import Contract
from onpaper.driving.known import apply_known
from onpaper.driving.verdict import Verdict
from onpaper.exchange import Exchange
from onpaper.gateway.masking import secrets_of
from onpaper.suite.judge import judge_exchange


@dataclass(frozen=True, slots=True)
class Passed:
    """What came of one exchange. `kind` is `chat`, `stream`, `models`, or empty for a path that is not the
    contract's: then it is not judged. `path` is its recording, `problem` why there is none."""

    exchange: Exchange
    kind: str
    verdicts: tuple[Verdict, ...] = ()
    path: Path | None = None
    problem: str = ""

    def those(self, outcome: str) -> list[Verdict]:
        return [one for one in self.verdicts if one.verdict == outcome]


@dataclass
class Tap:
    """Judges and, with a folder, records what passes; `counts` and `broken` add up over all of it.

    Recordings go to `<folder>/<contract>/<kind>-<number>.yaml`. Call it from one thread.
    """

    contract: Contract
    upstream: SplitResult
    folder: Path | None = None
    counts: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    _secrets: set[str] = field(default_factory=set, repr=False)
    _numbers: Counter[str] = field(default_factory=Counter)

    @property
    def _home(self) -> Path:
        return (self.folder or Path()) / self.contract.folder

    def passed(self, exchange: Exchange) -> Passed:
        """Judge one exchange, and record it."""
        self._secrets |= secrets_of(exchange.request)
        kind = kind_of(exchange, self.contract)
        verdicts = tuple(self._verdicts(exchange, kind)) if kind and exchange.reply else ()
        path, problem = None, exchange.problem
        if self.folder and exchange.reply and kind:
            try:
                path = self._record(exchange, kind)
            except CassetteError as error:
                problem = str(error)
        self._count(verdicts, path)
        return Passed(exchange, kind, verdicts, path, self._clean(problem))

    def _verdicts(self, exchange: Exchange, kind: str) -> list[Verdict]:
        known = [one for one in known_failures(self.contract) if one.case is None]
        exchange = self._at_its_place(readable(exchange))
        found = [*judge_exchange(exchange, View(self.contract), self.contract.name, kind, ("request",))]
        found += replies_of(exchange, self.contract, kind) if exchange.reply else []
        return [self._hidden(apply_known(known, one)) for one in found]

    def _at_its_place(self, exchange: Exchange) -> Exchange:
        """The exchange as if the server had the provider's own base path: where a server is, is its own affair."""
        request, own = exchange.request, self.upstream.path
        prefix = str(self.contract.get("endpoint.prefix", ""))
        if "{" in prefix or not request.target.startswith(f"{own}/"):
            return exchange
        return replace(exchange, request=replace(request, target=prefix + request.target[len(own) :]))

    def _hidden(self, verdict: Verdict) -> Verdict:
        return replace(verdict, message=self._clean(verdict.message)) if verdict.message else verdict

    def _clean(self, text: str) -> str:
        """Text without the credentials that passed."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "<key>")
        return text

    def _count(self, verdicts: tuple[Verdict, ...], path: Path | None) -> None:
        self.counts["exchanges"] += 1
        self.counts["judged"] += bool(verdicts)
        self.counts["recorded"] += path is not None
        for one in verdicts:
            self.counts[one.verdict] += 1
            if one.verdict == "broken":
                self.broken[f"{one.clause} ({one.level})"] += 1

    def _free(self, kind: str) -> str:
        """The next name of a recording that nobody has."""
        while True:
            self._numbers[kind] += 1
            case = f"{kind}-{self._numbers[kind]}"
            if not (self._home / f"{case}.yaml").exists():
                return case

    def _record(self, exchange: Exchange, kind: str) -> Path:
        hidden = [] if is_loopback(self.upstream) else [self.upstream.hostname or ""]
        kept = Redactor(self._secrets, hidden, INVALID_ORIGIN).exchange(exchange)
        reply = kept.reply
        assert reply is not None
        refused = reply.status >= 400
        case = self._free(f"{kind}-refused" if refused else kind)
        provenance = Provenance(
            contract=self.contract.name,
            case=case,
            recorder=recorder_name(),
            recorded=datetime.datetime.now(datetime.UTC).date().isoformat(),
            server=reply.header("server") or "unknown",
            setup="tapped between a client and the server",
            model=_model(exchange),
            host_class="loopback" if is_loopback(self.upstream) else "cloud",
            provoked=refused,
        )
        name = f"{self.contract.folder}/{case}"
        kept = replace(kept, source=name, provoked=refused)
        cassette = Cassette(name, (kept,), provenance)
        return save(cassette, self._home / f"{case}.yaml", canaries=self._secrets)


def _asked(exchange: Exchange) -> dict[str, object]:
    try:
        value = exchange.request.json()
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _model(exchange: Exchange) -> str:
    model = _asked(exchange).get("model")
    return model if isinstance(model, str) else ""


def line(passed: Passed) -> str:
    """An exchange in one line, without anything it carried."""
    request, reply = passed.exchange.request, passed.exchange.reply
    asked = f"{request.method} {request.path}"
    seconds = (passed.exchange.ended or 0.0) - passed.exchange.started
    if reply is None:
        return f"{asked}  no reply: {passed.problem or 'the client went away'}"
    said = f"{asked}  {reply.status}, {len(reply.body)} bytes in {len(reply.chunks)} chunks, {reply.end}, {seconds:.2f} s"
    if not passed.kind:
        return f"{said}  not judged: not a path of the contract"
    counts = Counter(one.verdict for one in passed.verdicts)
    told = f"{counts['kept']} kept, {counts['broken']} broken"
    return f"{said}  {told}" + (f", {counts['known']} known" if counts["known"] else "")


def row(passed: Passed) -> str:
    """An exchange as a line of JSON: what was broken, never what was said."""
    request, reply = passed.exchange.request, passed.exchange.reply
    value: dict[str, object] = {"method": request.method, "path": request.path, "kind": passed.kind}
    value["seconds"] = round((passed.exchange.ended or 0.0) - passed.exchange.started, 4)
    if reply is not None:
        value |= {
            "status": reply.status,
            "bytes": len(reply.body),
            "chunks": len(reply.chunks),
            "end": reply.end,
        }
    value["verdicts"] = dict(Counter(one.verdict for one in passed.verdicts))
    value["broken"] = [one.as_json() for one in passed.verdicts if one.verdict in ("broken", "known")]
    value["cassette"] = str(passed.path) if passed.path else None
    if passed.problem:
        value["problem"] = passed.problem
    return json.dumps(value)
