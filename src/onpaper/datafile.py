"""A data file: TOML, held to the JSON Schema of its kind."""

from __future__ import annotations

import datetime
import json
import tomllib
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from onpaper.errors import BadInput, nearest


def read_toml(path: Path, kind: str) -> dict[str, Any]:
    """A data file, checked against its JSON Schema. Raises BadInput in one sentence that names file and key."""
    value = parsed(path, kind)
    check(value, kind, str(path))
    return value


def parsed(path: Path, kind: str) -> dict[str, Any]:
    """A TOML file as it is. Raises BadInput in one sentence that names it."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        raise BadInput(f"{path}: there is no such {kind} file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: this is not TOML: {error}") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None


def check(value: Any, kind: str, where: str) -> None:
    """Raise BadInput when a value does not keep the JSON Schema of its kind of file (`contract`, `mock`)."""
    schema, validator = _schema(kind)
    error = next(iter(validator.iter_errors(_plain(value))), None)
    if error is None:
        return
    at = ".".join(str(part) for part in error.instance_path) or "the top level"
    if error.kind.name == "additionalProperties":
        known = _at(schema, list(error.schema_path)[:-1]).get("properties", {})
        unknown = str(error.kind.unexpected[0])
        raise BadInput(f"{where}: unknown key {unknown!r} at {at}{nearest(unknown, known)}")
    raise BadInput(f"{where}: {at}: {error.message}")


def day(value: Any, where: str) -> datetime.date | None:
    """A date as a data file writes it: TOML's own, a text, or None. Raises BadInput."""
    if value is None or type(value) is datetime.date:
        return value
    try:
        return datetime.date.fromisoformat(value)
    except (TypeError, ValueError):
        raise BadInput(f"{where} {str(value)!r} is not a date like 2027-03-01") from None


@lru_cache
def situations() -> frozenset[str]:
    """The situations that a contract may have an error for."""
    errors = _schema("contract")[0]["properties"]["errors"]["properties"]
    return frozenset(errors) - {"envelope", "content_type", "headers", "types", "allowed"}


@lru_cache
def _schema(kind: str) -> tuple[dict[str, Any], Any]:
    import jsonschema_rs

    text = resources.files("onpaper").joinpath(f"schemas/{kind}.json").read_text("utf-8")
    schema = json.loads(text)
    return schema, jsonschema_rs.validator_for(schema)


def _at(schema: Any, path: list[Any]) -> Any:
    for part in path:
        schema = schema[int(part)] if isinstance(schema, list) else schema[part]
    return schema


def _plain(value: Any) -> Any:
    """TOML values as JSON ones: dates become text."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool)) else str(value)
