"""What each provider answers to a request that it refuses: status and body, as its users have seen them."""



from __future__ import annotations

import json
from typing import Any

import pytest

from onpaper import Contract
from onpaper.answer import UNKNOWN_MODEL, Provider
from onpaper.exchange import Request
from onpaper.mock import Mock, Say, Trouble
from onpaper.truth.plays import KEY, request

GOOD: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
MOCK = Mock("greeting", "", (Say(text=("Hi",)),))


def answer(
    name: str, body: Any = GOOD, *, key: str = KEY, headers: tuple[tuple[str, str], ...] = ()
) -> tuple[int, Any]:
    """Status and body of what a strict provider answers; the body as text where it is not JSON."""
    contract = Contract.load(name)
    asked = request(contract, body, key=key)
    script = Provider(contract, MOCK, key=KEY)(
        Request(asked.method, asked.target, asked.headers + headers, asked.body)
    )
    text = script.body.decode()
    try:
        return script.status, json.loads(text)
    except ValueError:
        return script.status, text


def error(
    message: str, type: Any = "invalid_request_error", param: Any = None, code: Any = None
) -> dict[str, Any]:
    return {"error": {"message": message, "type": type, "param": param, "code": code}}


EXTRA_FORBIDDEN = {
    "object": "error",
    "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "top_q"], "msg": "Extra inputs are not permitted", "input": 5}]},
    "type": "invalid_request_error",
    "param": None,
    "code": None,
}  # fmt: skip
GOOGLE = 'Invalid JSON payload received. Unknown name "top_q": Cannot find field.'
UNKNOWN_KEY: dict[str, tuple[int, Any]] = {
    "openai": (400, error("Unrecognized request argument supplied: top_q")),
    "azure": (400, error("Unrecognized request argument supplied: top_q")),
    "groq": (400, {"error": {"message": "property 'top_q' is unsupported, did you mean 'top_p'?", "type": "invalid_request_error"}}),
    "mistral": (422, EXTRA_FORBIDDEN),
    "fireworks": (400, {"error": {"object": "error", "type": "invalid_request_error", "message": "Extra inputs are not permitted, field: 'top_q', value: 5"}}),
    "cerebras": (400, {"message": "property 'top_q' is unsupported", "type": "invalid_request_error", "param": "validation_error", "code": "wrong_api_format"}),
    "databricks": (400, {"error_code": "BAD_REQUEST", "message": 'json: unknown field "top_q"'}),
    "gemini-compat": (400, [{"error": {"code": 400, "message": GOOGLE, "status": "INVALID_ARGUMENT", "details": [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"description": GOOGLE}]}]}}]),
    "azure-ai-foundry": (400, {"error": {"code": "Bad Request", "message": "Extra parameters top_q are not allowed when extra-parameters is not set or set to be 'error'. Set extra-parameters to 'pass-through' to pass to the model."}}),
    "litellm": (400, error("litellm.BadRequestError: OpenAIException - Unrecognized request argument supplied: top_q\n\nLiteLLM: model group 'gpt-4o-mini' failed with the error above. No fallback was attempted.", code="400")),
}  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN_KEY)
def test_an_unknown_key_is_refused_in_the_providers_words(name: str) -> None:
    assert answer(name, GOOD | {"top_q": 5}) == UNKNOWN_KEY[name]


@pytest.mark.parametrize(
    "name",
    [
        "vllm",
        "ollama-v1",
        "llamacpp",
        "together",
        "deepseek",
        "openrouter",
        "anthropic-compat",
        "zai",
        "cloudflare",
        "tgi",
        "hf-router",
        "xai",
    ],
)
def test_an_unknown_key_is_ignored_where_it_really_is(name: str) -> None:
    assert answer(name, GOOD | {"top_q": 5})[0] == 200


def test_nvidia_describes_the_problem_as_rfc_7807_does() -> None:
    status, body = answer("nvidia-nim", GOOD | {"top_q": 5})
    assert status == 422
    assert {key: body[key] for key in ("type", "title", "status", "detail")} == {
        "type": "urn:inference-service:problem-details:unprocessable-entity",
        "title": "Unprocessable Entity",
        "status": 422,
        "detail": "body -> top_q\n  Extra inputs are not permitted (type=extra_forbidden)",
    }


