"""Bodies, paths and URLs that the provider does not take, or that say something else than the caller."""

from __future__ import annotations

import json
import re
import unicodedata
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx

from ..correct import Correct, CorrectLocal
from ..table import breaks


class Changing(Correct):
    """Changes the body before it goes out; `change` is the fault."""

    def body(
        self, messages: Any, stream: bool, max_tokens: Any, sampling: Any, stop: Any, tools: Any
    ) -> dict[str, Any]:
        self.given = {"max_tokens": max_tokens, "stop": stop, "tools": tools}
        return self.change(super().body(messages, stream, max_tokens, sampling, stop, tools))

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return body


@breaks("body/accepted-strictly", "the provider answers 400")
class SendsTopKToEveryone(Changing):
    """Sends top_k to a provider that does not know it."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | {"top_k": 20}


@breaks("body/whitelist", "drop_params")
@breaks("property/body-accepted", "the contract does not take this body: /drop_params")
class SendsDropParams(Changing):
    """Sends a key that is meant for the gateway's own configuration."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | {"drop_params": True}


@breaks("body/types", "/temperature: ")
class SendsTemperatureAsText(Changing):
    """Writes a number as text."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | ({"temperature": str(body["temperature"])} if "temperature" in body else {})


@breaks("body/combinations", "/stream_options: Stream options can only be defined when `stream=True`")
class AsksForCountsInOnePiece(CorrectLocal):
    """Sends stream_options without a stream."""

    def body(self, *args: Any) -> dict[str, Any]:
        return super().body(*args) | {"stream_options": {"include_usage": True}}


@breaks("body/no-null", "null was sent for seed")
class SendsNulls(Changing):
    """Sends what nobody set as null."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | {"seed": None}


@breaks("body/none-left-out", "max_tokens=None went out as null at /max_tokens")
@breaks("property/none-not-sent", "max_tokens")
class SendsNoLimitAsNull(Changing):
    """Sends `max_tokens: null` where there is no limit."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | {"max_tokens": self.given["max_tokens"]}


@breaks("body/stream-flag", 'sent stream: "true"')
class SendsStreamAsText(Changing):
    """Writes true as text."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | {"stream": json.dumps(body["stream"])}


@breaks("body/model", "went out as 'gpt-4o-mini'")
class CutsTheModelsName(Changing):
    """Takes what stands before the slash for a provider's name, and drops it."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | {"model": body["model"].rpartition("/")[2]}


@breaks("body/model", "'Org/Модель-ü:Latest-Q4_K_M' went out as 'org/модель-ü:latest-q4_k_m'")
class LowersTheModelsName(Changing):
    """Writes the model's name in small letters."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | {"model": body["model"].lower()}


@breaks("body/messages", "other ones went out")
class DropsTheSystemMessage(Changing):
    """Leaves system messages out."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | {"messages": [one for one in body["messages"] if one["role"] != "system"]}


@breaks("body/stop", "stop=[] went out as []")
class SendsAnEmptyStop(Changing):
    """Sends an empty list of stops."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | ({} if self.given["stop"] is None else {"stop": self.given["stop"]})


@breaks("body/stop", "went out as 'END,###'")
class JoinsTheStops(Changing):
    """Makes one text of a list of stops."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | ({"stop": ",".join(body["stop"])} if isinstance(body.get("stop"), list) else {})


@breaks("body/tools-omitted", "went out as []")
class SendsAnEmptyListOfTools(Changing):
    """Sends `tools: []` where there are none."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | {"tools": self.given["tools"] or []}


@breaks("body/tools-unchanged", "the tool definitions were changed")
class TidiesToolSchemas(Changing):
    """Takes what it does not understand out of a tool's schema."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        known = (
            json.dumps(body),
            lambda pairs: {key: value for key, value in pairs if not key.startswith("$")},
        )
        return dict(json.loads(known[0], object_pairs_hook=known[1]))


@breaks("body/tools-unchanged", "the tool definitions were changed")
class ForgetsThatAToolIsStrict(Changing):
    """Puts a tool together anew from its name, its description and its parameters."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        known = ("name", "description", "parameters")
        tools = [one | {"function": {key: one["function"][key] for key in known}} for one in body.get("tools", ())]
        return body | ({"tools": tools} if tools else {})


@breaks("body/tools-unchanged", "the tool definitions were changed")
class OffersTwentyTools(Changing):
    """Offers the first twenty tools, which it takes for enough."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | ({"tools": body["tools"][:20]} if "tools" in body else {})


@breaks("body/tools-unchanged", "beside tools messages went out as [{'role': 'system', 'content': 'You have tools.")
class TellsTheModelOfItsTools(Changing):
    """Says to the model that it has tools, where it has some."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        said = [{"role": "system", "content": "You have tools. Use them."}]
        return body | ({"messages": said + body["messages"]} if "tools" in body else {})


@breaks("body/tools-unchanged", "the tools did not go out beside a history in which one was called")
class OffersToolsOnce(Changing):
    """Offers no tools any more once the model has called one."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        called = any(one["role"] == "tool" for one in body["messages"])
        return {key: value for key, value in body.items() if key != "tools" or not called}


@breaks("body/tools-unchanged", "beside tools max_tokens went out as nothing, without them as 64")
class SetsNoLimitToCalls(Changing):
    """Sends no limit where tools are offered, so that no call is cut."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in body.items() if key != "max_tokens" or "tools" not in body}


@breaks("body/deterministic", "two equal calls sent different bodies")
class AsksForTheModelThatReplied(Correct):
    """Takes the model that a reply names for its own from then on."""

    def counts(self, reply: Any, chunk: Any, choice: Any) -> None:
        super().counts(reply, chunk, choice)
        self.model = chunk.get("model") or self.model


