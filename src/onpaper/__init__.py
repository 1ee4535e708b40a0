"""On paper, every backend is OpenAI-compatible. onpaper checks what happens on the wire."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onpaper import backends, strategies
    from onpaper.contract import Contract
    from onpaper.errors import BadInput
    from onpaper.gateway import Gateway
    from onpaper.mock import Mock

__version__ = "0.1.0"
__all__ = ["BadInput", "Contract", "Gateway", "Mock", "backends", "strategies"]

_WHERE = {"BadInput": "errors", "Contract": "contract", "Gateway": "gateway", "Mock": "mock"}


def __getattr__(name: str) -> Any:
    # Imported when asked for: the pytest plugin lives in this package and must cost a suite that ignores it nothing.
    if name in _WHERE:
        return getattr(importlib.import_module(f"onpaper.{_WHERE[name]}"), name)
    if name in ("backends", "strategies"):
        return importlib.import_module(f"onpaper.{name}")
    raise AttributeError(f"module 'onpaper' has no attribute {name!r}")
