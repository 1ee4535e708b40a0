"""Where a provider is asked: the paths that were recorded, and those that only look like them."""

from __future__ import annotations

import pytest

from onpaper.clauses import View
from onpaper.clauses.body import path as path_clause
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