def test_a_header_decides_about_unknown_keys_in_azures_inference_api() -> None:
    body = GOOD | {"top_q": 5}
    assert answer("azure-ai-foundry", body, headers=(("Extra-Parameters", "pass-through"),))[0] == 200
    assert answer("azure-ai-foundry", body, headers=(("extra-parameters", "drop"),))[0] == 200
    assert answer("azure-ai-foundry", body, headers=(("extra-parameters", "error"),))[0] == 400


def test_an_unknown_key_inside_a_message_is_refused_where_it_stands() -> None:
    body = GOOD | {
        "messages": [*GOOD["messages"], {"role": "assistant", "content": "x", "reasoning_content": "y"}]
    }
    said = "'messages.1' : for 'role:assistant' the following must be satisfied[('messages.1' : property 'reasoning_content' is unsupported)]"
    assert answer("groq", body) == (400, {"error": {"message": said, "type": "invalid_request_error"}})
    status, refused = answer("mistral", body)
    assert status == 422
    assert refused["message"]["detail"][0]["loc"] == ["body", "messages", 1, "reasoning_content"]
    assert (
        answer("databricks", body)[1]["message"]
        == "messages.1.reasoning_content: Extra inputs are not permitted"
    )


MISSING_MESSAGES: dict[str, tuple[int, Any]] = {
    "openai": (400, error("Missing required parameter: 'messages'.", param="messages", code="missing_required_parameter")),
    "litellm": (400, error("/chat/completions: Missing required parameter: 'messages'.", param="messages", code="400")),
    "vllm": (400, error("1 validation error:\n  {'type': 'missing', 'loc': 'body.messages', 'msg': 'Field required', 'input': '<dict of 1 items>'}", "Bad Request", "body.messages", 400)),
    "tgi": (422, "Failed to deserialize the JSON body into the target type: missing field `messages` at line 1 column 24"),
    "hyperbolic": (422, {"detail": [{"type": "missing", "loc": ["body", "messages"], "msg": "Field required", "input": {"model": "gpt-4o-mini"}}]}),
    "deepseek": (400, error("Failed to deserialize the JSON body into the target type: missing field `messages` at line 1 column 2", code="invalid_request_error")),
}  # fmt: skip


@pytest.mark.parametrize("name", MISSING_MESSAGES)
def test_missing_messages_are_refused_in_the_providers_words(name: str) -> None:
    assert answer(name, {"model": "gpt-4o-mini"}) == MISSING_MESSAGES[name]


EMPTY_MESSAGES: dict[str, tuple[int, Any]] = {
    "openai": (400, error("Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.", param="messages", code="empty_array")),
    "vllm": (400, error("Cannot apply chat template to an empty conversation. Provide at least one message.", "BadRequestError", None, 400)),
}  # fmt: skip


@pytest.mark.parametrize("name", EMPTY_MESSAGES)
def test_an_empty_list_of_messages_has_words_of_its_own(name: str) -> None:
    assert answer(name, GOOD | {"messages": []}) == EMPTY_MESSAGES[name]


TOO_HOT: dict[str, tuple[int, Any]] = {
    "openai": (400, error("Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 99.0 instead.", param="temperature", code="decimal_above_max_value")),
    "vllm": (400, error("temperature must be in [0, 2], got 99.0. (parameter=temperature, value=99.0)", "BadRequestError", "temperature", 400)),
    "groq": (400, {"error": {"message": "'temperature' : number must be at most 2", "type": "invalid_request_error"}}),
    "openrouter": (400, {"error": {"message": "Expected temperature to be at most 2, received 99", "code": 400, "metadata": {"provider_name": None}}}),
}  # fmt: skip


@pytest.mark.parametrize("name", TOO_HOT)
def test_a_value_out_of_range_is_refused_in_the_providers_words(name: str) -> None:
    assert answer(name, GOOD | {"temperature": 99.0}) == TOO_HOT[name]


def test_anthropic_takes_a_temperature_that_it_caps() -> None:
    assert answer("anthropic-compat", GOOD | {"temperature": 1.7})[0] == 200


