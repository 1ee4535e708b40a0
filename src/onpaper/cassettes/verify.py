"""Looking through a folder of cassettes for whatever must not be there, before it is published."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from onpaper.cassettes.cassette import Cassette, CassetteError
from onpaper.cassettes.redaction import leaks, unlisted
from onpaper.cassettes.store import find, load
from onpaper.errors import BadInput

if TYPE_CHECKING:
    from onpaper.driving.verdict import Verdict

_REQUIRED = ("contract", "case", "recorder", "server")


def verify(folder: str | os.PathLike[str], oldest: datetime.date | None = None) -> list[str]:
    """Everything wrong with a folder of cassettes, one sentence each with the file's name.

    A file must be a cassette in its place, loadable, with its provenance, without keys, account ids, local
    addresses or paths, and with header values of the allow-list only. With `oldest` a recording from before
    that day is reported too. Raises CassetteError when there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CassetteError(f"{folder}: is not a folder; name the one that holds the cassettes")
    known = set(find([folder]).values())
    problems = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if path in known:
            problems += [f"{path}: {problem}" for problem in _problems(path, oldest)]
        elif path.suffix != ".md":
            problems.append(f"{path}: is not a cassette (those are <provider>/<case>.yaml); remove it")
    return problems


@dataclass(frozen=True, slots=True)
class Findings:
    """What came of looking through folders: the cassettes, what is wrong with the files, and the verdicts of
    the reply clauses on what they hold."""

    cassettes: tuple[Cassette, ...]
    problems: tuple[str, ...]
    verdicts: tuple[Verdict, ...]


def look_through(folders: Iterable[str | os.PathLike[str]], oldest: datetime.date | None = None) -> Findings:
    """Verify folders of cassettes, and judge each recording by its contract.

    A cassette that cannot be read, or whose contract is missing, is a problem and is not judged. Raises
    CassetteError for a missing folder, BadInput for a contract that cannot be read.
    """
    from onpaper.cassettes.judging import judge_replies
    from onpaper.contract import Contract

    folders = [Path(folder) for folder in folders]
    problems = [problem for folder in folders for problem in verify(folder, oldest)]
    cassettes: list[Cassette] = []
    for path in find(folders).values():
        try:
            cassette = load(path)
        except CassetteError:
            continue  # verify() has said so
        try:
            Contract.load(cassette.contract)
        except BadInput as error:
            problems.append(f"{path}: cannot be judged: {error}")
            continue
        cassettes.append(cassette)
    return Findings(tuple(cassettes), tuple(problems), tuple(judge_replies(cassettes)))


def _problems(path: Path, oldest: datetime.date | None) -> Iterator[str]:
    try:
        cassette = load(path)
        yield from _provenance(cassette, oldest)
        for exchange in cassette.exchanges:
            for side in (exchange.request, exchange.reply):
                for name in unlisted(side.headers) if side else []:
                    yield f"the header {name!r} is not on the allow-list and shows a value; record it again"
        text = path.read_text(encoding="utf-8")
        yield from (f"{leak}; record it again" for leak in dict.fromkeys(leaks(cassette, text, private=True)))
    except CassetteError as error:
        yield str(error).removeprefix(f"{path}: ")


def _provenance(cassette: Cassette, oldest: datetime.date | None) -> Iterator[str]:
    provenance = cassette.provenance
    if provenance is None:
        yield "has no provenance (the mapping 'onpaper'); record it with onpaper"
        return
    for name in _REQUIRED:
        if not getattr(provenance, name):
            yield f"onpaper.{name} is missing; record it again"
    if provenance.case != cassette.name.rpartition("/")[2]:
        yield f"onpaper.case is {provenance.case!r}, the file is called otherwise; rename it back"
    try:
        recorded = datetime.date.fromisoformat(provenance.recorded)
    except ValueError:
        yield f"onpaper.recorded is {provenance.recorded!r} and no day like 2026-11-20; record it again"
        return
    if oldest and recorded < oldest:
        yield f"was recorded on {recorded}, before {oldest}; record it again"
