"""vLLM's own server (https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .openai_compatible import OpenAICompatibleBackend


class VLLMBackend(OpenAICompatibleBackend):
    """A vLLM server, with a bearer key or none.

    `enable_thinking` lets a model of the Qwen3 family reason before it answers; speech cannot wait for that.
    `max_model_len` is the context window in tokens, for the gauge only: the server has its own.
    """

    name = "vllm"

    def __init__(
        self,
        model: str = "Qwen/Qwen3.5-4B",
        base_url: str = "http://localhost:8000",
        *,
        enable_thinking: bool = False,
        max_model_len: int = 8192,
        sampling: Mapping[str, Any] | None = None,
        api_key: str | None = None,
        timeouts: Mapping[str, float | None] | None = None,
    ) -> None:
        super().__init__(
            model, base_url, window=max_model_len, sampling=sampling, api_key=api_key, timeouts=timeouts
        )
        self.enable_thinking = enable_thinking
        self.max_model_len = max_model_len

    def _extra_keys(self, sampling: dict[str, Any]) -> dict[str, Any]:
        return {
            "top_k": sampling["top_k"],
            "chat_template_kwargs": {"enable_thinking": self.enable_thinking},
        }

    async def set_model(self, name: str) -> None:
        raise NotImplementedError(
            f"a vLLM server serves one model for each process; start another for {name!r}"
        )
