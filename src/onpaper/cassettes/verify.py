"""Looking through a folder of cassettes for whatever must not be there, before it is published."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from onpaper.cassettes.cassette import Cassette, CassetteError
from onpaper.cassettes.redaction import leaks, unlisted, without_keys
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
    if not known and any(folder.glob("*.yaml")):
        raise CassetteError(f"{folder}: is the folder of one provider; name the one that holds it: {folder.absolute().parent}")
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

    A single file may be named too, of whatever recorder: it is searched for keys, and judged by the contract of its
    host. A cassette that cannot be read, or whose contract is missing, is a problem and is not judged. Raises
    CassetteError for a missing folder and for a file that holds nothing to judge, when nothing else was named;
    BadInput for a contract that cannot be read.
    """
    from onpaper.cassettes.judging import judge_replies
    from onpaper.contract import Contract

    given = [Path(folder) for folder in folders]
    folders = [path for path in given if not path.is_file()]
    problems = [problem for folder in folders for problem in verify(folder, oldest)]
    cassettes: list[Cassette] = []
    for path in (path for path in given if path.is_file()):
        try:
            cassettes.append(_lone(path))
        except CassetteError as error:
            if len(given) == 1:
                raise
            problems.append(str(error))
            continue
        problems += [f"{path}: {leak}" for leak in _keys(path, cassettes[-1])]
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
    return Findings(tuple(cassettes), tuple(problems), tuple(map(_hidden, judge_replies(cassettes))))


def _hidden(verdict: Verdict) -> Verdict:
    """A verdict whose message, which shows what was said, shows no key."""
    told = verdict.verdict in ("broken", "known")
    return replace(verdict, message=without_keys(verdict.message)) if told else verdict


def _lone(path: Path) -> Cassette:
    """A recording that lies anywhere, under the contract of its host. Raises CassetteError when it holds nothing to judge."""
    from onpaper.cassettes.hosts import contract_of
    from onpaper.cassettes.judging import kind_of
    from onpaper.contract import Contract

    cassette = load(path)
    name = contract_of(cassette)
    contract = Contract.load(name)
    if not any(kind_of(exchange, contract) for exchange in cassette.exchanges):
        asked = cassette.exchanges[0].request
        raise CassetteError(
            f"{path}: holds nothing that contract {name!r} judges, but {asked.method} {asked.path[:60]}; "
            "name a recording of chat completions"
        )
    return replace(cassette, name=f"{name}/{path.stem}") if cassette.provenance is None else cassette


def _keys(path: Path, cassette: Cassette) -> Iterator[str]:
    try:
        yield from dict.fromkeys(leaks(cassette, ""))
    except CassetteError as error:
        yield str(error)


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
