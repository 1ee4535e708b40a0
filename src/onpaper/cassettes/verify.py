"""Looking through a folder of cassettes for whatever must not be there, before it is published."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from pathlib import Path

from onpaper.cassettes.cassette import Cassette, CassetteError
from onpaper.cassettes.redaction import leaks, unlisted
from onpaper.cassettes.store import find, load

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
