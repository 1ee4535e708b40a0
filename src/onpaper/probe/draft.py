"""A draft contract from recordings: facts, in a file of which every line names the recording behind it."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from onpaper.cassettes import Cassette, CassetteError
from onpaper.contract import SECTIONS, Contract
from onpaper.probe.fact import Evidence, Fact, fact
from onpaper.probe.parameters import parameter_facts
from onpaper.probe.refusals import refusal_facts
from onpaper.probe.replies import reply_facts
from onpaper.probe.streams import stream_facts
from onpaper.tomltext import document, inline, text

BASE = "openai"
"""What a draft extends: the dialect that every other is a deviation from."""

ORDER = ("endpoint", "auth", "headers", "body", "errors", "models", "reply", "stream")
"""The sections, as a person reads a contract."""

HEAD = """\
# A draft from recordings: [sources] names the one that shows each line. What is not here is inherited.
# Look at each line, put a link to the provider's own words beside it, and take away what is as in the base.
"""


def draft(name: str, cassettes: Mapping[str, Cassette], base_url: str, model: str) -> str:
    """The text of `contracts/<name>.toml` from recordings by case.

    What was not seen is inherited; what was seen is written down, also where it is as in the base. Raises
    CassetteError when the recordings do not hold a plain answer.
    """
    evidence = Evidence(cassettes, model)
    if not evidence.message("chat"):
        raise CassetteError("a plain chat was not answered with a message: there is nothing to draft from")
    facts = sorted(facts_of(evidence, base_url), key=_place)
    table: dict[str, Any] = {}
    for one in facts:
        _put(table, one)
    sources = "\n".join(f"{text(one.dotted)} = {inline(_source(name, one, cassettes))}" for one in facts)
    return f"{HEAD}{document(table, SECTIONS)}\n[sources]\n{sources}\n"


def facts_of(evidence: Evidence, base_url: str) -> Iterable[Fact]:
    """Every fact that the recordings show."""
    url = urlsplit(base_url)
    plain = evidence.cassettes["chat"]
    told = plain.provenance
    local = told is not None and told.host_class == "loopback"
    yield fact("summary", f"draft: {told.server if told and told.server else url.hostname}", "chat")
    yield fact("extends", BASE, "chat", "what was not seen is as there", verified=False)
    yield fact("kind", "local" if local else "cloud", "chat", "by its address", verified=False)
    yield fact("metered", not local, "chat", "by its address", verified=False)
    yield fact("endpoint.url", base_url, "chat")
    yield fact("endpoint.prefix", plain.exchanges[0].request.path.removesuffix("/chat/completions"), "chat")
    yield from _limits(evidence)
    yield from parameter_facts(evidence, Contract.load(BASE))
    yield from refusal_facts(evidence)
    yield from reply_facts(evidence)
    yield from stream_facts(evidence)


def _limits(evidence: Evidence) -> Iterable[Fact]:
    """The headers that tell a client about its limits."""
    reply = evidence.reply("chat")
    for name, value in reply.headers if reply else ():
        if "ratelimit" in name.lower():
            yield Fact(("headers", name.lower()), value, "chat")


def _place(one: Fact) -> int:
    return ORDER.index(one.path[0]) if one.path[0] in ORDER else -1


def _put(table: dict[str, Any], one: Fact) -> None:
    for part in one.path[:-1]:
        table = table.setdefault(part, {})
    table[one.path[-1]] = one.value


def _source(name: str, one: Fact, cassettes: Mapping[str, Cassette]) -> dict[str, Any]:
    """A fact's source: the recording, its day, and what to know."""
    provenance = cassettes[one.case].provenance
    day = datetime.date.fromisoformat(provenance.recorded) if provenance else datetime.date.min
    source: dict[str, Any] = {"cassette": f"{name}/{one.case}", "date": day}
    if not one.verified:
        source["verified"] = False
    return source | ({"note": one.note} if one.note else {})
