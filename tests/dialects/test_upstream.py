"""A gateway in front of another provider: what it drops and refuses itself, and how it quotes the upstream."""



from __future__ import annotations

import json
from typing import Any

import pytest

from onpaper import BadInput, Contract
from onpaper.answer import Provider
from onpaper.mock import Mock, Say, Trouble
from onpaper.script import Script
from onpaper.truth.plays import KEY, request

GOOD: dict[str, Any] = {"model": "my-group", "messages": [{"role": "user", "content": "hi"}]}
FAILED = "\n\nLiteLLM: model group 'my-group' failed with the error above. No fallback was attempted."


def ask(upstream: str, body: Any, *, drop: bool = False, say: Say | None = None) -> Script:
    contract = Contract.load("litellm")
    mock = Mock("said", "", (say or Say(text=("Hi",)),))
    provider = Provider(contract, mock, key=KEY, upstream=Contract.load(upstream), drop_params=drop)
    return provider(request(contract, body))


def refused(script: Script) -> dict[str, Any]:
    assert script.status >= 400
    error = json.loads(script.body)["error"]
    assert isinstance(error, dict)
    return error


def test_an_unknown_key_reaches_openai_and_its_words_come_back() -> None:
    error = refused(ask("openai", GOOD | {"top_k": 20}))
    said = "litellm.BadRequestError: OpenAIException - Unrecognized request argument supplied: top_k" + FAILED
    assert error == {"message": said, "type": "invalid_request_error", "param": None, "code": "400"}


def test_an_upstream_that_refuses_with_a_body_of_its_own_is_quoted_whole() -> None:
    error = refused(ask("groq", GOOD | {"top_k": 20}))
    assert error["message"].startswith(
        'litellm.BadRequestError: GroqException - {"error":{"message":"property'
    )
    assert error["code"] == "400"


def test_an_engine_key_passes_through_to_a_server_that_takes_it() -> None:
    assert ask("vllm", GOOD | {"top_k": 20, "chat_template_kwargs": {"enable_thinking": False}}).status == 200


@pytest.mark.parametrize("upstream", ["openai", "anthropic-compat", "azure", "bedrock", "vertex", "groq"])
def test_a_parameter_that_the_upstream_does_not_take_is_refused_or_dropped(upstream: str) -> None:
    body = GOOD | {"verbosity": "low"}
    error = refused(ask(upstream, body))
    assert "does not support parameters: ['verbosity'], for model=my-group" in error["message"]
    assert "`litellm_settings:\n drop_params: true`" in error["message"]
    assert ask(upstream, body, drop=True).status == 200


def test_all_parameters_that_are_not_taken_are_named_together() -> None:
    error = refused(ask("anthropic-compat", GOOD | {"seed": 1, "presence_penalty": 0.5}))
    assert "anthropic does not support parameters: ['seed', 'presence_penalty']" in error["message"]


def test_dropping_parameters_does_not_drop_unknown_keys() -> None:
    assert ask("openai", GOOD | {"no_such_parameter": 1}, drop=True).status == 400


def test_what_the_gateway_keeps_for_itself_never_reaches_the_upstream() -> None:
    body = GOOD | {"metadata": {"a": "b"}, "user": "me", "stream_options": {"include_usage": True}}
    assert ask("groq", body).status == 200


def test_a_renamed_parameter_is_taken() -> None:
    assert ask("anthropic-compat", GOOD | {"max_completion_tokens": 5}).status == 200


def test_a_rate_limit_of_the_upstream_keeps_its_delay_under_a_prefix() -> None:
    limit = Say(error=Trouble("rate_limit", retry_after=7))
    script = ask("openai", GOOD, say=limit)
    assert script.status == 429
    assert refused(script)["type"] == "throttling_error"
    assert dict(script.headers)["llm_provider-retry-after"] == "7"


def test_a_prompt_that_is_too_long_for_the_upstream_has_a_name_of_its_own() -> None:
    error = refused(ask("azure", GOOD, say=Say(error=Trouble("context_length"))))
    assert error["message"].startswith("litellm.ContextWindowExceededError: litellm.BadRequestError: ")
    assert "AzureException - This model's maximum context length" in error["message"]


def test_an_upstream_of_other_shape_is_still_spoken_in_the_gateways_dialect() -> None:
    script = ask("groq", GOOD | {"stream": True}, say=Say(reasoning=("So",), text=("Hi",)))
    assert b"x_groq" not in script.body
    assert b'"reasoning_content":"So"' in script.body


def test_an_upstream_that_the_gateway_does_not_know_is_named_with_the_known_ones() -> None:
    with pytest.raises(
        BadInput, match=r"'litellm' cannot be played in front of 'mistral'.*Known: anthropic-compat, azure"
    ):
        Provider(Contract.load("litellm"), Mock("m", "", (Say(),)), upstream=Contract.load("mistral"))


def test_a_provider_that_is_no_gateway_has_nothing_behind_it() -> None:
    with pytest.raises(BadInput, match=r"'openai' cannot be played in front of 'groq'\. Known: none"):
        Provider(Contract.load("openai"), Mock("m", "", (Say(),)), upstream=Contract.load("groq"))
