"""A tiny language model made on the spot, so that anyone can record any real engine: no GPU, no download.

`scripted` says given texts, tool calls and thoughts, chosen by a `[[marker]]` in the last message (see
`onpaper.model.scripted`); `random` is the same network with random weights, whose text is noise. Making one needs
numpy and the libraries of the formats (the extra `model`), which is why nothing else imports this package.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, get_args

from onpaper.errors import BadInput

Kind = Literal["scripted", "random"]
Format = Literal["gguf", "llama", "qwen2"]

KINDS: tuple[Kind, ...] = get_args(Kind)
FORMATS: tuple[Format, ...] = get_args(Format)
NEEDS: dict[Format, tuple[str, ...]] = {
    "gguf": ("numpy", "gguf"),
    "llama": ("numpy", "safetensors", "tokenizers"),
    "qwen2": ("numpy", "safetensors", "tokenizers"),
}
"""The packages that each format needs."""


def make(
    folder: Path, kind: Kind = "scripted", formats: Sequence[Format] = FORMATS, seed: int = 7
) -> list[Path]:
    """Make the model in a folder; its files, named `<kind>.gguf`, `<kind>-llama/` and `<kind>-qwen2/`.

    `gguf` is for llama.cpp; `llama` and `qwen2` are Hugging Face folders of the same network, for vLLM, SGLang
    and mlx, and for servers that parse tool calls and thoughts of known families only. `seed` is of the random
    weights. Raises BadInput when a package is missing or the folder cannot be written.
    """
    lacking = missing(formats)
    if lacking:
        raise BadInput(
            f"making a model needs {' and '.join(lacking)}, which this Python has not: pip install 'onpaper[model]'"
        )
    from onpaper.model.files import write

    try:
        return write(folder, kind, formats, seed)
    except OSError as error:
        raise BadInput(f"{folder}: the model cannot be written: {error.strerror}") from None


def missing(formats: Iterable[Format]) -> list[str]:
    """The packages that these formats need and that are not installed."""
    wanted = dict.fromkeys(name for one in formats for name in NEEDS[one])
    return [name for name in wanted if importlib.util.find_spec(name) is None]
