"""The recordings that a backend is held to: those that its provider's contract judges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from onpaper import folders
from onpaper.answer import Provider
from onpaper.cassettes import Cassette, find, load, script_of
from onpaper.contract import Contract
from onpaper.errors import BadInput
from onpaper.exchange import Exchange, Request
from onpaper.script import Script


@dataclass(frozen=True)
class Tape:
    """One cassette with its chat exchange."""

    cassette: Cassette
    exchange: Exchange

    @property
    def name(self) -> str:
        return self.cassette.name

    @cached_property
    def body(self) -> dict[str, Any]:
        """The recorded request body; empty when it was not a JSON object (a provoked error)."""
        try:
            value = self.exchange.request.json()
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The recorded messages, or a plain one where the recording has none that a client would send."""
        messages = self.body.get("messages")
        sound = isinstance(messages, list) and messages and all(isinstance(one, dict) and one.get("role") for one in messages)
        return messages if sound else [{"role": "user", "content": "Say hello."}]

    @property
    def tools(self) -> list[dict[str, Any]]:
        tools = self.body.get("tools")
        return tools if isinstance(tools, list) else []

    @property
    def streams(self) -> bool:
        return self.body.get("stream") is True

    @property
    def replies(self) -> bool:
        return not self.streams


def cassettes_of_project(naming: str = "") -> tuple[Cassette, ...]:
    """The cassettes of the project, and of onpaper itself, in whose text a name stands: only those may be judged by the
    contract of that name, and reading YAML takes long. Raises BadInput for one that cannot be read.
    """
    return _loaded(tuple(folders.search_path("cassettes")), naming.encode())


@lru_cache(maxsize=64)
def _loaded(where: tuple[Path, ...], naming: bytes) -> tuple[Cassette, ...]:
    return tuple(load(path) for path in find(where).values() if naming in path.read_bytes())


@lru_cache(maxsize=64)
def tapes(contract: Contract) -> tuple[Tape, ...]:
    """The recorded chat exchanges that a contract judges."""
    chat = contract.get("endpoint.chat", "/chat/completions")
    found = []
    for cassette in cassettes_of_project(contract.name):
        if cassette.contract != contract.name:
            continue
        chats = [one for one in cassette.exchanges if one.request.method == "POST" and one.request.path.endswith(chat)]
        if len(chats) == 1 and chats[0].reply is not None:
            found.append(Tape(cassette, chats[0]))
    return tuple(found)


def answer_of_cassette(name: str, contract: Contract) -> Callable[[Request], Script]:
    """Answers a completion with what was recorded, and the model list as the contract says.

    Matching is on method and path: a recording's body is the recorder's, not the backend's.
    """
    tape = next((one for one in tapes(contract) if one.name == name), None)
    if tape is None:
        raise BadInput(f"there is no cassette {name!r} that contract {contract.name!r} judges")
    other = _provider(contract).afresh()
    script = script_of(tape.exchange)
    return lambda request: script if other.kind_of(request) == "chat" else other(request)


@lru_cache(maxsize=64)
def _provider(contract: Contract) -> Provider:
    return Provider(contract, strict=False)
