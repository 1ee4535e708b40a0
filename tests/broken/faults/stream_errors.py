"""Errors inside a stream that are passed over, or stripped of their words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ..correct import Correct
from ..reply import Failed, Reply
from ..table import breaks

Choice = Mapping[str, Any]


class Quiet(Correct):
    """Ends in peace where an event carries an error; `quiet` says where."""

    def quiet(self, kind: str, data: str) -> bool:
        return False

    def take(self, reply: Reply, kind: str, data: str) -> str:
        return super().take(reply, "", "[DONE]" if self.quiet(kind, data) else data)


@breaks(
    "stream/error-object", "the stream carried an error object, but stream() gave the text 'Hel' and no error"
)
@breaks("stream/error-first", "the only event was an error, but stream() gave the text '' and no error")
class EndsQuietlyAtAnError(Quiet):
    """Stops at an error object as if the reply were over."""

    def quiet(self, kind: str, data: str) -> bool:
        return data.startswith('{"error":{')


@breaks("stream/error-text", "the stream carried an error, but stream() gave the text 'Hel' and no error")
class KnowsErrorsAsObjectsOnly(Correct):
    """Knows an error only where it is an object."""

    def is_error(self, value: Any) -> bool:
        return super().is_error(value) and isinstance(value["error"], dict)


@breaks(
    "stream/error-event",
    "the stream carried an event of type error, but stream() gave the text 'Hel' and no error",
)
class EndsQuietlyAtAnErrorEvent(Quiet):
    """Stops at an event that is no message."""

    def quiet(self, kind: str, data: str) -> bool:
        return kind not in ("", "message")


@breaks("stream/error-with-choices", "a chunk carried an error beside its choices, but stream() gave")
class LooksForErrorsWithoutChoices(Correct):
    """Takes a chunk that has choices for a sound one."""

    def is_error(self, value: Any) -> bool:
        return super().is_error(value) and not value.get("choices")


@breaks("stream/error-in-choice", "a choice carried an error, but stream() gave")
@breaks("reply/error-in-choice", "the choice carried an error, but complete() gave")
class KnowsNoErrorInAChoice(Correct):
    """Does not look for an error in the choice."""

    def add(self, reply: Reply, choice: Choice, message: Any) -> str:
        return super().add(reply, {key: value for key, value in choice.items() if key != "error"}, message)


@breaks("stream/error-after-finish", "an error followed the finish reason, but stream() gave")
class StopsAtTheFinishReason(Correct):
    """Stops at the finish reason."""

    def add(self, reply: Reply, choice: Choice, message: Any) -> str:
        text = super().add(reply, choice, message)
        reply.over = bool(reply.finish)
        return text


@breaks("stream/malformed-chunk", "a chunk was not a JSON object, but stream() gave")
class SkipsWhatIsNotJSON(Correct):
    """Passes over a chunk that does not parse."""

    def take(self, reply: Reply, kind: str, data: str) -> str:
        try:
            json.loads(data)
        except ValueError:
            data = data if data == "[DONE]" else ""
        return super().take(reply, kind, data)


@breaks("stream/words-kept", "the error does not keep the server's words")
class SaysThatSomethingWentWrong(Correct):
    """Raises for an error in a stream, and does not say which."""

    def parsed(self, kind: str, data: str) -> dict[str, Any]:
        with suppress(Failed):
            return super().parsed(kind, data)
        raise Failed("something went wrong")
