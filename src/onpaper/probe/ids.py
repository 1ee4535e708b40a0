"""The pattern of an id, guessed from ids that were seen."""

from __future__ import annotations

import re

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def pattern(seen: list[str]) -> str:
    """A pattern such as `chatcmpl-{hex:24}` for these ids; the first of them as it is when there is none."""
    first = seen[0]
    found = _UUID.search(first)
    if found:
        return f"{first[: found.start()]}{{uuid}}{first[found.end() :]}"
    prefix = _prefix(seen)
    rest = [one[len(prefix) :] for one in seen]
    if len(set(map(len, rest))) != 1 or not rest[0].isascii() or not rest[0].isalnum():
        return first
    joined = "".join(rest)
    kind = "digits" if joined.isdigit() else "hex" if re.fullmatch(r"[0-9a-f]+", joined) else "alnum"
    return f"{prefix}{{{kind}:{len(rest[0])}}}"


def _prefix(seen: list[str]) -> str:
    """Everything up to the last dash or underscore of the first id, where all begin so."""
    cut = max(seen[0].rfind("-"), seen[0].rfind("_")) + 1
    prefix = seen[0][:cut]
    return prefix if all(one.startswith(prefix) for one in seen) else ""
