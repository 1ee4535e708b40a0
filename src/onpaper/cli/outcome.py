"""What comes of asking a live server case after case, each answer kept before the next is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onpaper.errors import BadInput

if TYPE_CHECKING:
    from onpaper.cassettes import Cassette
    from onpaper.cassettes.cases import Case
    from onpaper.cassettes.recorder import Endpoint
    from onpaper.cli.progress import Telling


@dataclass(frozen=True)
class Outcome:
    """What came of one case: its cassette and the file, or why there is none."""

    case: str
    cassette: Cassette | None = None
    path: Path | None = None
    problem: str = ""

    def as_json(self) -> dict[str, Any]:
        row: dict[str, Any] = {"case": self.case, "file": self.path and str(self.path)}
        for exchange in self.cassette.exchanges if self.cassette else ():
            if exchange.reply:
                reply = exchange.reply
                row |= {"status": reply.status, "bytes": len(reply.body), "chunks": len(reply.chunks)}
                row["end"] = reply.end
        return row | ({"problem": self.problem} if self.problem else {})


async def record_all(
    endpoint: Endpoint, cases: Sequence[Case], folder: Path, telling: Telling, keep_refusals: bool = False
) -> list[Outcome]:
    """Ask the cases one after the other; each cassette is on disk before the next is asked.

    Raises BadInput when the first shows that the rest would go the same way: no server, a refused key, no such path.
    """
    from onpaper.cassettes.recorder import record

    outcomes: list[Outcome] = []
    asked_to_chat = False
    async for case, result in record(endpoint, cases, keep_refusals):
        telling.step()
        outcome = _kept(case.name, result, folder, endpoint.key)
        if outcome.problem and not outcomes:
            give_up(result)
        if case.path == "chat" and not asked_to_chat:
            asked_to_chat = True
            _reached(result, endpoint)
        outcomes.append(outcome)
        if outcome.cassette:
            from onpaper.cli.progress import shown

            telling.line("done", case.name, shown(outcome.cassette))
        else:
            telling.line("failed", case.name, f"no cassette: {outcome.problem}")
    return outcomes


def _kept(case: str, result: Any, folder: Path, key: str) -> Outcome:
    """Save a cassette, if it is one that may be saved."""
    from onpaper.cassettes import CassetteError, save
    from onpaper.cassettes.recorder import WRONG_KEY

    if isinstance(result, CassetteError):
        return Outcome(case, problem=str(result).removeprefix(f"{case}: "))
    try:
        path = save(result, folder / f"{case}.yaml", canaries=[key, WRONG_KEY])
    except CassetteError as error:
        return Outcome(case, problem=str(error))
    return Outcome(case, result, path)


def _reached(result: Any, endpoint: Endpoint) -> None:
    """Raise BadInput when the first chat shows that there is no such path: every other would be "refused" as well, and
    what should be refused would be kept."""
    from onpaper.cassettes.recorder import NO_SUCH_PATH, NotAnswered

    if isinstance(result, NotAnswered) and result.status in NO_SUCH_PATH:
        raise BadInput(
            f"nothing answers at {endpoint.url.path}{endpoint.chat_path} ({result}); check --base-url and --model"
        )


def give_up(result: Any) -> None:
    """Raise BadInput for a first result after which the others would be the same."""
    from onpaper.cassettes import CassetteError
    from onpaper.cassettes.recorder import NotAnswered

    if isinstance(result, NotAnswered) and result.status in (401, 403):
        raise BadInput(f"the server refuses the key: {result}; check the variable that --key-env names")
    if isinstance(result, CassetteError) and not isinstance(result, NotAnswered):
        raise BadInput(str(result))
