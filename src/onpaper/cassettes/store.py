"""Cassettes on disk: load one, save one so that nothing half-written can be loaded, find them all."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from onpaper.cassettes.cassette import Cassette, CassetteError
from onpaper.cassettes.foreign import in_vcrpy_words, trace_of
from onpaper.cassettes.format import from_document, to_document
from onpaper.cassettes.yamltext import YamlError, read, write
from onpaper.folders import NAME
from onpaper.wire.coding import GZIP, decoded

_SUFFIXES = (".yaml", ".yml")


def load(path: str | os.PathLike[str]) -> Cassette:
    """Read one cassette, recorded by onpaper, by vcrpy or by another tool (see `foreign`), as it is or in gzip.

    Raises CassetteError, in one sentence with the file's name, when the file is missing, not YAML or JSON of plain
    values or not a cassette.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CassetteError(f"{path}: cannot be read: {error.strerror}; record it, or name another") from None
    document = _document(path, _plain(data))
    return replace(from_document(document, f"{path.parent.name}/{path.stem}", str(path)), path=path)


def _plain(data: bytes) -> bytes:
    """The bytes of a file without the gzip that some keep their cassettes in."""
    return (decoded(data, "gzip") or data) if data.startswith(GZIP) else data


def _document(path: Path, data: bytes) -> Any:
    """The values of a file in vcrpy's words. Raises CassetteError."""
    trace = trace_of(data)
    if trace is not None:
        return trace
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CassetteError(f"{path}: is not UTF-8 (byte {error.start}); record it again") from None
    document = _json(text)
    try:
        return in_vcrpy_words(read(text) if document is None else document)
    except YamlError as error:
        raise CassetteError(f"{path}: {error}; take that out of the file or record it again") from None


def _json(text: str) -> Any:
    """The value of a JSON text; None when it is none. YAML takes all of JSON but the escapes of half a surrogate pair."""
    try:
        return json.loads(text) if text.lstrip().startswith(("{", "[")) else None
    except (ValueError, RecursionError):
        return None


def save(cassette: Cassette, path: str | os.PathLike[str], canaries: Iterable[str] = ()) -> Path:
    """Write a cassette, whole or not at all, and return its path.

    `canaries` are values that must not occur anywhere in it, in any spelling: the key, above all. Raises
    CassetteError, with nothing written, when one does or when anything key-shaped survived the redaction. The
    file appears by a rename after its bytes are on the disk, so that a crash leaves the earlier one.
    """
    path = Path(path)
    if path.suffix not in _SUFFIXES or not NAME.match(path.stem):
        raise CassetteError(f"{path}: cannot be the name of a cassette: names are like 'tool-stream.yaml'")
    from onpaper.cassettes.redaction import leaks  # its patterns are not needed to load

    text = write(to_document(cassette))
    for leak in leaks(cassette, text, canaries):
        raise CassetteError(f"{path}: not written, because {leak}; nothing was saved")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, text.encode("utf-8"))
    except OSError as error:
        raise CassetteError(f"{path}: cannot be written: {error.strerror}; choose another folder") from None
    return path


def find(folders: Iterable[str | os.PathLike[str]]) -> dict[str, Path]:
    """Every cassette of some folders, name (`litellm/chat`) to path, sorted; an earlier folder's comes first.

    A cassette lies two levels deep, `<folder>/<provider>/<case>.yaml`. Nothing is read. Files that begin with
    a dot (a save that was killed leaves one) are not cassettes.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(Path(folder).glob("*/*")):
            if path.suffix in _SUFFIXES and NAME.match(path.parent.name) and NAME.match(path.stem):
                found.setdefault(f"{path.parent.name}/{path.stem}", path)
    return dict(sorted(found.items()))


def _replace(path: Path, data: bytes) -> None:
    draft = path.with_name(f".{path.name}.{os.urandom(4).hex()}.draft")
    try:
        with open(draft, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where a folder can be opened (not on Windows)."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
