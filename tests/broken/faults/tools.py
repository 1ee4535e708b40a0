"""Tool calls that are put together wrongly, or carried out with arguments that nobody gave."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Any

from ..correct import Correct
from ..reply import Failed, Reply
from ..table import breaks


class Text(Reply):
    def arguments(self, call: dict[str, Any]) -> Any:
        return call["arguments"]


@breaks("tools/arguments-decoded", "gave the calls")
class LeavesArgumentsAsText(Correct):
    """Gives the arguments as they came."""

    reply = Text


class Anything(Reply):
    def arguments(self, call: dict[str, Any]) -> Any:
        return (
            json.loads(call["arguments"] or "{}") if isinstance(call["arguments"], str) else call["arguments"]
        )


@breaks("tools/arguments-not-an-object", "neither a dict, nor the raw text, nor an error")
class TakesAnyJSONForArguments(Correct):
    """Gives the arguments as whatever they parse to."""

    reply = Anything


class Nothing(Reply):
    def arguments(self, call: dict[str, Any]) -> Any:
        try:
            return super().arguments(call)
        except Failed:
            return {}


@breaks("tools/broken-arguments", "became {}")
@breaks("tools/streamed-broken-arguments", "became {}")
class BrokenArgumentsBecomeNone(Correct):
    """Calls a tool without arguments when they do not parse."""

    reply = Nothing


class Never(Reply):
    def arguments(self, call: dict[str, Any]) -> Any:
        if call["arguments"] == "":
            raise Failed("a call without arguments")
        return super().arguments(call)


@breaks("tools/no-arguments", "a call without arguments")
class RefusesNoArguments(Correct):
    """Refuses a call that needs no arguments."""

    reply = Never


class Floating(Reply):
    def arguments(self, call: dict[str, Any]) -> Any:
        value = super().arguments(call)
        return json.loads(json.dumps(value), parse_int=float)


@breaks("tools/arguments-unicode", "9007199254740992.0")
class ReadsIntegersAsFloats(Correct):
    """Reads large integers as floating-point numbers."""

    reply = Floating


class TextOnly(Reply):
    def add_fragment(self, part: dict[str, Any]) -> None:
        if isinstance((part.get("function") or {}).get("arguments"), dict):
            raise Failed("the arguments are no text")
        super().add_fragment(part)


@breaks("tools/arguments-object", "the arguments are no text")
class ExpectsArgumentsAsText(Correct):
    """Refuses arguments that are an object already."""

    reply = TextOnly


class Spelled(Reply):
    def add_fragment(self, part: dict[str, Any]) -> None:
        function = part.get("function") or {}
        if function.get("arguments", "") is None:
            part = part | {"function": function | {"arguments": str(None)}}
        super().add_fragment(part)


@breaks("tools/arguments-null", "are not a JSON object: None")
class WritesNullArguments(Correct):
    """Adds the word None to the arguments."""

    reply = Spelled


class Numbered(Reply):
    def tool_calls(self) -> list[dict[str, Any]] | None:
        found = super().tool_calls()
        return found and [call | {"id": f"call-{number}"} for number, call in enumerate(found)]


@breaks("tools/ids", "the ids came out as ['call-0', 'call-1']")
class NumbersTheCalls(Correct):
    """Gives each call an id of its own."""

    reply = Numbered


@breaks("tools/finish-stop", "gave the calls []")
@breaks("tools/streamed-finish-stop", "gave the calls []")
class WaitsForTheRightFinish(Correct):
    """Gives tool calls only where the finish reason announces them."""

    def report(self, reply: Reply, stats: Any) -> dict[str, Any]:
        if reply.finish != "tool_calls":
            reply.calls = []
        return super().report(reply, stats)


@breaks("tools/history", "the arguments went out as {'city': 'Paris'}")
class SendsArgumentsAsTheyCame(Correct):
    """Sends the arguments of the history as the object that complete() gave."""

    def history(self, messages: Any) -> list[Any]:
        return list(messages)


@breaks("tools/streamed", "stream() gave the calls []")
class ReportsNoStreamedCalls(Correct):
    """Reports tool calls from complete() alone."""

    async def stream(self, messages: Any, *, stats: Any = None, **options: Any) -> AsyncIterator[str]:
        async with aclosing(super().stream(messages, stats=stats, **options)) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                yield piece
        if stats:
            del stats["tool_calls"]


class ByIndex(Reply):
    def continued(self, index: int | None, id: str) -> dict[str, Any] | None:
        return next((call for call in self.calls if call["index"] == index), None)


@breaks("tools/index-shared", '{"city": "Paris"}{"zone": "CET"}')
class GoesByTheIndexAlone(Correct):
    """Takes the index for the name of a call, whatever the id says."""

    reply = ByIndex


class Indexed(Reply):
    def add_fragment(self, part: dict[str, Any]) -> None:
        if "index" not in part:
            raise Failed("a fragment without an index")
        super().add_fragment(part)


@breaks("tools/index-missing", "a fragment without an index")
class ExpectsAnIndex(Correct):
    """Refuses a fragment without an index."""

    reply = Indexed


class FromZero(Reply):
    def add_fragment(self, part: dict[str, Any]) -> None:
        if (part.get("index") or 0) > len(self.calls):
            raise Failed("the index is out of range")
        super().add_fragment(part)


@breaks("tools/index-from-one", "the index is out of range")
class ExpectsTheFirstIndexToBeZero(Correct):
    """Takes the index for a place in its list."""

    reply = FromZero


class Last(Reply):
    def continued(self, index: int | None, id: str) -> dict[str, Any] | None:
        return super().continued(None, id)


@breaks("tools/interleaved", "raised Failed")
class ContinuesTheLastCall(Correct):
    """Adds each fragment without an id to the last call."""

    reply = Last


class NameFirst(Reply):
    def add_fragment(self, part: dict[str, Any]) -> None:
        before = len(self.calls)
        super().add_fragment(part)
        if len(self.calls) == before and self.calls[-1]["arguments"] == "":
            self.calls[-1]["name"] = ""


@breaks("tools/late-name", "a tool call without a name")
class ExpectsTheNameFirst(Correct):
    """Looks for the name in the first fragment of a call alone."""

    reply = NameFirst


class Nameless(Reply):
    def name(self, call: dict[str, Any]) -> str:
        return str(call["name"])


@breaks("tools/unnamed", "a call without a name came out")
class CallsWhatHasNoName(Correct):
    """Gives a call that has no name."""

    reply = Nameless


class Eager(Reply):
    def add_fragment(self, part: dict[str, Any]) -> None:
        call = self.continued(part.get("index"), part.get("id") or "")
        try:
            json.loads(call["arguments"] if call else "")
        except ValueError:
            super().add_fragment(part)


@breaks("tools/whole-before-end", "the server said '12'")
class CallsAsSoonAsItParses(Correct):
    """Takes arguments for whole as soon as they parse."""

    reply = Eager

    def report(self, reply: Reply, stats: Any) -> dict[str, Any]:
        reply.arguments = lambda call: json.loads(call["arguments"] or "{}")  # type: ignore[method-assign]
        return super().report(reply, stats)


class Sound(Reply):
    def tool_calls(self) -> list[dict[str, Any]] | None:
        for call in list(self.calls):
            try:
                self.arguments(call), self.name(call)
            except Failed:
                self.calls.remove(call)
        return super().tool_calls()


@breaks("tools/broken-arguments", "the call with the arguments '{bad' vanished")
@breaks("tools/arguments-not-an-object", "the call with the arguments 'null' vanished")
@breaks("tools/streamed-broken-arguments", "the call vanished")
@breaks("tools/unnamed", "a call without a name vanished")
class DropsBrokenCalls(Correct):
    """Passes over a call that it cannot make sense of."""

    reply = Sound


class Repairing(Reply):
    def arguments(self, call: dict[str, Any]) -> Any:
        for missing in ("", '"}', "}", "]}"):
            with suppress(ValueError):
                call = call | {"arguments": json.dumps(json.loads(call["arguments"] + missing))}
                break
        return super().arguments(call)


@breaks("tools/broken-arguments", "became {'city': 'Par'}")
@breaks("tools/streamed-broken-arguments", "became {'city': 'Par'}")
class RepairsArguments(Correct):
    """Closes the quotes and braces of arguments that were cut off."""

    reply = Repairing


class Unlike(Reply):
    def tool_calls(self) -> list[dict[str, Any]] | None:
        found = {json.dumps(call["function"], sort_keys=True): call for call in super().tool_calls() or ()}
        return list(found.values()) or None


@breaks("tools/arguments-decoded", "the server made [('roll_dice', {'sides': 6}), ('roll_dice', {'sides': 6})]")
@breaks("tools/streamed", "the server made [('roll_dice', {'sides': 6}), ('roll_dice', {'sides': 6})]")
@breaks("tools/ids", "the server said ['call_1', 'call_2']")
class DropsCallsThatAreAlike(Correct):
    """Takes the same call under another id for a repetition."""

    reply = Unlike


class Anew(Reply):
    def tool_calls(self) -> list[dict[str, Any]] | None:
        return [{**call, "id": f"call_{number}"} for number, call in enumerate(super().tool_calls() or ())] or None


@breaks("tools/streamed", "the ids came out as ['call_0'")
@breaks("tools/ids", "the ids came out as ['call_0'")
class NamesCallsByNumber(Correct):
    """Gives tool calls ids of its own."""

    reply = Anew


class Cutting(Reply):
    def tool_calls(self) -> list[dict[str, Any]] | None:
        return [call | {"id": call["id"][:40]} for call in super().tool_calls() or ()] or None


@breaks("tools/streamed", "the ids came out as ['chatcmpl-tool-0f6bd1b0c9f84c52a4b7d3e1f2'")
@breaks("tools/ids", "the ids came out as ['chatcmpl-tool-0f6bd1b0c9f84c52a4b7d3e1f2'")
class CutsLongIds(Correct):
    """Cuts the ids of tool calls to a length that every provider takes."""

    reply = Cutting


class Joining(Reply):
    def add_fragment(self, part: dict[str, Any]) -> None:
        before = len(self.calls)
        super().add_fragment(part)
        if len(self.calls) == before and (name := (part.get("function") or {}).get("name")):
            self.calls[-1]["name"] += name


@breaks("tools/late-name", "get_weatherget_weather")
class JoinsTheNames(Correct):
    """Joins the name of a call as it joins its arguments."""

    reply = Joining


@breaks("tools/history", "of the history went out as '{}'")
class EmptiesArgumentsThatDoNotParse(Correct):
    """Sends an empty object for arguments of the history that are no JSON."""

    def message(self, message: Any, kind: type, rewrite: Any) -> Any:
        def sound(arguments: str) -> str:
            try:
                json.loads(arguments)
            except ValueError:
                return "{}"
            return arguments

        return super().message(super().message(message, kind, rewrite), str, sound)


class First(Reply):
    def arguments(self, call: dict[str, Any]) -> Any:
        with suppress(ValueError, TypeError):
            call = call | {"arguments": json.dumps(json.JSONDecoder().raw_decode(call["arguments"])[0])}
        return super().arguments(call)


@breaks("tools/broken-arguments", "became {'city': 'Paris'}")
@breaks("tools/streamed-broken-arguments", "became {'city': 'Paris'}")
class ReadsTheFirstObject(Correct):
    """Takes the first of two objects for the arguments."""

    reply = First
