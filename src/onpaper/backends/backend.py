"""What every backend shares: the interface, the stream of a reply, and where errors get their last touch."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping, MutableMapping, Sequence
from typing import Any, ClassVar

from .credential import Key
from .envelope import no_stream, whole_reply
from .errors import MAX_SHOWN, BackendError, BackendTimeout, IncompleteReply, UnusableReply, about
from .framing import Event, Reader
from .reply import Reply
from .request import SAMPLING, checked_number, checked_sampling, checked_stop, encoded
from .text import parse
from .transport import Body, Timeouts, Transport

log = logging.getLogger(__name__)

Messages = Sequence[Mapping[str, Any]]
Stats = MutableMapping[str, Any]


class Backend(ABC):
    """A client of one provider.

    `sampling` overrides the defaults for temperature, top_k, top_p and presence_penalty. A parameter given
    with a call wins over it. `timeouts` overrides the limits of `Timeouts`, by name, in seconds:
    `timeouts={"connect": 2, "first_byte": 10, "between_chunks": 5}`.

    Bad arguments raise ValueError before a byte is sent. All else that goes wrong is a `BackendError`.
    Nothing is retried: a repeated call could bill twice.
    """

    name: ClassVar[str]
    chat_path: ClassVar[str]
    models_path: ClassVar[str]

    def __init__(
        self,
        model: str,
        base_url: str,
        *,
        window: int,
        sampling: Mapping[str, Any] | None = None,
        api_key: str | None = None,
        timeouts: Mapping[str, float | None] | None = None,
    ) -> None:
        self.model = model
        self.sampling = checked_sampling(sampling)
        self._window = checked_number("the context window", window, whole=True)
        self._key = Key(api_key)
        self._transport = Transport(base_url, self._key, Timeouts.of(timeouts))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self.model!r}, base_url={self.base_url!r})"

    @property
    def base_url(self) -> str:
        return self._transport.base_url

    def stream(
        self,
        messages: Messages,
        *,
        max_tokens: int | None = 512,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        presence_penalty: float | None = None,
        stop: str | Sequence[str] | None = None,
        stats: Stats | None = None,
    ) -> AsyncGenerator[str, None]:
        """The reply's text, piece by piece as it arrives.

        At the end `stats` holds `prompt_tokens`, `completion_tokens`, `ctx_used` (those that the provider
        told), `ctx_max`, `done_reason`, `tool_calls` (None, or as `complete` gives them) and `reasoning`.
        Reasoning that a model writes into its text (`<think>`) is passed on as text.

        Raises BackendError, with the text so far as `partial`; IncompleteReply when the stream ends without a
        finish reason and without the sentinel; UnusableReply for a refusal, and for tool calls when there is
        no `stats` to report them in: neither may look like an empty success.
        """
        given = _given(temperature, top_k, top_p, presence_penalty)
        sampling = {**SAMPLING, **self.sampling, **given}
        return self._stream(self._content(messages, True, max_tokens, sampling, stop), stats)

    async def complete(
        self,
        messages: Messages,
        *,
        max_tokens: int | None = 1024,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        presence_penalty: float | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        stop: str | Sequence[str] | None = None,
        stats: Stats | None = None,
    ) -> dict[str, Any]:
        """The whole reply: `{"content", "tool_calls", "usage": {"prompt", "completion", "ctx_used",
        "ctx_max"}, "done_reason"}`.

        Counts that the provider did not tell are None. The arguments of tool calls are dicts. The temperature
        is 0 unless the call or the constructor says otherwise. `stats` is filled as `stream` fills it. Raises
        as `stream` does, and UnusableReply for tool calls whose arguments are not a JSON object.
        """
        given = _given(temperature, top_k, top_p, presence_penalty)
        sampling = {**SAMPLING, "temperature": 0.0, **self.sampling, **given}
        content = self._content(messages, False, max_tokens, sampling, stop, tools)
        reply = Reply()
        try:
            async with self._transport.open("POST", self.chat_path, content) as body:
                data = await body.read_all()
                with about(data.decode("utf-8", "replace")):
                    self._read_whole(reply, whole_reply(data, body.content_type))
                    reply.end_text()
                    return reply.close(stats, window=self._window)
        except BackendError as error:
            self._seal(error, reply)
            raise

    async def prefill(self, messages: Messages) -> None:
        """Warm the provider's KV cache for these messages with a one-token completion.

        It is a guess that nobody waits for, so a failure is only logged.
        """
        content = self._content(messages, False, 1, {**SAMPLING, **self.sampling, "temperature": 0.0})
        try:
            async with self._transport.open("POST", self.chat_path, content) as body:
                await body.read_all()
        except BackendError as error:
            self._seal(error)
            log.warning("%s: prefill failed: %s", self.name, error)

    async def list_models(self) -> list[str]:
        """The ids that the provider offers, in its order; the backend's own model when it cannot be asked."""
        try:
            limit = self._transport.timeouts.models
            async with self._transport.open("GET", self.models_path, total=limit) as body:
                found = self._model_ids(parse(await body.read_all()))
        except BackendError:
            found = []
        return [id for id in found if isinstance(id, str) and id] or [self.model]

    async def set_model(self, name: str) -> None:
        """Use another model from the next call on; a stream that runs keeps its own.

        Raises NotImplementedError where a provider serves one model for each process.
        """
        self.model = name

    async def aclose(self) -> None:
        """Close the connections. Calling it twice is fine, and a later call of the backend opens new ones."""
        await self._transport.aclose()

    def close_soon(self) -> None:
        """As `aclose`, from a function that cannot wait."""
        self._transport.close_soon()

    async def _stream(self, content: bytes, stats: Stats | None) -> AsyncGenerator[str, None]:
        reply = Reply()
        try:
            async with self._transport.open("POST", self.chat_path, content) as body:
                reader = self._reader()
                preamble = bytearray()  # what came before the first event; all of it, when this is no stream
                streaming = False

                def events_of(data: bytes) -> list[Event]:
                    events = reader.feed(data) if data else reader.finish()
                    if not (events or streaming):
                        preamble.extend(data[: MAX_SHOWN - len(preamble)])
                    return events

                while not (reply.done or body.ended):
                    for event in await _read(body, events_of, reply):
                        streaming = True
                        with about(event.data):
                            piece = self._read_event(reply, event)
                        if piece:
                            yield piece
                        if reply.done:
                            break
                if reply.done:
                    await body.drain()
                elif not streaming:
                    with about(preamble.decode("utf-8", "replace")):
                        raise no_stream(bytes(preamble), body.content_type)
                elif reply.finish_reason is None:
                    raise IncompleteReply(
                        "the stream ended without a finish reason and without its last event"
                    )
            if rest := reply.end_text():
                yield rest
            calls = reply.close(stats, window=self._window)["tool_calls"]
            if calls and stats is None:
                names = ", ".join(call["function"]["name"] for call in calls)
                raise UnusableReply(
                    f"the reply calls tools ({names}); `stream` needs `stats` to report them in"
                )
        except BackendError as error:
            self._seal(error, reply)
            raise

    def _content(
        self,
        messages: Messages,
        stream: bool,
        max_tokens: int | None,
        sampling: dict[str, Any],
        stop: str | Sequence[str] | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> bytes:
        if max_tokens is not None:
            checked_number("max_tokens", max_tokens, whole=True)
        return encoded(
            self._body(
                messages,
                stream=stream,
                max_tokens=max_tokens,
                sampling=checked_sampling(sampling),
                stop=checked_stop(stop),
                tools=list(tools) if tools else None,
            )
        )

    def _seal(self, error: BackendError, reply: Reply | None = None) -> None:
        error.partial = reply.text if reply else ""
        error.seal(self._key.mask)

    @abstractmethod
    def _body(
        self,
        messages: Messages,
        *,
        stream: bool,
        max_tokens: int | None,
        sampling: dict[str, Any],
        stop: str | list[str] | None,
        tools: list[Any] | None,
    ) -> dict[str, Any]:
        """The body of a request. What is None is left out: a null is refused by some providers."""

    @abstractmethod
    def _reader(self) -> Reader:
        """A reader of the provider's stream format."""

    @abstractmethod
    def _read_event(self, reply: Reply, event: Event) -> str:
        """Take one event of a stream into the reply; returns the text that can be given out."""

    @abstractmethod
    def _read_whole(self, reply: Reply, value: dict[str, Any]) -> None:
        """Take a whole reply."""

    @abstractmethod
    def _model_ids(self, value: Any) -> list[Any]:
        """What the list of models holds as ids; anything else is dropped."""


def _given(
    temperature: float | None, top_k: int | None, top_p: float | None, presence_penalty: float | None
) -> dict[str, Any]:
    """The sampling parameters of one call; None is not given, 0 is."""
    values = {
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "presence_penalty": presence_penalty,
    }
    return {name: value for name, value in values.items() if value is not None}


async def _read(body: Body, events_of: Callable[[bytes], list[Event]], reply: Reply) -> list[Event]:
    """The next events.

    Once the provider gave its finish reason, a connection that breaks is an end, too: at most the usage is
    lost.
    """
    try:
        return await body.read(events_of)
    except (IncompleteReply, BackendTimeout):
        if reply.finish_reason is None:
            raise
        return events_of(b"")
