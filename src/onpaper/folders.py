"""Where the data folders `contracts/`, `mocks/` and `cassettes/` are: in the user's project, and shipped with onpaper.

A wheel carries them under `onpaper/_bundled/`; an editable install and a checkout have them at the top level.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from onpaper.errors import BadInput, nearest

NAME = re.compile(r"[a-z0-9][a-z0-9.-]*\Z")
"""What a name that becomes a path may look like."""

_HERE = Path(__file__).resolve().parent


def bundled(kind: str) -> Path:
    """The folder of that kind that came with onpaper. Raises BadInput when the installation lost it."""
    for root in (_HERE / "_bundled", _HERE.parent.parent):
        if (root / kind).is_dir():
            return root / kind
    raise BadInput(f"this installation of onpaper has no {kind}/ folder: install it again")


def search_path(kind: str, project: Path | None = None) -> list[Path]:
    """The folders to look in, the project's own first. `project` is the working directory unless given. Raises BadInput
    when that one cannot be looked into."""
    own = (project or Path.cwd()) / kind
    shipped = bundled(kind)
    if own.is_dir() and not os.access(own, os.R_OK | os.X_OK):
        raise BadInput(f"{own}: cannot be looked into: you may not read this folder")
    return [own, shipped] if own.is_dir() and own.resolve() != shipped.resolve() else [shipped]


def names(kind: str, suffix: str = ".toml", project: Path | None = None) -> list[str]:
    """The names of all files of a kind, sorted."""
    found = {p.name.removesuffix(suffix) for folder in search_path(kind, project) for p in folder.glob(f"*{suffix}")}
    return sorted(name for name in found if NAME.match(name))


def find(kind: str, name: str, suffix: str = ".toml", project: Path | None = None) -> Path:
    """The file of that name. Raises BadInput, naming the known and the nearest, when there is none."""
    thing = kind.removesuffix("s")
    if not NAME.match(name):
        raise BadInput(f"{name!r} cannot be the name of a {thing}: names are like 'my-gateway' or 'cut-mid-event'")
    for folder in search_path(kind, project):
        path = folder / f"{name}{suffix}"
        if path.is_file():
            return path
    raise BadInput(f"there is no {thing} {name!r}{nearest(name, names(kind, suffix, project), listed=f'onpaper list {kind}')}")
