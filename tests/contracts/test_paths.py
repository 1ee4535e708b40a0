"""Where a provider is asked: the paths that were recorded, and those that only look like them."""

from __future__ import annotations

import json

import pytest

from onpaper.clauses import View
from onpaper.clauses.body import path as path_clause
from onpaper.clauses.body import types
from onpaper.contract import Contract
from onpaper.driving.verdict import Broken
from onpaper.exchange import Exchange, Request

CHAT = "/chat/completions"
RECORDED = [
    ("ai21", "/studio/v1"),
    ("azure", "/openai/v1"),
    ("azure", "/openai/deployments/gpt-4o"),
    ("azure-ai-foundry", "/models"),
    ("cloudflare", "/client/v4/accounts/38bc1f7f09483f93340d366546d47dcd/ai/v1"),
    ("deepseek", ""),
    ("deepseek", "/beta"),
    ("hf-router", "/v1"),
    ("hf-router", "/nebius/v1"),
    ("hf-router", "/together/v1"),
    ("hf-router", "/novita/v3/openai"),
    ("novita", "/v3/openai"),
    ("openai", "/v1"),
    ("pydantic-gateway", "/openai"),
    ("pydantic-gateway", "/groq/openai/v1"),
    ("tgi", "/v1"),
    ("tgi", "/hf-inference/models/google/gemma-2b/v1"),
    ("tgi", "/models/gpt2/v1"),
    ("vertex", "/v1/projects/p/locations/l/endpoints/openapi"),
    ("zai", "/api/coding/paas/v4"),
]
WRONG = [
    *((name, "/v1/v1") for name in ("openai", "azure", "hf-router", "tgi", "zai")),
    *((name, "//v1") for name in ("openai", "hf-router", "tgi")),
    ("azure", "/openai/deployments/gpt-4o/v1"),
    ("azure", "/openai/deployments/"),
    ("cloudflare", "/client/v4/accounts//ai/v1"),
    ("ollama", "/v1"),
    ("openai", "/v1" + CHAT),
    ("tgi", "/hf-inference/models/google/gemma-2b/v1/v1"),
    ("tgi", "/hf-inference/models//gemma-2b/v1"),
]


def asked(path: str) -> Exchange:
    return Exchange(Request("POST", path))


@pytest.mark.parametrize(("name", "prefix"), RECORDED)
def test_a_recorded_path_is_served_and_blamed_by_no_clause(ask, name, prefix):
    assert ask(name, to=f"POST {prefix}{CHAT}", key="").status != 404
    path_clause(asked(prefix + CHAT), View(Contract.load(name)))


@pytest.mark.parametrize(("name", "prefix"), WRONG)
def test_a_path_that_is_not_served_is_blamed(ask, name, prefix):
    assert Contract.load(name).paths.call("POST", prefix + CHAT) is None
    with pytest.raises(Broken, match="the provider serves"):
        path_clause(asked(prefix + CHAT), View(Contract.load(name)))


@pytest.mark.parametrize(("name", "prefix"), RECORDED)
def test_the_path_of_a_chat_is_never_that_of_a_model(ask, name, prefix):
    assert Contract.load(name).paths.call("GET", prefix + CHAT) is None


def test_a_model_is_found_below_any_prefix():
    paths = Contract.load("tgi").paths
    assert paths.call("GET", "/models/google/gemma-2b/v1/models/google/gemma-2b") == (
        "models",
        "google/gemma-2b",
    )
    assert paths.call("HEAD", "/v1/models") == ("models", None)
    assert paths.call("DELETE", "/v1/models/x") is None


def test_a_model_that_the_path_names_is_not_missing_from_the_body(ask):
    body = {"messages": [{"role": "user", "content": "hi"}]}
    inside, own = (f"/openai/{prefix}{CHAT}" for prefix in ("deployments/gpt-4o", "v1"))
    assert [ask("azure", body, to=f"POST {path}").status for path in (inside, own)] == [200, 400]
    sent = [Exchange(Request("POST", path, (), json.dumps(body).encode())) for path in (inside, own)]
    types(sent[0], View(Contract.load("azure")))
    with pytest.raises(Broken, match="'model' is missing"):
        types(sent[1], View(Contract.load("azure")))


@pytest.mark.parametrize(("path", "model"), [("/openai/deployments/my-gpt", "my-gpt"), ("/openai/v1", None), ("/v1", None)])
def test_a_chat_is_of_the_model_that_its_path_names(path, model):
    assert Contract.load("azure").paths.call("POST", path + CHAT) == ("chat", model)


@pytest.mark.parametrize(("name", "taken"), [("hf-router", True), ("vllm", True), ("openai", False)])
def test_an_empty_list_is_blamed_where_the_provider_refuses_it(ask, name, taken):
    body = {"model": "a-model", "messages": [{"role": "user", "content": "hi"}], "tools": []}
    assert (ask(name, body).status == 200) is taken
    sent = Exchange(Request("POST", Contract.load(name).chat_path, (), json.dumps(body).encode()))
    if taken:
        types(sent, View(Contract.load(name)))
    else:
        with pytest.raises(Broken, match="/tools"):
            types(sent, View(Contract.load(name)))
