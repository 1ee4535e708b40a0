"""When a clause applies: what a declaration says, what a contract takes. Each function raises NotApplicable."""

from __future__ import annotations

from onpaper.contract import Contract
from onpaper.driving.play import Play, speaks
from onpaper.driving.run import Run
from onpaper.driving.stage import Setup, Stage
from onpaper.driving.verdict import NotApplicable


def needs_key(stage: Stage) -> None:
    """Raise NotApplicable unless the declaration says where the backend finds its key."""
    if not stage.keyed:
        raise NotApplicable("the declaration names no environment variable with {key}")


def applicable(stage: Stage, play: Play) -> Play:
    """The play, unless it is for another protocol. Raises NotApplicable."""
    speaks(play, stage.contract)
    return play


def needs_result(stage: Stage, name: str) -> None:
    """Raise NotApplicable unless the backend declares an optional result."""
    if stage.declared.can(name) != "yes":
        raise NotApplicable(f"the backend does not declare {name} = \"yes\"")


def limited(stage: Stage, which: str) -> Setup:
    """A set-up with a short time-out. Raises NotApplicable when the declaration does not say how it is set."""
    if which not in stage.declared.timeouts:
        raise NotApplicable(f"the declaration does not say how a short {which} time-out is set")
    return Setup(args=tuple(stage.declared.timeouts[which].items()))


def refused(stage: Stage, run: Run, parameter: str) -> None:
    """Raise NotApplicable when the backend refuses a parameter and may: it says so, or the contract does not take it."""
    declared = stage.declared.can(parameter)
    if run.refused and declared == "refuses":
        raise NotApplicable(f"the backend refuses {parameter}, as declared")
    if declared == "ignores":
        raise NotApplicable(f"the backend ignores {parameter}, as declared")


def accepts(contract: Contract, parameter: str) -> bool:
    """Whether the provider takes a parameter of the interface under its own name."""
    if contract.protocol == "ndjson":
        return parameter in contract.get("body.definitions.options.properties", {})
    return parameter in contract.keys
