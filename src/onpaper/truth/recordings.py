"""Recordings to compare with: onpaper's own cassettes, or any folder that a `manifest.json` describes."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onpaper import cassettes
from onpaper.contract import Contract
from onpaper.errors import BadInput
from onpaper.exchange import Chunk, Exchange, Reply, Request


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded exchange. `framed` is false when only its JSON was kept, not the bytes around it."""

    provider: str
    exchange: Exchange
    framed: bool = True


def read_folder(folder: Path) -> dict[str, list[Recording]]:
    """The recordings of a folder by provider.

    A folder holds either cassettes, or a `manifest.json`: a list of objects with `file`, `provider`,
    `status`, `response_headers`, `request_body`, and `fidelity` (`parsed-json` when the bytes were not
    kept). Raises BadInput.
    """
    manifest = folder / "manifest.json"
    found = _manifest(manifest) if manifest.is_file() else _cassettes(folder)
    if not found:
        raise BadInput(f"{folder}: holds no recordings: neither a manifest.json nor <provider>/<case>.yaml")
    by_provider: defaultdict[str, list[Recording]] = defaultdict(list)
    for recording in found:
        by_provider[recording.provider].append(recording)
    return dict(by_provider)


def of(contract: Contract, recordings: Mapping[str, list[Recording]]) -> list[Recording]:
    """The recordings of a contract's provider, under its own name and its aliases, of the paths that it
    serves."""
    names = (contract.name, *contract.data.get("aliases", ()))
    return [
        one
        for name in names
        for one in recordings.get(name, ())
        if _serves(contract, one.exchange.request.path)
    ]


def _serves(contract: Contract, path: str) -> bool:
    ends = (contract.get("endpoint.chat", "/chat/completions"), contract.get("endpoint.models", "/models"))
    return not path or path.endswith(ends)


def _cassettes(folder: Path) -> list[Recording]:
    loaded = (cassettes.load(path) for path in cassettes.find([folder]).values())
    return [Recording(one.contract, exchange) for one in loaded for exchange in one.exchanges]


def _manifest(path: Path) -> list[Recording]:
    try:
        entries = json.loads(path.read_text("utf-8"))
        return [_entry(path.parent, entry) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path}: is not a manifest of recordings: {type(error).__name__} {error}") from None


def _entry(folder: Path, entry: Mapping[str, Any]) -> Recording:
    headers = tuple((str(name), str(value)) for name, value in (entry.get("response_headers") or {}).items())
    body = Chunk(0.0, (folder / entry["file"]).read_bytes())
    method = "GET" if entry.get("kind") == "models" else "POST"
    asked = Request(method, str(entry.get("url", "")), (), json.dumps(entry.get("request_body")).encode())
    exchange = Exchange(asked, Reply(int(entry["status"]), headers, (body,)), source=entry["file"])
    return Recording(entry["provider"], exchange, framed=entry.get("fidelity") != "parsed-json")
