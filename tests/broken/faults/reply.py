"""Replies in one piece that are taken apart carelessly."""

from __future__ import annotations

import json
from typing import Any

import httpx

from ..correct import Correct
from ..reply import Failed, Reply
from ..table import breaks


@breaks("reply/text", "; the server said")
@breaks("reply/agrees-with-stream", "complete() gave")
class StripsTheReply(Correct):
    """Strips the blanks around a reply in one piece."""

    async def complete(self, messages: Any, **options: Any) -> dict[str, Any]:
        result = await super().complete(messages, **options)
        return result | {"content": result["content"].strip()}


@breaks("reply/recorded", "; the server said")
class WritesASCII(Correct):
    """Keeps of a reply in one piece what is ASCII."""

    def take_whole(self, reply: Reply, data: bytes) -> None:
        super().take_whole(reply, data)
        reply.text = reply.text.encode("ascii", "ignore").decode()


@breaks("reply/shape", "complete() gave no done_reason")
class LeavesAKeyOut(Correct):
    """Gives a result without done_reason."""

    async def complete(self, messages: Any, **options: Any) -> dict[str, Any]:
        result = await super().complete(messages, **options)
        return {key: value for key, value in result.items() if key != "done_reason"}


@breaks("reply/content-null", "None")
class WritesNoneForNoContent(Correct):
    """Makes the word None of a message without content."""

    def take_whole(self, reply: Reply, data: bytes) -> None:
        super().take_whole(reply, data)
        reply.text = reply.text or str(None)


@breaks("reply/choice-by-index", "'NOPE'")
class GoesByPosition(Correct):
    """Takes the choice that stands first."""

    def choice(self, choices: Any) -> dict[str, Any]:
        return dict(choices[0]) if choices else {}


@breaks("reply/no-choices", "the reply has no choices, but complete() gave")
class TakesNoChoiceForNoText(Correct):
    """Takes a reply without choices for an empty one."""

    def take_whole(self, reply: Reply, data: bytes) -> None:
        if self.choice(self.parsed("", data.decode()).get("choices")):
            super().take_whole(reply, data)


@breaks("reply/no-choices", "a bare KeyError says nothing about the reply")
class ExpectsChoices(Correct):
    """Looks for choices without looking whether there are any."""

    def take_whole(self, reply: Reply, data: bytes) -> None:
        self.parsed("", data.decode("utf-8", "replace"))["choices"]
        super().take_whole(reply, data)


@breaks("reply/error-in-200", "the reply was an error object, but complete() gave")
class TakesAnErrorForAnEmptyReply(Correct):
    """Takes an error object under the status 200 for an empty reply."""

    def take_whole(self, reply: Reply, data: bytes) -> None:
        if not data.startswith(b'{"error"'):
            super().take_whole(reply, data)


@breaks("reply/not-json", "the reply was not JSON, but complete() gave")
class TakesAPageForAnEmptyReply(Correct):
    """Takes what is not JSON for an empty reply."""

    def take_whole(self, reply: Reply, data: bytes) -> None:
        try:
            json.loads(data)
        except ValueError:
            return
        super().take_whole(reply, data)


@breaks("reply/connection-lost", "the connection was lost inside the body, but complete() gave")
class TakesHalfABodyForAnEmptyReply(Correct):
    """Takes a body that was cut for an empty reply."""

    def fail(self, error: Failed) -> None:
        if not isinstance(error.__cause__, httpx.ReadError | httpx.RemoteProtocolError):
            raise error


class Changing(Correct):
    """Changes what complete() gives; `change` is the fault."""

    async def complete(self, messages: Any, **options: Any) -> dict[str, Any]:
        return self.change(await super().complete(messages, **options))

    def change(self, result: dict[str, Any]) -> dict[str, Any]:
        return result


@breaks("reply/shape", "content is ['Hello, world!'], not text")
class GivesTextInAList(Changing):
    """Gives the text as a list of parts."""

    def change(self, result: dict[str, Any]) -> dict[str, Any]:
        return result | {"content": [result["content"]]}


@breaks("reply/shape", "not a list")
class GivesCallsByName(Changing):
    """Gives the tool calls as a dict."""

    def change(self, result: dict[str, Any]) -> dict[str, Any]:
        calls = result["tool_calls"]
        return result | {"tool_calls": calls and {call["function"]["name"]: call for call in calls}}


@breaks("reply/shape", "not a dict")
@breaks("usage/counts", "complete() gave the usage (11, 5), not a dict")
class GivesAPairOfCounts(Changing):
    """Gives the counts as a pair."""

    def change(self, result: dict[str, Any]) -> dict[str, Any]:
        return result | {"usage": (result["usage"]["prompt"], result["usage"]["completion"])}


@breaks("reply/recorded", "tool calls [")
class GivesOneCall(Changing):
    """Gives the first of several tool calls."""

    def change(self, result: dict[str, Any]) -> dict[str, Any]:
        return result | {"tool_calls": result["tool_calls"] and result["tool_calls"][:1]}


@breaks("reply/agrees-with-stream", "complete() counted {'prompt': 11, 'completion': 6")
class CountsTheEnd(Changing):
    """Counts one token more in complete() than in stream()."""

    def change(self, result: dict[str, Any]) -> dict[str, Any]:
        completion = result["usage"]["completion"]
        return result | {"usage": result["usage"] | {"completion": completion and completion + 1}}
