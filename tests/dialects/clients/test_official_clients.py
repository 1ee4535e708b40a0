"""The providers' own Python clients, unchanged, against the gateway played as their provider."""



from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from onpaper.gateway import Gateway
from onpaper.mock import Call, Mock, Say, Trouble

KEY = "sk-onpaper"
ASK: Any = [{"role": "user", "content": "hi"}]
TOOL: Any = {
    "type": "function",
    "function": {"name": "add", "description": "Add.", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}},
}  # fmt: skip
GREETING = Mock("greeting", "", (Say(text=("Hel", "lo"), usage={"prompt": 3, "completion": 2}),))
CALLING = Mock("calling", "", (Say(tool_calls=(Call("add", ('{"a":', " 1}")),)),))
LIMITED = Mock("limited", "", (Say(error=Trouble("rate_limit", retry_after=7)),))


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with Gateway() as gateway:
        yield gateway


class TestOpenAI:
    @pytest.fixture(autouse=True)
    def _client(self, gateway: Gateway) -> Iterator[None]:
        self.sdk = pytest.importorskip("openai")
        self.gateway = gateway
        with self.sdk.OpenAI(base_url=gateway.v1, api_key=KEY, max_retries=0) as self.client:
            yield

    def ask(self, mock: Mock, **more: Any) -> Any:
        self.gateway.play(mock, provider="openai", key=KEY)
        return self.client.chat.completions.create(model="gpt-4o-mini", messages=ASK, **more)

    def test_chat(self) -> None:
        reply = self.ask(GREETING)
        assert reply.choices[0].message.content == "Hello"
        assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (3, 2)

    def test_stream(self) -> None:
        chunks = list(self.ask(GREETING, stream=True, stream_options={"include_usage": True}))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Hello"
        assert chunks[-1].usage.total_tokens == 5

    def test_tools(self) -> None:
        call = self.ask(CALLING, tools=[TOOL]).choices[0].message.tool_calls[0]
        assert (call.function.name, call.function.arguments) == ("add", '{"a": 1}')
        fragments = [
            fragment
            for chunk in self.ask(CALLING, tools=[TOOL], stream=True)
            for fragment in (chunk.choices[0].delta.tool_calls or ())
        ]
        assert "".join(fragment.function.arguments for fragment in fragments) == '{"a": 1}'

    def test_models(self) -> None:
        self.gateway.play(GREETING, provider="openai", key=KEY, models=["gpt-4o-mini"])
        assert [model.id for model in self.client.models.list()] == ["gpt-4o-mini"]

    def test_a_rejected_parameter(self) -> None:
        with pytest.raises(
            self.sdk.BadRequestError, match="Unrecognized request argument supplied: top_k"
        ) as caught:
            self.ask(GREETING, extra_body={"top_k": 20})
        assert caught.value.type == "invalid_request_error"

    def test_a_wrong_key(self) -> None:
        self.gateway.play(GREETING, provider="openai", key="sk-another")
        with pytest.raises(self.sdk.AuthenticationError, match="Incorrect API key provided") as caught:
            self.client.chat.completions.create(model="gpt-4o-mini", messages=ASK)
        assert caught.value.code == "invalid_api_key"

    def test_a_rate_limit(self) -> None:
        with pytest.raises(self.sdk.RateLimitError, match="Rate limit reached") as caught:
            self.ask(LIMITED)
        assert caught.value.response.headers["retry-after"] == "7"

    def test_an_error_inside_a_stream(self) -> None:
        broken = Mock("broken", "", (Say(text=("Hel", "lo"), error=Trouble("server_error", pieces=1)),))
        stream = self.ask(broken, stream=True)
        with pytest.raises(self.sdk.APIError, match="The server had an error while processing your request"):
            list(stream)


class TestGroq:
    @pytest.fixture(autouse=True)
    def _client(self, gateway: Gateway) -> Iterator[None]:
        self.sdk = pytest.importorskip("groq")
        self.gateway = gateway
        with self.sdk.Groq(base_url=gateway.url, api_key=KEY, max_retries=0) as self.client:
            yield

    def ask(self, mock: Mock, **more: Any) -> Any:
        self.gateway.play(mock, provider="groq", key=KEY)
        return self.client.chat.completions.create(model="openai/gpt-oss-20b", messages=ASK, **more)

    def test_chat(self) -> None:
        reply = self.ask(GREETING)
        assert reply.choices[0].message.content == "Hello"
        assert reply.x_groq.id.startswith("req_")

    def test_stream_with_the_usage_where_groq_puts_it(self) -> None:
        chunks = list(self.ask(GREETING, stream=True))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello"
        assert chunks[-1].x_groq.usage.total_tokens == 5

    def test_tools(self) -> None:
        call = self.ask(CALLING, tools=[TOOL]).choices[0].message.tool_calls[0]
        assert (call.function.name, call.function.arguments) == ("add", '{"a": 1}')
        (fragment,) = [
            fragment
            for chunk in self.ask(CALLING, tools=[TOOL], stream=True)
            for fragment in (chunk.choices[0].delta.tool_calls or ())
        ]
        assert fragment.function.arguments == '{"a": 1}'

    def test_models(self) -> None:
        self.gateway.play(GREETING, provider="groq", key=KEY, models=["openai/gpt-oss-20b"])
        assert [model.id for model in self.client.models.list().data] == ["openai/gpt-oss-20b"]

    def test_a_rejected_parameter(self) -> None:
        with pytest.raises(
            self.sdk.BadRequestError, match="property 'store' is unsupported, did you mean 'stop'"
        ):
            self.ask(GREETING, store=True)

    def test_a_rate_limit(self) -> None:
        with pytest.raises(self.sdk.RateLimitError, match="Rate limit reached for model") as caught:
            self.ask(LIMITED)
        assert caught.value.response.headers["retry-after"] == "7"

    def test_an_error_inside_a_stream(self) -> None:
        broken = Mock("broken", "", (Say(text=("Hel", "lo"), error=Trouble("server_error", pieces=1)),))
        stream = self.ask(broken, stream=True)
        with pytest.raises(self.sdk.APIError, match="Internal Server Error"):
            list(stream)


