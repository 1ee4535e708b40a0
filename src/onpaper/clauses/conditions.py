"""When a clause applies: what a declaration says, and what a contract takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from onpaper.contract import Contract
from onpaper.driving.acts import of_text
from onpaper.driving.play import Play, speaks
from onpaper.driving.run import Run, crashed
from onpaper.driving.stage import Setup, Stage
from onpaper.driving.verdict import Broken, NotApplicable


async def plain_stream(stage: Stage) -> None:
    """Demand that an ordinary stream comes out right, so that the oddity alone is judged. Raises NotApplicable."""
    run = await stage.stream()
    if run.error is not None or run.text != run.reading.text:
        raise NotApplicable("an ordinary stream already comes out wrong: see stream/text")
    if not run.asked_for_stream:
        raise NotApplicable("stream() asks for a reply in one piece, in which no stream goes wrong: see body/stream-flag")


async def counts_right(stage: Stage) -> bool:
    """Whether the counts of an ordinary stream come out right; otherwise usage/counts says so, and nobody else."""
    run = await stage.stream()
    if run.error is not None or not run.stats:
        return False
    usage = run.reading.usage
    given = run.stats.get("prompt_tokens"), run.stats.get("completion_tokens")
    return usage is not None and given == (usage.prompt, usage.completion)


async def plain_complete(stage: Stage) -> None:
    """The same for an ordinary reply in one piece."""
    run = await stage.complete()
    if run.error is not None or not isinstance(run.value, Mapping) or run.value.get("content") != run.reading.text:
        raise NotApplicable("an ordinary reply already comes out wrong: see reply/text")


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
    """Raise NotApplicable when the backend refuses a parameter and may: it says so, or the contract does not take it.

    Raises Broken when it refuses one that the contract takes, and has not declared that.
    """
    from onpaper.strategies.sampling import named_by

    declared = stage.declared.can(parameter)
    if run.refused and declared == "refuses":
        raise NotApplicable(f"the backend refuses {parameter}, as declared")
    if declared == "ignores":
        raise NotApplicable(f"the backend ignores {parameter}, as declared")
    if run.refused and not named_by(stage.contract, parameter):
        raise NotApplicable(f"the backend refuses {parameter}, which the contract does not take")
    if run.refused and declared is None:
        raise Broken(f'{parameter} is refused, and the provider takes it: declare {parameter} = "refuses" if it is meant ({run.error})')


def accepts(contract: Contract, parameter: str) -> bool:
    """Whether the provider takes a parameter of the interface under its own name."""
    if contract.protocol == "ndjson":
        return parameter in contract.get("body.definitions.options.properties", {})
    return parameter in contract.keys


def needs_value(stage: Stage, **given: Any) -> None:
    """Raise NotApplicable when the contract takes a parameter, and not with such a value: a client may not send it, and
    need not refuse it. `messages` are looked at too."""
    from onpaper.strategies.calls import in_form
    from onpaper.strategies.sampling import body_with, named_by

    messages = given.pop("messages", None)
    taken = {names[0]: value for name, value in given.items() if (names := named_by(stage.contract, name))}
    body = body_with(stage.contract, taken)
    if messages is not None:
        body["messages"] = in_form(messages, stage.contract.get("reply.arguments") == "object")
    violations = stage.contract.violations(body)
    if violations:
        raise NotApplicable(f"the contract does not take {violations[0].pointer}: {violations[0].message}")


def needs_recorded_way(run: Run, messages: Sequence[Mapping[str, Any]], stream: bool) -> None:
    """Raise NotApplicable when a recording is no answer to what was asked: the conversation is not of text alone and was
    refused, or the reply was asked for in pieces and recorded in one, or the other way round."""
    if run.refused and not crashed(run) and not of_text(messages):
        raise NotApplicable(f"the backend refuses the recorded conversation before it sends anything: {run.given}")
    if run.chats and run.asked_for_stream is not stream:
        raise NotApplicable(f"{run.operation} asks for {'a reply in one piece' if stream else 'a stream'}, which was not recorded")


def offers_tools(stage: Stage) -> bool:
    """Whether complete() can be given tools: by its signature, by the declaration, and by the contract."""
    takes = stage.takes("complete", "tools") and stage.declared.can("tools") in (None, "yes")
    return takes and "tools" in stage.contract.keys


def needs_tools(stage: Stage) -> None:
    """Raise NotApplicable where no tool is ever called: the contract takes none, or the backend declares that it does not."""
    if "tools" not in stage.contract.keys:
        raise NotApplicable("the contract takes no tools")
    if stage.declared.can("tools") in ("refuses", "ignores"):
        raise NotApplicable(f"the backend {stage.declared.can('tools')} tools, as declared")
