"""The admin endpoint described in OpenAPI 3.1, from the same table that answers it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from onpaper.gateway.operation import Operation
from onpaper.gateway.scripting import KEYS

TYPES: dict[Any, Any] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    list: "array",
    (str, Mapping): ["string", "object"],
}

ABOUT = {
    "provider": "The provider to play, by the name of its contract.",
    "mock": "What to say: the name of a mock, or an object of the shape of a mock's file.",
    "strict": "Whether to refuse what the provider refuses.",
    "key": "The one right key; any that is not empty, unless given.",
    "models": "The ids of the models to list.",
    "requests_per_minute": "The quota of requests of each key.",
    "tokens_per_minute": "The quota of tokens of each key.",
}


def description(operations: Iterable[Operation]) -> dict[str, Any]:
    """The OpenAPI document of these operations, as JSON values."""
    from onpaper import __version__

    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "onpaper gateway, admin endpoint",
            "version": __version__,
            "description": "Script the fake gateway and read its journal from any language.",
        },
        "paths": paths,
        "components": {"schemas": {"Play": _play(), "Error": _error()}},
    }


def _operation(operation: Operation) -> dict[str, Any]:
    success = "204" if operation.method == "DELETE" else "200"
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in re.findall(r"\{(\w+)\}", operation.path)
        ],
        "responses": {success: {"description": "Done."}, "default": _failure()},
    }
    for name in re.findall(r"`(since|limit)`", operation.summary):
        described["parameters"].append(
            {"name": name, "in": "query", "schema": {"type": "integer", "minimum": 0}}
        )
    if operation.takes_body:
        schema = {"$ref": "#/components/schemas/Play"}
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return described


def _failure() -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Error"}
    return {"description": "Refused, and why.", "content": {"application/json": {"schema": schema}}}


def _play() -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for name, kinds in KEYS.items():
        properties[name] = {"type": TYPES[kinds], "description": ABOUT[name]}
    properties["keys"] = {
        "type": "array",
        "items": {"type": "string"},
        "description": "The keys whose requests belong to this session.",
    }
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _error() -> dict[str, Any]:
    error = {"type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]}
    return {"type": "object", "properties": {"error": error}, "required": ["error"]}
