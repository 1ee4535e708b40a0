"""The LiteLLM proxy (https://docs.litellm.ai/docs/simple_proxy), and through it any metered provider."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .backend import Backend, Messages
from .vllm import VLLMBackend


class LiteLLMBackend(VLLMBackend):
    """A LiteLLM proxy.

    It is the vLLM client without the two body keys that only vLLM knows, with a silent `prefill`, with the
    key of the environment, and with a model that can be switched. What a provider behind the proxy does not
    take (`presence_penalty`, say) is left to the proxy's `drop_params: true`.

    `api_key` is `VUI_LITELLM_KEY` unless it is given; an empty one is no key. It is read once, here.
    """

    name = "litellm"

    def __init__(
        self,
        model: str = "openai/gpt-4o-mini",
        base_url: str = "http://localhost:4000",
        *,
        max_model_len: int = 8192,
        sampling: Mapping[str, Any] | None = None,
        api_key: str | None = None,
        timeouts: Mapping[str, float | None] | None = None,
    ) -> None:
        super().__init__(
            model,
            base_url,
            max_model_len=max_model_len,
            sampling=sampling,
            api_key=os.environ.get("VUI_LITELLM_KEY") if api_key is None else api_key,
            timeouts=timeouts,
        )

    def _extra_keys(self, sampling: dict[str, Any]) -> dict[str, Any]:
        return {}

    async def prefill(self, messages: Messages) -> None:
        """Nothing: it is called every few hundred milliseconds while a person speaks, and each call would
        bill.
        """

    async def set_model(self, name: str) -> None:
        await Backend.set_model(self, name)
