"""Reference backends: what an application talks through, for Ollama, vLLM and the LiteLLM proxy.

They need httpx and nothing else, and import nothing from the rest of onpaper: copy this folder into an
application and it works there. `make_backend` picks one by the environment:

    VUI_LLM_BACKEND                                        ollama (the default), vllm or litellm
    VUI_OLLAMA_URL, VUI_VLLM_URL, VUI_LITELLM_URL          where it is; with or without /v1
    VUI_OLLAMA_MODEL, VUI_VLLM_MODEL, VUI_LITELLM_MODEL    which model
    VUI_LITELLM_KEY                                        the proxy's key
"""

from __future__ import annotations

import os
from collections.abc import Callable

from .backend import Backend
from .errors import BackendError, BackendTimeout, ConnectionFailed, IncompleteReply, UnusableReply
from .litellm import LiteLLMBackend
from .ollama import OllamaBackend
from .openai_compatible import OpenAICompatibleBackend
from .transport import Timeouts
from .vllm import VLLMBackend

__all__ = [
    "Backend",
    "BackendError",
    "BackendTimeout",
    "ConnectionFailed",
    "IncompleteReply",
    "LiteLLMBackend",
    "OllamaBackend",
    "OpenAICompatibleBackend",
    "Timeouts",
    "UnusableReply",
    "VLLMBackend",
    "get_backend",
    "make_backend",
    "set_backend",
]

_KNOWN: dict[str, Callable[..., Backend]] = {
    "ollama": OllamaBackend,
    "vllm": VLLMBackend,
    "litellm": LiteLLMBackend,
}


def make_backend(name: str | None = None, model: str | None = None) -> Backend:
    """A backend by its name, in any case.

    An argument wins over the environment, and that over the default; an empty variable counts as unset.
    Raises ValueError for an unknown name.
    """
    chosen = (name or _environment("VUI_LLM_BACKEND") or "ollama").strip().lower()
    if chosen not in _KNOWN:
        raise ValueError(f"unknown backend {chosen!r}; known: {', '.join(_KNOWN)}")
    prefix = f"VUI_{chosen.upper()}"
    given = {"model": model or _environment(f"{prefix}_MODEL"), "base_url": _environment(f"{prefix}_URL")}
    return _KNOWN[chosen](**{name: value for name, value in given.items() if value})


_backend: Backend | None = None


def get_backend() -> Backend:
    """The process's one backend; the first call makes it from the environment."""
    global _backend
    if _backend is None:
        _backend = make_backend()
    return _backend


def set_backend(backend: Backend) -> None:
    """Replace the process's one backend. The old one closes its connections."""
    global _backend
    old, _backend = _backend, backend
    if isinstance(old, Backend) and old is not backend:
        old.close_soon()


def _environment(name: str) -> str:
    return os.environ.get(name, "").strip()
