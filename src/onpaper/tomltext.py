"""Plain values as TOML 1.0, a table for each section and a line for each fact. Source: https://toml.io/en/v1.0.0."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")
_CONTROL = re.compile("[\x7f\x85\u2028\u2029]")


def key(name: str) -> str:
    """A key, quoted where it has to be."""
    return name if _BARE.match(name) else text(name)


def text(value: str) -> str:
    """A basic string: JSON's escapes are TOML's, and other control characters are escaped too."""
    quoted = json.dumps(value.encode("utf-16", "replace").decode("utf-16"), ensure_ascii=False)
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


def inline(value: Any) -> str:
    """A value on one line. Raises TypeError for what TOML has no word for."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return text(value)
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, Mapping):
        members = ", ".join(f"{key(str(name))} = {inline(item)}" for name, item in value.items())
        return f"{{ {members} }}" if members else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(inline(item) for item in value)}]"
    raise TypeError(f"TOML has no word for {value!r}")


def document(table: Mapping[str, Any], sections: frozenset[str], prefix: str = "") -> str:
    """A document: values first, then a table for each path that `sections` names; other tables inline."""
    lines, below = [], []
    for name, value in table.items():
        path = f"{prefix}{name}"
        if path in sections and isinstance(value, Mapping):
            below.append((path, value))
        else:
            lines.append(f"{key(name)} = {inline(value)}")
    parts = ["\n".join(lines) + "\n"] if lines else []
    for path, value in below:
        inner = document(value, sections, f"{path}.")
        own = any(
            f"{path}.{name}" not in sections or not isinstance(item, Mapping) for name, item in value.items()
        )
        parts.append(f"[{'.'.join(map(key, path.split('.')))}]\n{inner}" if own else inner)
    return "\n".join(parts)
