"""Model lists that are not the provider's, and switches that do not switch."""

from __future__ import annotations

import json
from typing import Any

import httpx

from ..correct import Correct
from ..lines import CorrectLines
from ..reply import Failed, Reply
from ..table import breaks


@breaks("models/ids", "the provider listed")
class SortsTheModels(Correct):
    """Lists the models by name."""

    def ids(self, value: Any) -> list[str]:
        return sorted(super().ids(value))


@breaks("models/odd-entries", "the sound entries are good and better")
class ExpectsAnIdInEachEntry(Correct):
    """Lets one odd entry cost the whole list."""

    def ids(self, value: Any) -> list[str]:
        return [one["id"] for one in value["data"]]


@breaks("models/cannot-be-asked", "list_models() gave []")
@breaks("models/time-out", "list_models() gave []")
class ListsNothingWhenItCannotAsk(Correct):
    """Gives an empty list where the provider cannot be asked."""

    async def list_models(self) -> list[str]:
        found = await super().list_models()
        return [] if found == [self.model] else found


@breaks("models/cannot-be-asked", "JSONDecodeError")
class ExpectsJSONFromTheModels(Correct):
    """Lets a page in place of the model list end in the JSON library's error."""

    async def list_models(self) -> list[str]:
        try:
            async with self.send("GET", self.models, None) as response:
                return self.ids(json.loads(await self.whole(response)) or {}) or [self.model]
        except (Failed, TypeError, KeyError):
            return [self.model]


@breaks("models/time-out", "list_models() was still waiting after 15 s")
class WaitsForTheModels(Correct):
    """Has no limit for the model list."""

    async def list_models(self) -> list[str]:
        self.first_byte = 3600.0
        return await super().list_models()


@breaks("models/listing-apart", "PoolTimeout")
class KeepsOneConnection(Correct):
    """Has one connection for everything."""

    def pool(self, **options: Any) -> httpx.AsyncClient:
        return super().pool(
            limits=httpx.Limits(max_connections=1),
            timeout=httpx.Timeout(None, connect=self.connect, pool=0.2),
        )


@breaks("models/switch", "the requests named ['openai/gpt-4o-mini', 'openai/gpt-4o-mini', 'openai/gpt-4o-mini']")
class SwitchesNothing(Correct):
    """Takes the name of another model, and forgets it."""

    async def set_model(self, name: str) -> None:
        return None


@breaks("models/switch-refused", "set_model is declared 'yes', and it raised NotImplementedError")
class RefusesWhatItDeclares(Correct):
    """Refuses to switch, and declares that it does."""

    async def set_model(self, name: str) -> None:
        raise NotImplementedError("start another server")


@breaks("models/switch-refused", "set_model is declared 'refuses', and it did not raise", set_model="refuses")
class DeclaresWhatItDoesNotRefuse(Correct):
    """Switches, and declares that it refuses to."""


@breaks("models/ids", "not a list of ids")
class ListsWholeEntries(Correct):
    """Gives the entries of the model list as they are."""

    def ids(self, value: Any) -> list[str]:
        return list(value["data"])


@breaks("models/switch", "the running stream was disturbed")
class SwitchesARunningStream(Correct):
    """Ends the stream that is running when it switches."""

    async def set_model(self, name: str) -> None:
        await super().set_model(name)
        self.switched = True

    switched = False

    def take(self, reply: Reply, kind: str, data: str) -> str:
        reply.over, self.switched = self.switched, False
        return super().take(reply, kind, data)


@breaks("models/ids", "list_models() asked GET /v1/engines")
class AsksElsewhereForModels(Correct):
    """Asks where another API listed its models."""

    models = "/v1/engines"


@breaks("models/ids", "20 in all; the provider listed")
class ListsTwentyModels(Correct):
    """Lists what fits on a page."""

    def ids(self, value: Any) -> list[str]:
        return super().ids(value)[:20]


@breaks("models/ids", "'text-embedding-3-small' is missing")
class ListsChatModels(Correct):
    """Lists what it takes for chat models by their names."""

    def ids(self, value: Any) -> list[str]:
        others = ("embed", "whisper", "dall-e", "moderation")
        return [name for name in super().ids(value) if not any(other in name for other in others)]


@breaks("models/ids", "list_models() gave ['")
class ListsWhatRuns(CorrectLines):
    """Lists the models that are in memory for those that there are."""

    models = "/api/ps"


@breaks("models/asked-again", "after a listing that failed list_models() gave ['openai/gpt-4o-mini']")
class KeepsAFailedListing(Correct):
    """Asks for the models once."""

    listed: list[str] | None = None

    async def list_models(self) -> list[str]:
        if self.listed is None:
            self.listed = await super().list_models()
        return self.listed


@breaks("connection/cancelled", "a cancelled list_models() gave \"['openai/gpt-4o-mini']\"")
class SwallowsTheEndOfAListing(Correct):
    """Takes a cancelled listing for one that failed."""

    async def list_models(self) -> list[str]:
        try:
            return await super().list_models()
        except BaseException:
            return [self.model]


@breaks("models/cannot-be-asked", "after set_model('other/model') list_models() gave ['openai/gpt-4o-mini']")
class FallsBackToItsFirstModel(Correct):
    """Gives the model that it was made with where the provider cannot be asked, whatever it was switched to."""

    def __init__(self, model: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(model, *args, **kwargs)
        self.first = model

    async def list_models(self) -> list[str]:
        found = await super().list_models()
        return [self.first] if found == [self.model] else found


@breaks("models/switch", "the requests named ['qwen3.5:4b', 'other/model', 'other/model', 'qwen3.5:4b']")
class PrefillsItsFirstModel(CorrectLines):
    """Warms the cache of the model that it was made with, whatever it was switched to."""

    def __init__(self, model: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(model, *args, **kwargs)
        self.first = model

    async def prefill(self, messages: Any) -> None:
        now, self.model = self.model, self.first
        try:
            await super().prefill(messages)
        finally:
            self.model = now


@breaks("sampling/constructor", "temperature=0.75 went out as 'absent'")
class SwitchesToDefaults(Correct):
    """Forgets what the constructor was told when it switches."""

    async def set_model(self, name: str) -> None:
        await super().set_model(name)
        self.sampling = {}
