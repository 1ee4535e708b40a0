"""The table of faults: names, parameters and one sentence each; and applying a list of them to a script."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, get_type_hints

from onpaper.errors import BadInput, nearest
from onpaper.mock import Mock
from onpaper.script import Script


class Change(Protocol):
    """A fault: takes a script and keyword parameters, returns the script that carries the fault out."""

    def __call__(self, script: Script, /, **parameters: Any) -> Script: ...


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a fault: its type in words, and its default (`required` when it has none)."""

    name: str
    kind: str
    required: bool
    default: Any = None


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of the table. `about` is one sentence; calling it changes a script."""

    name: str
    about: str
    parameters: tuple[Parameter, ...]
    change: Change

    def __call__(self, script: Script, **given: Any) -> Script:
        """The script with this fault in it. Raises BadInput for a bad parameter or if there is nothing to
        act on.
        """
        self.check(given)
        changed = self.change(script, **given)
        lost = [name for name in script.faults if name not in changed.faults]
        if lost:
            raise BadInput(
                f"the fault {self.name} takes away what {lost[0]} did; change their order or drop one"
            )
        assert self.name in changed.faults, f"{self.name} left no trace"
        return changed

    def check(self, given: Mapping[str, Any]) -> None:
        """Raise BadInput for a parameter that it does not have, that is missing, or of the wrong type."""
        known = {parameter.name: parameter for parameter in self.parameters}
        for name, value in given.items():
            if name not in known:
                raise BadInput(f"the fault {self.name} has no parameter {name!r}{nearest(name, known)}")
            if not _fits(value, known[name].kind):
                raise BadInput(
                    f"the fault {self.name} wants {name} to be {known[name].kind}, found {value!r}"
                )
        missing = [
            parameter.name
            for parameter in self.parameters
            if parameter.required and parameter.name not in given
        ]
        if missing:
            raise BadInput(f"the fault {self.name} needs {' and '.join(missing)}")


FAULTS: dict[str, Fault] = {}

KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "int": ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    "float": (
        "a number from 0 on",
        lambda value: (
            isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
        ),
    ),
    "str": ("a text", lambda value: isinstance(value, str)),
    "list": (
        "a list of whole numbers from 0 on",
        lambda value: (
            isinstance(value, list | tuple) and all(type(item) is int and item >= 0 for item in value)
        ),
    ),
}


def _fits(value: Any, kind: str) -> bool:
    return next(fits for words, fits in KINDS.values() if words == kind)(value)


def fault(name: str) -> Callable[[Callable[..., Script]], Callable[..., Script]]:
    """Enter a function into the table under a name; its docstring's first sentence describes it."""

    def enter(change: Callable[..., Script]) -> Callable[..., Script]:
        hints = get_type_hints(change)
        parameters = []
        for parameter in list(inspect.signature(change).parameters.values())[1:]:
            kind = str(hints[parameter.name]).removeprefix("<class '").partition("'")[0].partition("[")[0]
            required = parameter.default is inspect.Parameter.empty
            default = None if required else parameter.default
            parameters.append(Parameter(parameter.name, KINDS[kind.partition(" |")[0]][0], required, default))
        about = " ".join((inspect.getdoc(change) or "").partition("\n\n")[0].split())
        FAULTS[name] = Fault(name, about, tuple(parameters), change)
        return change

    return enter


def known_faults() -> dict[str, Fault]:
    """Every fault by its name, in the order of the names."""
    return dict(sorted(FAULTS.items()))


def apply(script: Script, faults: Sequence[Mapping[str, Any]]) -> Script:
    """The script with these faults in it, one after the other.

    Each is a mapping of `fault` to a name and of the parameters to their values, as a mock lists them:
    `{"fault": "cut", "at": 3}`. Raises BadInput for an unknown name or parameter, and when a fault finds
    nothing in the script to act on.
    """
    for given in faults:
        fault, parameters = _named(given)
        script = fault(script, **parameters)
    return script


def check(mock: Mock) -> Mock:
    """The mock, when every fault that it scripts is in the table with such parameters. Raises BadInput."""
    for number, reply in enumerate(mock.replies):
        for given in reply.faults:
            try:
                fault, parameters = _named(given)
                fault.check(parameters)
            except BadInput as error:
                raise BadInput(f"{mock.path or mock.name}: reply.{number}.faults: {error}") from None
    return mock


def _named(given: Mapping[str, Any]) -> tuple[Fault, dict[str, Any]]:
    parameters = dict(given)
    name = parameters.pop("fault", None)
    if name not in FAULTS:
        raise BadInput(f"there is no fault {name!r}{nearest(str(name), FAULTS)}")
    return FAULTS[name], parameters
