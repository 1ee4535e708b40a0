"""Recordings against the clauses about replies: what a real server did, by the contract that describes it.

Where a real server breaks a clause, its contract says so under `known-failures`, with the reason and the
evidence. Such an entry is strict: one that passes, names no clause, matches no recording of the project or
has expired is red.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from onpaper.cassettes.cassette import Cassette
from onpaper.clauses import Clause, View, register
from onpaper.contract import Contract
from onpaper.driving.known import KnownFailure, apply_known
from onpaper.driving.verdict import Verdict
from onpaper.errors import nearest
from onpaper.exchange import Chunk, Exchange, Reply
from onpaper.suite.judge import judge_exchange
from onpaper.wire.coding import coding_of, decoded, is_plain


def known_failures(contract: Contract) -> tuple[KnownFailure, ...]:
    """The entries of a contract. Raises BadInput for a date that is none."""
    return tuple(KnownFailure.read(one, f"{contract.path}: known-failures") for one in contract.own.get("known-failures", ()))


def reply_clauses() -> dict[str, Clause]:
    """The clauses about replies by their ids."""
    return {name: one for name, one in register().items() if one.kind == "reply"}


def judge_replies(cassettes: Iterable[Cassette], today: datetime.date | None = None) -> list[Verdict]:
    """The verdicts of every reply clause on every exchange, the contracts' known failures applied.

    The subject of a verdict is the contract, its case the cassette's name. An entry under `known-failures`
    that fails no more, or names nothing, is a broken verdict of its own. Raises BadInput when a contract is
    missing.
    """
    by_contract: dict[str, list[Cassette]] = {}
    for cassette in cassettes:
        by_contract.setdefault(cassette.contract, []).append(cassette)
    verdicts: list[Verdict] = []
    for name, judged in sorted(by_contract.items()):
        contract = Contract.load(name)
        found = [verdict for cassette in judged for verdict in _verdicts(cassette, contract)]
        entries = known_failures(contract)
        verdicts += [*(apply_known(entries, one, today) for one in found), *stale(contract, entries, found, judged)]
    return verdicts


def _verdicts(cassette: Cassette, contract: Contract) -> Iterator[Verdict]:
    own = cassette.provenance is not None  # the cassette of another tool may hold what other servers refused, too
    for exchange in cassette.kept:
        refused = own and exchange.reply is not None and exchange.reply.status >= 400
        if refused or kind_of(exchange, contract):  # embeddings and files are none of the contract's business
            yield from replies_of(readable(exchange), contract, cassette.name)


def replies_of(exchange: Exchange, contract: Contract, case: str) -> list[Verdict]:
    """The verdicts of the reply clauses on one exchange: by the contract, or by a variant of it that it keeps whole.

    A variant is how some models, or earlier versions, answer: which one a recording is of, only its bytes tell.
    """
    found = _by(exchange, contract, contract, case)
    for name in contract.variants if any(one.verdict == "broken" for one in found) else ():
        other = _by(exchange, contract, contract.variant(name), case)
        if not any(one.verdict == "broken" for one in other):
            return other
    return found


def _by(exchange: Exchange, contract: Contract, variant: Contract, case: str) -> list[Verdict]:
    return list(judge_exchange(exchange, View(variant), contract.name, case, ("reply",)))


def kind_of(exchange: Exchange, contract: Contract) -> str:
    """What of the contract's paths was asked: `chat`, `stream` or `models`; empty for any other."""
    request = exchange.request
    path = request.path.rstrip("/")
    if request.method == "POST" and path.endswith(_tail(contract, "endpoint.chat", "/chat/completions")):
        try:
            body = request.json()
        except ValueError:
            body = None
        streams = body.get("stream", contract.protocol == "ndjson") if isinstance(body, dict) else False
        return "stream" if streams is True else "chat"
    listing = _tail(contract, "endpoint.models", "/models")
    if request.method == "GET" and path.endswith(listing) and not _is_above(contract, path.removesuffix(listing)):
        return "models"
    return ""


def _is_above(contract: Contract, prefix: str) -> bool:
    """Whether a prefix lies above the provider's own: what is there is another API of the same host."""
    return prefix != "" and str(contract.get("endpoint.prefix", "")).startswith(f"{prefix}/")


def _tail(contract: Contract, dotted: str, default: str) -> str:
    return str(contract.get(dotted, default)).rpartition("}")[2]


def readable(exchange: Exchange) -> Exchange:
    """The exchange with its reply decompressed, where it can be; judged is what was said, not how it was packed."""
    reply = exchange.reply
    named = (reply.header("content-encoding") or "").strip().lower() if reply else ""
    coding = coding_of(named, reply.body) if reply and exchange.redacted else named
    if reply is not None and _lost_its_body(reply, coding):
        return replace(exchange, reply=None)
    if reply is None or coding in ("", "identity"):
        return exchange
    if is_plain(reply.body, coding):
        return replace(exchange, reply=_without_coding(reply, reply.chunks))
    body = decoded(reply.body, coding)
    if body is None:  # it cannot be read here
        return replace(exchange, reply=None)
    last = reply.chunks[-1].at if reply.chunks else 0.0
    return replace(exchange, reply=_without_coding(reply, (Chunk(last, body),)))


def _lost_its_body(reply: Reply, coding: str) -> bool:
    """Whether a body was sent and is not there, as where two recorders shared one connection: it cannot be judged.

    A body in a coding is never empty, nor is one that has a length.
    """
    announced = (reply.header("content-length") or "").strip()
    counted = announced.isascii() and announced.isdigit() and announced.strip("0") != ""
    return not reply.body and reply.end == "clean" and (counted or coding not in ("", "identity"))


def _without_coding(reply: Reply, chunks: tuple[Chunk, ...]) -> Reply:
    headers = tuple(pair for pair in reply.headers if pair[0].lower() != "content-encoding")
    return replace(reply, headers=headers, chunks=chunks)


def stale(
    contract: Contract, entries: Sequence[KnownFailure], found: Sequence[Verdict], judged: Sequence[Cassette]
) -> Iterator[Verdict]:
    """Red verdicts for entries that name no clause or, in the contract's own project, nothing broken."""
    clauses = reply_clauses()
    complete = any(_beside(contract.path, cassette.path) for cassette in judged)
    for entry in entries:
        if entry.clause not in clauses:
            hint = nearest(entry.clause, clauses, listed='onpaper list clauses')
            said = f"the known failures list {entry.clause!r}, which is no clause about replies{hint}"
        elif complete and not any(entry.covers(one) and one.verdict in ("broken", "kept") for one in found):
            said = f"the known failures list case {entry.case!r}, which no recording is: remove the entry"
        elif (
            entry.case is None
            and complete
            and not any(entry.covers(one) and one.verdict == "broken" for one in found)
        ):
            said = f"listed as a known failure ({entry.reason}), and every recording passes: remove the entry"
        else:
            continue
        yield Verdict(contract.name, entry.clause, entry.case or "known-failures", "must", "broken", said)


def _beside(contract: Path, cassette: Path | None) -> bool:
    """Whether a recording is of the project that the contract is of: their folders have one parent."""
    return (
        cassette is not None and cassette.resolve().parent.parent.parent == contract.resolve().parent.parent
    )
