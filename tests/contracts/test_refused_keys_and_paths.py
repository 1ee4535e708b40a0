"""Bad keys, long prompts, paths that do not exist: recorded answers and what we play. `...` is any text."""

from __future__ import annotations

import pytest

from onpaper.answer import Provider
from onpaper.contract import Contract
from onpaper.exchange import Request

JSON, UTF8 = "application/json", "application/json; charset=utf-8"
INVALID = {"message": ..., "type": "invalid_request_error"}
LLAMA_KEY = {"message": "Invalid API Key", "type": "authentication_error", "code": 401}
OVERFLOW = {"message": ..., "type": "exceed_context_size_error"}

KEYS = [
    ("llamacpp", None, 401, UTF8, {"error": LLAMA_KEY}),
    ("llamacpp", "wrong", 401, UTF8, {"error": LLAMA_KEY}),
    ("smg", None, 401, JSON, {"error": {**INVALID, "param": None, "code": "invalid_api_key"}}),
    ("smg", "wrong", 401, JSON, {"error": {**INVALID, "param": None, "code": "invalid_api_key"}}),
    (
        "portkey",
        "wrong",
        401,
        JSON,
        {"error": {**INVALID, "param": None, "code": "invalid_api_key"}, "provider": "openai"},
    ),
    (
        *("portkey@llamacpp", "wrong", 401, UTF8),
        {
            "error": {**LLAMA_KEY, "message": "openai error: Invalid API Key", "param": None},
            "provider": "openai",
        },
    ),
    (
        "doubleword",
        "wrong",
        403,
        JSON,
        {"error": {**INVALID, "message": "Forbidden", "param": None, "code": "forbidden"}},
    ),
    ("perplexity", "wrong", 401, JSON, {"error": {"message": ..., "type": "invalid_api_key", "code": 401}}),
    ("sglang", "wrong", 401, JSON, {"error": "Unauthorized"}),
    (
        "moonshot",
        "wrong",
        401,
        JSON,
        {"error": {"message": "Invalid Authentication", "type": "invalid_authentication_error"}},
    ),
]


@pytest.mark.parametrize(
    ("name", "key", "status", "kind", "expected"),
    KEYS,
    ids=[f"{name}: {key or 'no'} key" for name, key, *_ in KEYS],
)
def test_a_bad_key_is_refused_in_the_shape_that_was_recorded(ask, same, name, key, status, kind, expected):
    answer = ask(name, key=key)
    assert (answer.status, answer.kind) == (status, kind)
    assert same(answer.json, expected), answer.text


@pytest.mark.parametrize("key", [None, "wrong"])
@pytest.mark.parametrize("name", ["mlx-lm", "transformers-serve", "musistudio-llms"])
def test_a_server_that_knows_no_keys_takes_any_and_none(ask, name, key):
    assert ask(name, key=key).status == 200


@pytest.mark.parametrize("key", [None, "wrong"])
def test_the_sglang_router_refuses_a_bad_key_without_a_word(ask, key):
    assert ask("sglang-router", key=key) == (401, None, "")


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ((), 'Bearer realm="data-plane"'),
        (("Bearer wrong",), 'Bearer realm="data-plane", error="invalid_token"'),
    ],
    ids=["no key", "wrong key"],
)
def test_smg_says_in_a_header_what_was_wrong_with_a_key(sent, said):
    contract = Contract.load("smg")
    headers = tuple(("authorization", value) for value in sent)
    script = Provider(contract, key="right")(Request("POST", contract.chat_path, headers, b"{}"))
    assert dict(script.headers)["www-authenticate"] == said


@pytest.mark.parametrize("name", ["smg", "sglang-router"])
def test_these_gateways_list_their_models_to_anyone(ask, name):
    assert ask(name, to="GET /v1/models", key="wrong").status == 200


def test_llama_cpp_lists_its_models_to_key_holders_only(ask):
    assert ask("llamacpp", to="GET /v1/models", key="wrong").status == 401


def test_vertex_refuses_in_an_array_of_one(ask, same):
    path = "POST /v1/projects/p/locations/l/endpoints/openapi/chat/completions"
    answer = ask("vertex", to=path, key="wrong")
    assert answer.status == 401
    assert same(answer.json, [{"error": {"code": 401, "message": ..., "status": "UNAUTHENTICATED"}}])


