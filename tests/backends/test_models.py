"""The list of models."""

from __future__ import annotations

from typing import Any

import pytest

from onpaper.backends import LiteLLMBackend, OllamaBackend, VLLMBackend


@pytest.mark.parametrize("kind", [VLLMBackend, LiteLLMBackend])
@pytest.mark.parametrize(
    "body",
    [
        {"object": "list", "data": [{"id": "b/x:1"}, {"id": "ä", "created": None}]},
        {
            "data": [{"id": "b/x:1"}, {"name": "no id"}, None, {"id": ""}, {"id": 7}, {"id": "ä"}],
            "has_more": False,
        },
        [{"id": "b/x:1"}, {"id": "ä"}],
    ],
)
async def test_ids_come_in_the_providers_order(provider: Any, build: Any, kind: Any, body: Any) -> None:
    provider.replies(body)
    assert await build(kind).list_models() == ["b/x:1", "ä"]
    assert (provider.asked[0].method, provider.asked[0].target) == ("GET", "/v1/models")


async def test_ollama_lists_what_is_installed(provider: Any, build: Any) -> None:
    provider.replies({"models": [{"name": "a:1", "model": "a:1"}, {}, {"name": "b"}]})
    assert await build(OllamaBackend).list_models() == ["a:1", "b"]
    assert provider.asked[0].target == "/api/tags"


@pytest.mark.parametrize("kind", [VLLMBackend, OllamaBackend])
@pytest.mark.parametrize("status", [301, 401, 403, 404, 500, 503])
async def test_a_provider_that_refuses_leaves_the_backends_own(
    provider: Any, build: Any, kind: Any, status: int
) -> None:
    provider.replies({"error": {"message": "no"}, "data": [{"id": "x"}]}, status)
    assert await build(kind, "own").list_models() == ["own"]


@pytest.mark.parametrize("kind", [VLLMBackend, OllamaBackend])
@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"",
        b"[" * 100_000,
        None,
        7,
        {},
        {"data": None, "models": None},
        {"data": {}, "models": "x"},
    ],
)
async def test_an_answer_that_is_no_list_leaves_the_backends_own(
    provider: Any, build: Any, kind: Any, body: Any
) -> None:
    provider.replies(body)
    assert await build(kind, "own").list_models() == ["own"]


async def test_a_provider_that_is_not_there_leaves_the_backends_own() -> None:
    backend = VLLMBackend("own", "http://127.0.0.1:9")
    assert await backend.list_models() == ["own"]
    await backend.aclose()
