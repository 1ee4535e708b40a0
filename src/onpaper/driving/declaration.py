"""Which backends are judged, and how: `[tool.onpaper.backends.<name>]` in the project's pyproject.toml."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onpaper.contract import Contract
from onpaper.datafile import check, parsed
from onpaper.driving.known import KnownFailure
from onpaper.errors import BadInput, nearest

STATES = ("yes", "refuses", "ignores")
RESULTS = ("done_reason", "tool_calls", "reasoning", "errors", "unterminated_event", "retries", "set_model")
PARAMETERS = ("max_tokens", "temperature", "top_k", "top_p", "presence_penalty", "stop", "tools", "sampling")
PLACEHOLDERS = ("key", "base_url")
"""What stands in braces in a value of `env` for what the fake gateway has."""
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
TIMEOUTS = ("connect", "first_byte", "between")


@dataclass(frozen=True)
class Declared:
    """One backend as declared.

    `capabilities` maps an optional result (`done_reason`, `tool_calls`, `reasoning`, `errors`,
    `unterminated_event`, `retries`, `set_model`) or a parameter of the interface to `yes`, `refuses` or `ignores`.
    `timeouts` maps `connect`, `first_byte` and `between` to the factory arguments that make that time-out short.
    """

    name: str
    factory: str
    contract: Contract
    env: Mapping[str, str] = field(default_factory=dict)
    args: Mapping[str, Any] = field(default_factory=dict)
    capabilities: Mapping[str, str] = field(default_factory=dict)
    timeouts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    known_failures: tuple[KnownFailure, ...] = ()
    model: str = ""

    @property
    def model_name(self) -> str:
        return self.model or ("qwen3.5:4b" if self.contract.protocol == "ndjson" else "openai/gpt-4o-mini")

    @property
    def key_variables(self) -> tuple[str, ...]:
        """The environment variables that carry the gateway's key."""
        return tuple(name for name, value in self.env.items() if "{key}" in value)

    def can(self, capability: str) -> str | None:
        """The declared state of a capability, or None."""
        return self.capabilities.get(capability)

    def load(self) -> Callable[..., Any]:
        """Import the factory, with the working directory on the path. Raises BadInput in one sentence."""
        module_name, _, attribute = self.factory.partition(":")
        if not module_name or not attribute or module_name.startswith("."):
            raise BadInput(f"backend {self.name!r}: factory {self.factory!r} is not of the form 'package.module:Class'")
        if module_name.endswith(".py"):
            meant = ".".join(Path(module_name).with_suffix("").parts)
            raise BadInput(f"backend {self.name!r}: factory {self.factory!r} names a file; name the module: '{meant}:{attribute}'")
        if os.getcwd() not in sys.path and "" not in sys.path:
            sys.path.insert(0, os.getcwd())
        try:
            value: Any = importlib.import_module(module_name)
        except (Exception, SystemExit) as error:
            raise BadInput(
                f"backend {self.name!r}: module {module_name!r} cannot be imported ({type(error).__name__}: {error});"
                " run onpaper where your package can be imported, in the environment it is installed in"
            ) from error
        for part in attribute.split("."):
            if not hasattr(value, part):
                raise BadInput(f"backend {self.name!r}: {module_name!r} has no {part!r}{nearest(part, _public(value), listed='')}")
            value = getattr(value, part)
        if not callable(value):
            raise BadInput(f"backend {self.name!r}: {self.factory!r} is not callable; name a class or a function")
        return value  # type: ignore[no-any-return]


def _public(value: object) -> list[str]:
    return [name for name in dir(value) if not name.startswith("_")]


REFERENCE: dict[str, dict[str, Any]] = {
    "ollama": {"factory": "onpaper.backends:OllamaBackend", "contract": "ollama"},
    "vllm": {"factory": "onpaper.backends:VLLMBackend", "contract": "vllm"},
    "litellm": {
        "factory": "onpaper.backends:LiteLLMBackend",
        "contract": "litellm",
        "env": {"VUI_LITELLM_KEY": "{key}"},
    },
}
"""The three reference backends: what is judged where nothing is declared."""

for _one in REFERENCE.values():
    _one["timeouts"] = {
        "connect": {"timeouts": {"connect": 0.15}},
        "first_byte": {"timeouts": {"first_byte": 0.15}},
        "between": {"timeouts": {"between_chunks": 0.15}},
    }
    _one["capabilities"] = dict.fromkeys(("done_reason", "tool_calls", "reasoning", "errors", "set_model", "sampling"), "yes")
REFERENCE["vllm"]["capabilities"]["set_model"] = "refuses"


def read(project: Path | None = None) -> dict[str, Declared]:
    """The backends declared in pyproject.toml of a folder (the working directory), or the reference ones.

    Raises BadInput when the declaration is malformed.
    """
    return own(project) or {name: declare(name, value, "the reference backends") for name, value in REFERENCE.items()}


def own(project: Path | None = None) -> dict[str, Declared]:
    """The backends that a project declares itself, if any. Raises BadInput when the declaration is malformed."""
    path = (project or Path.cwd()) / "pyproject.toml"
    if not (path.is_symlink() or path.exists()):
        return {}
    tool = parsed(path, "project").get("tool", {})
    table = tool.get("onpaper", {}) if isinstance(tool, dict) else tool
    check(table, "declaration", f"{path}: tool.onpaper")
    return {name: declare(name, value, str(path)) for name, value in table.get("backends", {}).items()}


def declare(name: str, value: Mapping[str, Any], where: str = "the command line") -> Declared:
    """A declaration from its table. Raises BadInput that says where it stands."""
    for capability, state in value.get("capabilities", {}).items():
        known = (*RESULTS, *PARAMETERS)
        if capability not in known:
            raise BadInput(f"{where}: backend {name!r}: unknown capability {capability!r}{nearest(capability, known)}")
        if state not in STATES:
            raise BadInput(f"{where}: backend {name!r}: {capability} is {state!r}; it can be {', '.join(STATES)}")
    for variable, text in value.get("env", {}).items():
        if (found := _PLACEHOLDER.fullmatch(text)) and found[1] not in PLACEHOLDERS:
            raise BadInput(f"{where}: backend {name!r}: {variable} is {text}, which stands for nothing{nearest(found[1], PLACEHOLDERS)}")
    for which in value.get("timeouts", {}):
        if which not in TIMEOUTS:
            raise BadInput(f"{where}: backend {name!r}: unknown time-out {which!r}{nearest(which, TIMEOUTS)}")
    return Declared(
        name,
        value["factory"],
        Contract.load(value["contract"]),
        dict(value.get("env", {})),
        dict(value.get("args", {})),
        dict(value.get("capabilities", {})),
        {which: dict(args) for which, args in value.get("timeouts", {}).items()},
        tuple(KnownFailure.read(one, f"{where}: backend {name!r}") for one in value.get("known-failures", ())),
        value.get("model", ""),
    )


def pairs(values: Sequence[str], option: str) -> dict[str, str]:
    """`NAME=VALUE` arguments of the command line as a mapping. Raises BadInput."""
    found: dict[str, str] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not name or not equals:
            raise BadInput(f"{option} wants NAME=VALUE, found {value!r}")
        found[name] = text
    return found