@breaks("body/deterministic", "two equal calls sent different bodies")
@breaks("property/same-body", "sent another body")
class StampsEachCall(Changing):
    """Gives each call a user of its own."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | {"user": uuid.uuid4().hex}


@breaks("body/caller-objects", "changed the caller's objects")
@breaks("property/arguments-untouched", "messages")
class RewritesTheCallersHistory(Correct):
    """Writes the arguments of the history as text, in the caller's own list."""

    def history(self, messages: Any) -> list[Any]:
        for message in messages:
            for call in message.get("tool_calls") or ():
                call["function"]["arguments"] = json.dumps(call["function"]["arguments"])
        return list(messages)


@breaks("body/caller-objects", "prefill() changed the caller's objects")
class TakesTheLastMessageAway(CorrectLocal):
    """Warms the cache for all but the last message, which it takes out of the caller's own list."""

    async def prefill(self, messages: Any) -> None:
        messages.pop()
        await super().prefill(messages)


@breaks("body/json", "the key 'stream' stands twice in one object")
class WritesAKeyTwice(Correct):
    """Puts a body together from two texts."""

    def encoded(self, body: Any) -> bytes:
        return b'{"stream": false, ' + super().encoded(body)[1:]


@breaks("body/nan", "temperature=nan was sent")
@breaks("property/not-a-number", "was sent")
class SendsNotANumber(Correct):
    """Writes NaN, which is not JSON, as Python's json does unless told otherwise."""

    def checked(self, sampling: Any) -> dict[str, Any]:
        return {name: value for name, value in sampling.items() if value is not None}

    def encoded(self, body: Any) -> bytes:
        return json.dumps(body, ensure_ascii=False).encode()


@breaks("body/surrogates", "a lone surrogate was sent")
class EscapesSurrogates(Correct):
    """Writes half an emoji as an escape, which is ASCII and no text."""

    def encoded(self, body: Any) -> bytes:
        return json.dumps(body, allow_nan=False).encode()


@breaks("body/unicode", "the text of a message was changed on its way out")
class NormalisesText(Correct):
    """Sends the text in another Unicode normal form."""

    def encoded(self, body: Any) -> bytes:
        return unicodedata.normalize("NFD", super().encoded(body).decode()).encode()


@breaks("body/unicode", "the text of a message was changed on its way out")
class RemovesWhatTheTemplateMarks(Correct):
    """Takes what looks like a mark of the chat template out of the text."""

    def encoded(self, body: Any) -> bytes:
        return re.sub(rb"<\|\w+\|>", b"", super().encoded(body))


@breaks("body/content-type", "Content-Type is None")
class DoesNotSayJSON(Correct):
    """Posts its JSON without saying what it is."""

    def headers(self, method: str) -> dict[str, str]:
        return {name: value for name, value in super().headers(method).items() if name != "Content-Type"}


@breaks("body/one-request", "made 2 requests: GET /v1/models, POST")
class LooksForTheModelFirst(Correct):
    """Asks for the models before each call."""

    @asynccontextmanager
    async def send(self, method: str, path: str, content: bytes | None) -> AsyncIterator[httpx.Response]:
        if method == "POST":
            await self.list_models()
        async with super().send(method, path, content) as response:
            yield response


@breaks("body/path", "POST //v1/chat/completions")
class DoublesTheSlash(Correct):
    """Adds a path that begins with a slash to a URL that ends in one."""

    def root_of(self, base_url: str) -> str:
        return super().root_of(base_url) + "/"


@breaks("config/base-url", "led to /v1/v1/chat/completions")
class DoublesV1(Correct):
    """Adds /v1 to a URL that ends in it."""

    def root_of(self, base_url: str) -> str:
        return str(httpx.URL(base_url).copy_with(userinfo=b"")).rstrip("/")


@breaks("config/environment", "did not reach the URL of the environment")
class ForgetsTheEnvironment(Correct):
    """Takes its default URL where the environment names one."""

    def __init__(self, model: str, base_url: str | None = None, **options: Any) -> None:
        super().__init__(model, base_url or "http://127.0.0.1:9", **options)


@breaks("body/nan", "temperature=nan was neither sent nor refused")
class SaysNothingToNotANumber(Correct):
    """Gives an empty reply to a call that it cannot send."""

    async def stream(self, messages: Any, **options: Any) -> AsyncIterator[str]:
        try:
            async with aclosing(super().stream(messages, **options)) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    yield piece
        except ValueError:
            return


@breaks("tools/history", "the tool call of the history did not go out")
class DropsToolCallsFromTheHistory(Correct):
    """Sends of the history what is text."""

    def history(self, messages: Any) -> list[Any]:
        return [{key: value for key, value in one.items() if key != "tool_calls"} for one in messages]


@breaks("body/stop", "stop=['\\n', ' END '] went out as ['END']")
class StripsStops(Correct):
    """Strips what the model has to stop at."""

    def body(self, messages: Any, stream: bool, max_tokens: Any, sampling: Any, stop: Any, tools: Any) -> dict[str, Any]:
        stripped = [one.strip() for one in stop if one.strip()] if isinstance(stop, list) else stop
        return super().body(messages, stream, max_tokens, sampling, stripped, tools)


@breaks("body/unicode", "the text of a message was changed on its way out")
class ExpandsVariables(Correct):
    """Puts the environment's variables into the prompt."""

    def history(self, messages: Any) -> list[Any]:
        sent = super().history(messages)
        return [{**one, "content": one["content"].replace("$HOME", "nowhere")} if isinstance(one.get("content"), str) else one for one in sent]
