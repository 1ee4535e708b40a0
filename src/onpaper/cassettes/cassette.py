"""The nouns of a recording: what a provider really said, and how that came to be known. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from onpaper.errors import BadInput
from onpaper.exchange import Exchange

INVALID_ORIGIN = "http://host.invalid"
"""What stands in a cassette for the address of a loopback server (RFC 6761 §6.4 reserves `.invalid`)."""


class CassetteError(BadInput):
    """A cassette cannot be read or may not be written. The message is one sentence for a person."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a recording comes from. Every field is text except `provoked`; an unknown one is empty.

    `contract` is the stem of the contract that judges the recording, `case` what was asked, `recorder` the
    tool and its version, `recorded` the day (ISO 8601). `server` is the product with its version, `setup` how
    it was started and what stood behind it, `model` the model's name, `host_class` is `loopback` or `cloud`.
    `provoked` says that the request was meant to be refused. `note` is for whoever reads the recording.
    """

    contract: str = ""
    case: str = ""
    recorder: str = ""
    recorded: str = ""
    server: str = ""
    setup: str = ""
    model: str = ""
    host_class: str = ""
    provoked: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Cassette:
    """Some recorded exchanges under one name.

    `name` is folder and stem (`litellm/chat`). `provenance` is None for a cassette that another tool wrote.
    `origin` is scheme and host of the recorded URLs. `path` is the file it was loaded from, if it was.
    """

    name: str
    exchanges: tuple[Exchange, ...]
    provenance: Provenance | None = None
    origin: str = INVALID_ORIGIN
    path: Path | None = field(default=None, compare=False)

    @property
    def kept(self) -> tuple[Exchange, ...]:
        """The exchanges, but those that were kept twice: two recorders on one connection leave a reply with its ids and its
        time, and an empty one with the same (vcrpy in vcrpy does)."""
        whole = [one.reply.headers for one in self.exchanges if one.reply and one.reply.body and one.reply.headers]
        return tuple(one for one in self.exchanges if not one.reply or one.reply.body or one.reply.headers not in whole)

    @property
    def contract(self) -> str:
        """The contract that judges it: what the provenance says, else the folder's name."""
        return (self.provenance.contract if self.provenance else "") or self.name.partition("/")[0]

    @property
    def case(self) -> str:
        """What was asked: what the provenance says, else the file's stem."""
        return (self.provenance.case if self.provenance else "") or self.name.rpartition("/")[2]

    @property
    def provoked(self) -> bool:
        """Whether the requests were meant to be refused."""
        return bool(self.provenance and self.provenance.provoked)
