"""What a provider accepts and how it speaks: a `contracts/<provider>.toml`, read, completed and checked.

A contract extends another by one level and says only where it deviates. Sections merge key by key; templates,
error situations and lists are replaced whole; `false` removes what was inherited.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from onpaper import folders
from onpaper.body import Violation, expanded, opened, violations_of
from onpaper.datafile import check, day, read_toml
from onpaper.errors import BadInput, nearest
from onpaper.paths import Paths

SECTIONS = frozenset(
    {"endpoint", "auth", "body", "body.keys", "body.definitions", "errors", "headers", "models", "reply"}
    | {"reply.finish", "stream", "stream.delta", "stream.reasoned", "stream.tools", "stream.usage", "stream.error"}
    | {"upstreams", "sources"}
)
RELAYED = ("reply", "stream")
"""What a gateway that relays another contract passes on as it is."""
NOT_INHERITED = frozenset({"sources", "known-failures", "variants", "aliases"})
OWN = frozenset(
    {"headers", "models.resolved", "body.rules", "body.instead", "errors.types", "errors.allowed"}
    | {"errors.missing_model", "errors.unlisted_value"}
)
"""Facts of one provider alone: its variants have them too, a contract that extends it has not, unless it says `true`."""
WHOLE = ("summary", "endpoint", "body", "reply", "stream", "errors")
"""What a contract that extends no other must have."""
CHUNKS = frozenset({"stream.first", "stream.last", "stream.preamble", "stream.repeat_finish", "stream.usage.own"})


@dataclass(frozen=True, eq=False)
class Contract:
    """A provider's contract, resolved.

    `data` holds every fact, `own` what its file at `path` says itself; `base` is the contract that it extends, `relayed`
    the one of the provider behind it.
    """

    name: str
    path: Path
    data: Mapping[str, Any]
    own: Mapping[str, Any] = field(repr=False)
    base: Contract | None = field(default=None, repr=False)
    relayed: Contract | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        return f"<contract {self.name}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))  # Hypothesis and IPython print every field of a dataclass otherwise

    @classmethod
    def load(cls, name: str, project: Path | None = None) -> Contract:
        """The contract of that name: the project's own `contracts/` first, then the ones shipped with onpaper.

        `name@variant` is one of its variants. Raises BadInput when there is none, or the file is not a contract.
        """
        stem, at, variant = name.partition("@")
        contract = cls.read(folders.find("contracts", stem, project=project))
        return contract.variant(variant) if at else contract

    @classmethod
    def read(cls, path: Path) -> Contract:
        """The contract in that file. Raises BadInput that names the file, the key and the known keys."""
        return _read(path.resolve(), _time_of(path))

    def get(self, dotted: str, default: Any = None) -> Any:
        """A fact by its dotted path, such as `stream.usage.when`."""
        value: Any = self.data
        for key in dotted.split("."):
            if not isinstance(value, dict) or key not in value:
                return default
            value = value[key]
        return value

    @property
    def folder(self) -> str:
        """The folder of its recordings: the name, in which a variant's `@` would be no file name."""
        return self.name.replace("@", "-")

    @property
    def variants(self) -> tuple[str, ...]:
        """The names of its variants: deviations of some models, or of earlier versions."""
        return tuple(self.data.get("variants", ()))

    def variant(self, name: str) -> Contract:
        """This contract with a variant's deviations laid over it. Raises BadInput when it has none of that name."""
        if name not in self.variants:
            raise BadInput(f"{self.path}: contract {self.name!r} has no variant {name!r}{nearest(name, self.variants)}")
        sources = self.own.get("sources", {})
        own = {**self.data["variants"][name], "sources": {"": sources.get(f"variants.{name}") or sources.get("")}}
        relayed = _beside(self.path, own["relays"], "relays") if "relays" in own else None
        data = _unknowing(_merge(_relaying(_without(self.data, _replaced(own)), relayed), own, ""), own, self.path)
        return Contract(f"{self.name}@{name}", self.path, data, own, self, relayed)

    @property
    def metered(self) -> bool:
        """Whether a request costs money."""
        return bool(self.data.get("metered", False))

    @property
    def protocol(self) -> str:
        """`sse` (chat completions) or `ndjson` (Ollama's own)."""
        return str(self.get("endpoint.protocol", "sse"))

    @cached_property
    def paths(self) -> Paths:
        """Which methods and paths it serves."""
        return Paths(self.data)

    @property
    def chat_path(self) -> str:
        return str(self.get("endpoint.prefix", "")) + str(self.get("endpoint.chat", "/chat/completions"))

    @property
    def models_path(self) -> str:
        return str(self.get("endpoint.prefix", "")) + str(self.get("endpoint.models", "/models"))

    @property
    def keys(self) -> frozenset[str]:
        """The body keys that the provider accepts."""
        return frozenset(self.get("body.keys", {})) - self.unsupported

    @property
    def honoured(self) -> frozenset[str]:
        """The body keys that it accepts and acts upon."""
        return self.keys - frozenset(self.get("body.ignored", ()))

    @property
    def unsupported(self) -> frozenset[str]:
        """The body keys that it knows and refuses all the same."""
        return frozenset(self.get("body.unsupported", ()))

    @cached_property
    def rules(self) -> tuple[Mapping[str, Any], ...]:
        """The combinations that it refuses: none of a key that it does not know, or takes without effect."""
        rules = self.get("body.rules", ())
        return tuple(one for one in rules if {one["key"], one.get("excludes", one["key"])} <= self.honoured)

    @property
    def usage_paths(self) -> tuple[str, ...]:
        """Where a chunk may carry its counts, as dotted paths with `*` for every item of a list."""
        return ("usage", "choices.*.usage", *self.get("stream.usage.paths", ()))

    def auth_value(self, key: str) -> str:
        """The value of the auth header for a key."""
        return str(self.get("auth.form", "Bearer {key}")).replace("{key}", key)

    @property
    def auth_header(self) -> str:
        return str(self.get("auth.header", "authorization"))

    @property
    def auth_ways(self) -> tuple[tuple[str, str], ...]:
        """The ways to give the key, the usual one first: a header's name in lower case, and its value with `{key}`."""
        also = ((way["header"].lower(), way["form"]) for way in self.get("auth.also", ()))
        return ((self.auth_header.lower(), str(self.get("auth.form", "Bearer {key}"))), *also)

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The accepted request body as JSON Schema (draft 2020-12)."""
        definitions = {name: expanded(value) for name, value in self.get("body.definitions", {}).items()}
        schema = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                key: expanded(value) for key, value in self.get("body.keys", {}).items() if key not in self.unsupported
            },
            "required": list(self.get("body.required", ())),
            "additionalProperties": False,
            "$defs": definitions,
        }
        nested = self.get("body.unknown_nested", self.get("body.unknown", "refuse"))
        return opened(schema, top=True) if nested == "ignore" else schema

    @cached_property
    def _validator(self) -> Any:
        import jsonschema_rs

        try:
            return jsonschema_rs.validator_for(self.schema)
        except ValueError as error:
            said = getattr(error, "message", error)
            raise BadInput(f"{self.path}: body: this is no JSON Schema: {said}") from None

    def violations(self, body: Any) -> list[Violation]:
        """Every way in which a request body breaks this contract; empty when it keeps it.

        A key that the provider silently ignores is a violation too: what was meant by it is lost.
        """
        found = [one for error in self._validator.iter_errors(body) for one in violations_of(error, body, self.schema)]
        known = [
            replace(one, situation="unsupported_parameter")
            if one.situation == "unknown_parameter" and one.param in self.unsupported
            else one
            for one in found
        ]
        return known + list(self._broken_rules(body))

    def _broken_rules(self, body: Any) -> Iterator[Violation]:
        if not isinstance(body, dict):
            return
        for rule in self.rules:
            key = rule["key"]
            if body.get(key) is None:
                continue
            needs, excludes, when = rule.get("needs"), rule.get("excludes"), rule.get("when")
            if when is not None and self._condition(json.dumps(when)).is_valid(body):
                said = rule.get("message") or f"'{key}' is refused here"
                yield Violation("broken_rule", f"/{key}", said, key, body[key], code=rule.get("code"))
            if needs and not body.get(needs):
                said = rule.get("message") or f"'{key}' needs '{needs}'"
                yield Violation("broken_rule", f"/{key}", said, key, body[key], code=rule.get("code"))
            if excludes and body.get(excludes) is not None:
                said = rule.get("message") or f"'{key}' cannot be sent beside '{excludes}'"
                yield Violation("broken_rule", f"/{key}", said, key, body[key], code=rule.get("code"))

    @staticmethod
    @lru_cache(maxsize=64)
    def _condition(schema: str) -> Any:
        import jsonschema_rs

        return jsonschema_rs.validator_for(json.loads(schema))

    def source_of(self, dotted: str) -> tuple[str, Mapping[str, Any] | None]:
        """`(file name, source)` of a fact: whoever says it, with the longest path in its `sources` that covers it."""
        contract: Contract = self
        while not _says(contract.own, dotted):
            relayed = contract.relayed if dotted.partition(".")[0] in RELAYED else None
            inherited = relayed or contract.base
            if inherited is None:
                break
            contract = inherited
        sources: Mapping[str, Any] = contract.own.get("sources", {})
        parts = dotted.split(".")
        for length in range(len(parts), -1, -1):
            if ".".join(parts[:length]) in sources:
                return contract.path.name, sources[".".join(parts[:length])]
        return contract.path.name, None

    def facts(self) -> Iterator[tuple[str, Any]]:
        """Every fact with its dotted path, sections walked through, templates and situations whole."""
        yield from _facts(self.data, "")


def _facts(section: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        path = f"{prefix}{key}"
        if path in NOT_INHERITED:
            continue
        if path in SECTIONS and isinstance(value, Mapping):
            yield from _facts(value, f"{path}.")
        else:
            yield path, value


def _says(own: Mapping[str, Any], dotted: str) -> bool:
    value: Any = own
    for key in dotted.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return False
        value = value[key]
    return True


@lru_cache(maxsize=256)
def _read(path: Path, _changed: int) -> Contract:
    own = _own(path, _changed)
    base = relayed = None
    data = own
    if "extends" not in own and (missing := [name for name in WHOLE if name not in own]):
        raise BadInput(f"{path}: it has no {missing[0]!r}, and extends no contract that has one: extends = \"openai\"?")
    if "extends" in own:
        base = _beside(path, own["extends"], "extends")
        inherited: Mapping[str, Any] = _without(base.data, (OWN - _kept(own)) | _replaced(own))
        if "relays" in own:
            relayed = _beside(path, own["relays"], "relays")
            inherited = _relaying(inherited, relayed)
        data = _unknowing(_merge(inherited, own, ""), own, path)
    for fact, source in own.get("sources", {}).items():
        day(source["date"], f"{path}: sources: date of {fact!r}:")
    for name, deviation in own.get("variants", {}).items():
        check(deviation, "contract", f"{path}: variants.{name}")
    contract = Contract(path.stem, path, data, own, base, relayed)
    if "body" in own:
        _ = contract._validator  # so that a body that is no schema is told when the file is read
    return contract


@lru_cache(maxsize=256)
def _own(path: Path, _changed: int) -> dict[str, Any]:
    return read_toml(path, "contract")


def _relaying(data: Mapping[str, Any], relayed: Contract | None) -> Mapping[str, Any]:
    return data if relayed is None else {**data, **{section: relayed.data[section] for section in RELAYED}}


def _beside(path: Path, name: str, key: str) -> Contract:
    """What a contract extends or relays: the one of that name in its folder, or wherever contracts are found.

    One level only, so that whoever reads a file has two to read and not a chain of them. Raises BadInput.
    """
    beside = path.parent / f"{name}.toml"
    try:
        found = beside if folders.NAME.match(name) and beside.is_file() else folders.find("contracts", name)
    except BadInput as error:
        raise BadInput(f"{path}: {key}: {error}") from None
    further = _own(found.resolve(), _time_of(found)).get(key)
    if further is not None:
        raise BadInput(
            f"{path}: it {key} {name!r}, which {key} {further!r} itself; a contract {key} one level only: name the"
            f" last one and repeat what is needed"
        )
    return Contract.read(found)


def _time_of(path: Path) -> int:
    return path.stat().st_mtime_ns if path.is_file() else 0


def _merge(base: Mapping[str, Any], own: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    merged = {key: value for key, value in base.items() if f"{prefix}{key}" not in NOT_INHERITED}
    for key, value in own.items():
        path = f"{prefix}{key}"
        if path == "extends":
            continue
        old = merged.get(key)
        if value is False and isinstance(old, (Mapping, list, str)):
            del merged[key]
        elif value is True and path in OWN:
            pass
        elif path in SECTIONS and isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[key] = _merge(old, value, f"{path}.")
        else:
            merged[key] = value
    return merged


def _kept(own: Mapping[str, Any]) -> frozenset[str]:
    """The facts of its base that a contract says it has as well."""
    said = ((fact, *fact.split(".")) for fact in OWN if "." in fact)
    return frozenset(fact for fact, section, key in said if own.get(section, {}).get(key) is True)


def _replaced(own: Mapping[str, Any]) -> frozenset[str]:
    """A contract that says its chunk says all of its chunks: the others are then as that one, unless it says them."""
    return CHUNKS if "chunk" in own.get("stream", {}) else frozenset()


def _unknowing(data: dict[str, Any], own: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The same without the keys that `own` says the provider does not know. Raises BadInput for one that there is not."""
    gone = own.get("body", {}).get("without", ())
    keys = data.get("body", {}).get("keys", {})
    for key in gone:
        if key not in keys:
            raise BadInput(f"{path}: body.without: there is no key {key!r} to leave out{nearest(key, keys, listed='')}")
    return _without(data, frozenset(f"body.keys.{key}" for key in gone)) if gone else data


def _without(data: Mapping[str, Any], dotted: frozenset[str], prefix: str = "") -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in data.items():
        path = f"{prefix}{key}"
        if path not in dotted:
            inside = path in SECTIONS and isinstance(value, Mapping)
            kept[key] = _without(value, dotted, f"{path}.") if inside else value
    return kept