UNKNOWN: dict[str, tuple[int, Any]] = {
    "openai": (404, error(f"The model `{UNKNOWN_MODEL}` does not exist or you do not have access to it.", code="model_not_found")),
    "groq": (404, {"error": {"message": f"The model `{UNKNOWN_MODEL}` does not exist or you do not have access to it.", "type": "invalid_request_error", "code": "model_not_found"}}),
    "azure": (404, {"error": {"type": "invalid_request_error", "code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, please wait a moment and try again."}}),
    "deepseek": (400, error(f"The supported API model names are deepseek-v4-pro or deepseek-v4-flash, but you passed {UNKNOWN_MODEL}.", code="invalid_request_error")),
    "ollama": (404, {"error": f"model '{UNKNOWN_MODEL}' not found"}),
    "ollama-v1": (404, error(f"model '{UNKNOWN_MODEL}' not found", "not_found_error")),
}  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_model_is_refused_in_the_providers_words(name: str) -> None:
    assert answer(name, GOOD | {"model": UNKNOWN_MODEL}) == UNKNOWN[name]


@pytest.mark.parametrize("name", ["llamacpp", "tgi"])
def test_a_server_of_one_model_answers_to_any_name(name: str) -> None:
    assert answer(name, GOOD | {"model": UNKNOWN_MODEL})[0] == 200


WRONG_KEY: dict[str, tuple[int, Any]] = {
    "openai": (401, error("Incorrect API key provided: sk-********. You can find your API key at https://platform.openai.com/account/api-keys.", code="invalid_api_key")),
    "groq": (401, {"error": {"message": "Invalid API Key", "type": "invalid_request_error", "code": "invalid_api_key"}}),
    "mistral": (401, {"detail": "Invalid API Key"}),
    "deepseek": (401, error("Authentication Fails, Your api key: ****rong is invalid", "authentication_error", code="invalid_request_error")),
    "azure-ai-foundry": (401, {"error": {"code": "401", "message": "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource."}}),
    "vllm": (401, {"error": "Unauthorized"}),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_KEY)
def test_a_wrong_key_is_refused_in_the_providers_words(name: str) -> None:
    assert answer(name, key="sk-wrong") == WRONG_KEY[name]


def test_openrouter_says_that_the_header_is_missing() -> None:
    assert answer("openrouter", key="") == (
        401,
        {"error": {"message": "Missing Authentication header", "code": 401}},
    )


def test_a_reasoning_model_names_the_parameter_that_it_does_not_take() -> None:
    said = error(
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        param="max_tokens",
        code="unsupported_parameter",
    )
    assert answer("openai@reasoning", GOOD | {"max_tokens": 5}) == (400, said)
    assert answer("openai@reasoning", GOOD | {"max_completion_tokens": 5})[0] == 200


def test_xai_names_the_parameter_in_camel_case() -> None:
    said = {
        "code": "Client specified an invalid argument",
        "error": "Argument not supported on this model: presencePenalty",
    }
    assert answer("xai@reasoning", GOOD | {"presence_penalty": 1}) == (400, said)


def test_an_option_of_streams_needs_a_stream() -> None:
    body = GOOD | {"stream_options": {"include_usage": True}}
    said = error(
        "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options"
    )
    assert answer("openai", body) == (400, said)
    said = error(
        "Stream options can only be defined when `stream=True`. (parameter=stream_options)",
        "BadRequestError",
        "stream_options",
        400,
    )
    assert answer("vllm", body) == (400, said)
    assert answer("litellm", body)[0] == 200


def test_some_bodies_of_deepseek_are_labelled_as_bytes() -> None:
    contract = Contract.load("deepseek")
    script = Provider(contract, MOCK, key=KEY)(request(contract, {"model": "m"}))
    assert dict(script.headers)["content-type"] == "application/octet-stream"


def test_a_rate_limit_waits_in_seconds_or_until_a_date() -> None:
    contract = Contract.load("groq")
    for as_date, wanted in ((False, "7"), (True, "Thu, 20 Nov 2025 12:00:07 GMT")):
        limit = Say(error=Trouble("rate_limit", retry_after=7, retry_after_date=as_date))
        script = Provider(contract, Mock("limited", "", (limit,)))(request(contract, GOOD))
        assert script.status == 429
        assert dict(script.headers)["retry-after"] == wanted
        assert json.loads(script.body)["error"]["code"] == "rate_limit_exceeded"


@pytest.mark.parametrize(
    "path", ["/openai/v1/chat/completions", "/openai/deployments/my-dep/chat/completions"]
)
def test_azure_serves_its_own_path_and_those_of_deployments(path: str) -> None:
    contract = Contract.load("azure")
    asked = request(contract, GOOD, path=f"{path}?api-version=2024-10-21")
    assert Provider(contract, MOCK, key=KEY)(asked).status == 200
    assert dict(asked.headers) == {"api-key": KEY}
