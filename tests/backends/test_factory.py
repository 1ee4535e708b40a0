"""Which backend an application gets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import onpaper.backends as backends
from onpaper.backends import (
    LiteLLMBackend,
    OllamaBackend,
    VLLMBackend,
    get_backend,
    make_backend,
    set_backend,
)

VARIABLES = [
    "VUI_LLM_BACKEND",
    *(f"VUI_{name}_{what}" for name in ("OLLAMA", "VLLM", "LITELLM") for what in ("URL", "MODEL", "KEY")),
]


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No variable of the environment counts, and the process has no backend yet."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(backends, "_backend", None)
    yield


@pytest.mark.parametrize(
    ("name", "kind", "model", "url"),
    [
        ("ollama", OllamaBackend, "qwen3.5:4b", "http://localhost:11434"),
        ("vllm", VLLMBackend, "Qwen/Qwen3.5-4B", "http://localhost:8000"),
        ("litellm", LiteLLMBackend, "openai/gpt-4o-mini", "http://localhost:4000"),
    ],
)
def test_each_name_makes_its_backend_with_its_defaults(name: str, kind: Any, model: str, url: str) -> None:
    for written in (name, name.upper(), f" {name.title()} "):
        backend = make_backend(written)
        assert (type(backend), backend.name, backend.model, backend.base_url) == (kind, name, model, url)


def test_an_unknown_name_is_refused_with_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="'gpt'; known: ollama, vllm, litellm"):
        make_backend("GPT")
    monkeypatch.setenv("VUI_LLM_BACKEND", "nope")
    with pytest.raises(ValueError, match="'nope'"):
        make_backend()


def test_the_default_is_ollama_and_the_environment_may_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_backend().name == "ollama"
    monkeypatch.setenv("VUI_LLM_BACKEND", "VLLM")
    assert make_backend().name == "vllm"
    assert make_backend("litellm").name == "litellm"


@pytest.mark.parametrize("name", ["ollama", "vllm", "litellm"])
def test_an_argument_wins_over_the_environment_and_that_over_the_default(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"VUI_{name.upper()}_MODEL", "from/environment")
    monkeypatch.setenv(f"VUI_{name.upper()}_URL", "http://there:1/v1/")
    assert make_backend(name).model == "from/environment"
    assert make_backend(name).base_url == "http://there:1"
    assert make_backend(name, "from/argument").model == "from/argument"


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_variable_counts_as_unset(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.setenv(variable, empty)
    backend = make_backend()
    assert (backend.name, backend.model, backend.base_url) == (
        "ollama",
        "qwen3.5:4b",
        "http://localhost:11434",
    )


def test_the_process_has_one_backend() -> None:
    assert get_backend() is get_backend()
    other = VLLMBackend()
    set_backend(other)
    assert get_backend() is other


async def test_a_backend_that_is_replaced_closes_its_connections(provider: Any) -> None:
    provider.replies({"choices": [{"message": {"content": "hi"}}]})
    old = VLLMBackend(base_url=provider.url)
    set_backend(old)
    set_backend(old)
    await old.complete([])
    assert provider.open == 1
    set_backend(OllamaBackend())
    await provider.until(lambda: provider.open == 0)
    assert (await old.complete([]))["content"] == "hi"
    await old.aclose()


def test_the_constructors_take_what_the_originals_took() -> None:
    assert OllamaBackend("m", "http://h", think=True, num_ctx=4096, sampling={"top_k": 1}).num_ctx == 4096
    assert VLLMBackend("m", "http://h", enable_thinking=True, max_model_len=4096).max_model_len == 4096
    assert LiteLLMBackend("m", "http://h", max_model_len=4096).max_model_len == 4096
