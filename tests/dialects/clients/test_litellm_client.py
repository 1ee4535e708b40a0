"""LiteLLM's own Python client against the gateway played as the LiteLLM proxy."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from onpaper.gateway import Gateway
from onpaper.mock import Call, Mock, Say, Trouble

KEY = "sk-onpaper"
ASK: Any = [{"role": "user", "content": "hi"}]
TOOL: Any = {
    "type": "function",
    "function": {"name": "add", "parameters": {"type": "object", "properties": {}}},
}
GREETING = Mock("greeting", "", (Say(text=("Hel", "lo"), usage={"prompt": 3, "completion": 2}),))
CALLING = Mock("calling", "", (Say(tool_calls=(Call("add", ('{"a":', " 1}")),)),))
LIMITED = Mock("limited", "", (Say(error=Trouble("rate_limit", retry_after=7)),))

pytestmark = pytest.mark.filterwarnings("ignore")  # the client warns about its own parts


@pytest.fixture(scope="module")
def sdk() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # or it asks the network at import
        yield pytest.importorskip("litellm")


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with Gateway() as gateway:
        yield gateway


def ask(sdk: Any, gateway: Gateway, mock: Mock, **more: Any) -> Any:
    gateway.play(mock, provider="litellm", key=KEY)
    return sdk.completion(
        model="litellm_proxy/gpt-4o-mini",
        api_base=gateway.v1,
        api_key=KEY,
        messages=ASK,
        num_retries=0,
        **more,
    )


def test_chat(sdk: Any, gateway: Gateway) -> None:
    reply = ask(sdk, gateway, GREETING)
    assert reply.choices[0].message.content == "Hello"
    assert reply.usage.total_tokens == 5


def test_stream(sdk: Any, gateway: Gateway) -> None:
    chunks = list(ask(sdk, gateway, GREETING, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Hello"


def test_tools(sdk: Any, gateway: Gateway) -> None:
    call = ask(sdk, gateway, CALLING, tools=[TOOL]).choices[0].message.tool_calls[0]
    assert (call.function.name, call.function.arguments) == ("add", '{"a": 1}')


def test_a_rejected_parameter(sdk: Any, gateway: Gateway) -> None:
    with pytest.raises(sdk.BadRequestError, match="Unrecognized request argument supplied: top_q"):
        ask(sdk, gateway, GREETING, extra_body={"top_q": 20})


def test_a_rate_limit(sdk: Any, gateway: Gateway) -> None:
    with pytest.raises(sdk.RateLimitError, match="Rate limit reached for requests"):
        ask(sdk, gateway, LIMITED, max_retries=0)
