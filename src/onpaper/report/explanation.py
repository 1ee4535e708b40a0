"""A clause explained: rule, reason, a minimal failing wire, and how a client is put right."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from onpaper.clauses import Clause, case_id
from onpaper.contract import Contract
from onpaper.driving.play import Play, answer_of
from onpaper.driving.verdict import show as show_bytes
from onpaper.exchange import Request

ASK = {
    "sse": (b'{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}', "openai"),
    "ndjson": (b'{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}', "ollama"),
}


def of(clause: Clause) -> dict[str, Any]:
    """Everything there is to say of a clause."""
    _, name = ASK["ndjson" if clause.protocol == "ndjson" else "sse"]
    contract = Contract.load(name)
    cases = clause.cases(contract)
    return {
        "id": clause.id,
        "level": clause.level,
        "policy": clause.policy,
        "judges": clause.kind,
        "rule": clause.rule,
        "why": clause.why,
        "source": clause.source,
        "wire": wire(clause, contract, cases),
        "fix": clause.fix,
        "cases": [case_id(case) for case in cases],
        "covers": list(clause.covers),
    }


def wire(clause: Clause, contract: Contract, cases: tuple[Any, ...]) -> str:
    """The bytes of the shortest play of a clause: what a client that breaks it fails on. Empty for other clauses."""
    plays = {case.name: case for case in cases if isinstance(case, Play) and case.source == "mock"}
    body, _ = ASK["ndjson" if clause.protocol == "ndjson" else "sse"]
    if clause.topic in ("reply", "errors"):
        body = body.replace(b"true", b"false")
    shortest = b""
    for play in plays.values():
        script = answer_of(Play(play.name), contract)(Request("POST", contract.chat_path, (), body))
        if not shortest or len(script.body) < len(shortest):
            shortest = script.body
    return show_bytes(shortest, 4000) if shortest else ""


def show(console: Console, said: dict[str, Any]) -> None:
    """Print an explanation."""
    kind = {"request": "every request", "reply": "every reply", "backend": "a backend", "property": "a backend, with drawn cases"}[said["judges"]]
    console.print(Text(f"{said['id']}  ({said['level']}{', a policy of this project' if said['policy'] else ''}; judges {kind})", "bold"))
    for name in ("rule", "why", "source", "wire", "fix"):
        if said[name]:
            console.print(Text(f"\n{ {'wire': 'a wire that shows it', 'fix': 'to put a client right'}.get(name, name) }", "bold"))
            console.print(Text(str(said[name])), soft_wrap=True)
    if said["cases"]:
        console.print(Text("\ncases", "bold"))
        console.print(Text(", ".join(said["cases"][:40])))