class TestMistral:
    @pytest.fixture(autouse=True)
    def _client(self, gateway: Gateway) -> Iterator[None]:
        self.sdk = pytest.importorskip("mistralai.client")
        self.errors = pytest.importorskip("mistralai.client.errors")
        self.gateway = gateway
        with self.sdk.Mistral(server_url=gateway.url, api_key=KEY) as self.client:
            yield

    def ask(self, mock: Mock, **more: Any) -> Any:
        self.gateway.play(mock, provider="mistral", key=KEY)
        return self.client.chat.complete(model="mistral-small-latest", messages=ASK, **more)

    def test_chat(self) -> None:
        reply = self.ask(GREETING)
        assert reply.choices[0].message.content == "Hello"
        assert reply.usage.total_tokens == 5

    def test_stream(self) -> None:
        self.gateway.play(GREETING, provider="mistral", key=KEY)
        with self.client.chat.stream(model="mistral-small-latest", messages=ASK) as stream:
            chunks = [event.data for event in stream]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello"
        assert chunks[-1].usage.total_tokens == 5

    def test_tools(self) -> None:
        call = self.ask(CALLING, tools=[TOOL]).choices[0].message.tool_calls[0]
        assert (call.function.name, call.function.arguments) == ("add", '{"a": 1}')

    def test_models(self) -> None:
        self.gateway.play(GREETING, provider="mistral", key=KEY, models=["mistral-small-latest"])
        assert [model.id for model in self.client.models.list().data] == ["mistral-small-latest"]

    def test_a_rejected_parameter(self) -> None:
        with pytest.raises(self.errors.HTTPValidationError) as caught:
            self.ask(GREETING, temperature=1.7)
        assert caught.value.status_code == 422
        assert "Input should be less than or equal to 1.5" in caught.value.body

    def test_a_rate_limit(self) -> None:
        with pytest.raises(self.errors.SDKError, match="Rate limit exceeded") as caught:
            self.ask(LIMITED)
        assert caught.value.status_code == 429


class TestOllama:
    @pytest.fixture(autouse=True)
    def _client(self, gateway: Gateway) -> None:
        self.sdk = pytest.importorskip("ollama")
        self.gateway = gateway
        self.client = self.sdk.Client(host=gateway.url)

    def ask(self, mock: Mock, model: str = "qwen3.5:4b", **more: Any) -> Any:
        self.gateway.play(mock, provider="ollama", models=["qwen3.5:4b"])
        return self.client.chat(model=model, messages=ASK, **more)

    def test_chat(self) -> None:
        reply = self.ask(GREETING)
        assert reply.message.content == "Hello"
        assert (reply.prompt_eval_count, reply.eval_count) == (3, 2)

    def test_stream(self) -> None:
        parts = list(self.ask(GREETING, stream=True))
        assert "".join(part.message.content for part in parts) == "Hello"
        assert (parts[-1].done, parts[-1].done_reason) == (True, "stop")

    def test_tools(self) -> None:
        (call,) = self.ask(CALLING, tools=[TOOL]).message.tool_calls
        assert (call.function.name, call.function.arguments) == ("add", {"a": 1})

    def test_models(self) -> None:
        self.gateway.play(GREETING, provider="ollama", models=["qwen3.5:4b"])
        assert [model.model for model in self.client.list().models] == ["qwen3.5:4b"]

    def test_a_rejected_parameter(self) -> None:
        with pytest.raises(self.sdk.ResponseError, match="not found") as caught:
            self.ask(GREETING, model="no-such-model")
        assert caught.value.status_code == 404

    def test_a_rate_limit(self) -> None:
        with pytest.raises(self.sdk.ResponseError, match="too many requests") as caught:
            self.ask(LIMITED)
        assert caught.value.status_code == 429

    def test_an_error_inside_a_stream(self) -> None:
        broken = Mock("broken", "", (Say(text=("Hel", "lo"), error=Trouble("server_error", pieces=1)),))
        stream = self.ask(broken, stream=True)
        with pytest.raises(self.sdk.ResponseError, match="llama runner process has terminated"):
            list(stream)