def test_perplexity_s_front_door_answers_a_request_without_a_key_in_html(ask):
    answer = ask("perplexity", key=None)
    assert (answer.status, answer.kind) == (401, "text/html")


LONG = [
    ("llamacpp", {"error": {**OVERFLOW, "code": 400, "n_prompt_tokens": 8019, "n_ctx": 1024}}),
    ("smg", {"error": {**OVERFLOW, "code": 400, "n_prompt_tokens": 8019, "n_ctx": 1024}}),
    ("sglang-router", {"error": {**OVERFLOW, "code": 400, "n_prompt_tokens": 8019, "n_ctx": 1024}}),
    ("musistudio-llms", {"error": {"message": ..., "type": "api_error", "code": "provider_response_error"}}),
    ("portkey@llamacpp", {"error": {**OVERFLOW, "code": 400, "param": None}, "provider": "openai"}),
    ("perplexity", {"error": {"message": ..., "type": "too_many_prompt_tokens", "code": 400}}),
    ("moonshot", {"error": INVALID}),
]


@pytest.mark.parametrize(("name", "expected"), LONG, ids=[name for name, _ in LONG])
def test_a_prompt_that_is_too_long_is_refused_as_recorded(ask, same, name, expected):
    answer = ask(name, mock={"about": "too long", "reply": [{"error": "context_length"}]})
    assert answer.status == 400
    assert same(answer.json, expected), answer.text


FILE_NOT_FOUND = {"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}}
CHAT = "GET /v1/chat/completions"
PATHS = [
    ("llamacpp", "POST /v1/no/such", 404, UTF8, FILE_NOT_FOUND),
    ("llamacpp", CHAT, 404, UTF8, FILE_NOT_FOUND),
    ("llamacpp", "GET /v1/models/a-model", 404, UTF8, FILE_NOT_FOUND),
    ("smg", "POST /v1/no/such", 404, JSON, {"error": {**INVALID, "param": None, "code": "unknown_url"}}),
    ("smg", CHAT, 405, JSON, {"error": {**INVALID, "param": None, "code": "method_not_allowed"}}),
    (
        "smg",
        "GET /v1/models/no-such-model",
        404,
        JSON,
        {"error": {**INVALID, "param": None, "code": "model_not_found"}},
    ),
    ("musistudio-llms", CHAT, 404, UTF8, {"message": ..., "error": "Not Found", "statusCode": 404}),
    (
        "musistudio-llms",
        "GET /v1/models",
        404,
        UTF8,
        {"message": ..., "error": "Not Found", "statusCode": 404},
    ),
    ("transformers-serve", "POST /v1/no/such", 404, JSON, {"detail": "Not Found"}),
    ("transformers-serve", CHAT, 405, JSON, {"detail": "Method Not Allowed"}),
    ("transformers-serve", "GET /v1/models/a-model", 404, JSON, {"detail": "Not Found"}),
]


@pytest.mark.parametrize(
    ("name", "to", "status", "kind", "expected"), PATHS, ids=[f"{name}: {to}" for name, to, *_ in PATHS]
)
def test_a_path_or_method_that_is_not_served_is_answered_as_recorded(
    ask, same, name, to, status, kind, expected
):
    answer = ask(name, to=to)
    assert (answer.status, answer.kind) == (status, kind)
    assert same(answer.json, expected), answer.text


@pytest.mark.parametrize(
    ("to", "status"), [("POST /v1/no/such", 404), (CHAT, 405), ("GET /v1/models/a-model", 404)]
)
def test_the_sglang_router_says_nothing_about_a_path_that_it_does_not_serve(ask, to, status):
    assert ask("sglang-router", to=to) == (status, None, "")


def test_mlx_lm_calls_a_text_json(ask):
    assert ask("mlx-lm", to="POST /v1/no/such") == (404, JSON, "Not Found")


def test_mlx_lm_answers_the_path_of_any_one_model_with_the_whole_list(ask):
    answer = ask("mlx-lm", to="GET /v1/models/no-such-model")
    assert answer.status == 200
    assert [one["id"] for one in answer.json["data"]] == ["a-model"]
