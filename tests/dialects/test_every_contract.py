"""Each contract that comes with onpaper: it loads, each of its facts has a source, and no template leaks."""



from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import onpaper
from onpaper import BadInput, Contract, folders
from onpaper.body import Violation
from onpaper.truth.plays import played

NAMES = folders.names("contracts")
REQUIRED = [
    "openai",
    "azure",
    "azure-ai-foundry",
    "litellm",
    "vllm",
    "ollama",
    "ollama-v1",
    "llamacpp",
    "sglang",
    "tgi",
    "lmstudio",
    "groq",
    "together",
    "fireworks",
    "mistral",
    "deepseek",
    "openrouter",
    "anthropic-compat",
    "gemini-compat",
    "vertex",
    "bedrock",
    "bedrock-mantle",
    "cerebras",
    "xai",
    "moonshot",
    "perplexity",
    "cohere-compat",
    "databricks",
    "nvidia-nim",
    "hf-router",
    "portkey",
    "bifrost",
    "cloudflare",
    "vercel-ai-gateway",
    "zai",
    "alibaba",
    "snowflake-cortex",
    "sambanova",
    "hyperbolic",
    "nebius",
    "novita",
    "copilot",
    "watsonx",
    "doubleword",
    "ai21",
    "transformers-serve",
    "mlx-lm",
    "sglang-router",
    "smg",
    "musistudio-llms",
]


def test_the_providers_that_were_promised_are_there() -> None:
    assert set(REQUIRED) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_fact_has_a_source_with_a_link_and_a_date(name: str) -> None:
    contract = Contract.load(name)
    for one in (contract, *map(contract.variant, contract.variants)):
        for fact, _ in one.facts():
            if fact in ("summary", "kind", "metered"):
                continue
            file, source = one.source_of(fact)
            assert source is not None, f"{one.name}: {fact} ({file}) has no source"
            unseen = source.get("verified") is False and source.get("note")
            assert source.get("date") and (unseen or source.get("url", "").startswith("https://")), (
                one.name,
                fact,
            )


@pytest.mark.parametrize("name", NAMES)
def test_nothing_that_is_played_holds_a_placeholder(name: str) -> None:
    left = re.compile(rb"\{[a-z_]{2,}\??\}")
    for exchange in played(Contract.load(name)):
        assert exchange.reply is not None
        assert not left.findall(exchange.reply.body), exchange.source
        assert not [value for _, value in exchange.reply.headers if left.search(value.encode())]


@pytest.mark.parametrize("name", NAMES)
def test_the_accepted_body_is_a_valid_json_schema_that_takes_a_plain_request(name: str) -> None:
    contract = Contract.load(name)
    assert contract.violations({"model": "m", "messages": [{"role": "user", "content": "hi"}]}) == []
    found = contract.violations({"messages": 1, "model": "m"})
    assert found and isinstance(found[0], Violation)


def test_an_unknown_variant_is_named_with_the_known_ones() -> None:
    with pytest.raises(BadInput, match=r"no variant 'reasonin'; did you mean 'reasoning'\?"):
        Contract.load("openai@reasonin")


def test_a_variant_is_checked_like_a_contract(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('extends = "openai"\n[variants.old.stream]\nnewlines = "lf"\n')
    with pytest.raises(
        BadInput, match=r"variants\.old: unknown key 'newlines' at stream; did you mean 'newline'"
    ):
        Contract.read(path)


def test_headers_and_resolved_names_are_not_inherited(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('extends = "openai"\n')
    contract = Contract.read(path)
    assert contract.get("headers") is None
    assert contract.get("models.resolved") is None


def test_a_contract_that_says_its_chunk_says_all_of_its_chunks(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('extends = "azure"\n')
    with pytest.raises(BadInput, match="one level only"):
        Contract.read(path)
    path.write_text(
        'extends = "openai"\n[stream]\nchunk = { id = "{id}", choices = [{ delta = "{delta}" }] }\n'
    )
    assert Contract.read(path).get("stream.usage.own") is None


def test_no_code_branches_on_a_providers_name() -> None:
    """No text in the syntax tree of the package is a contract's name: what a provider does is in its file.

    Exempt are `backends/`, the declaration of those three, and the contracts that extend no other: they stand for
    their protocol. Sentences and links are citations.
    """
    root = Path(onpaper.__file__).parent
    names = {name for name in NAMES if Contract.load(name).base is not None}
    found = []
    for path in sorted(root.rglob("*.py")):
        inside = path.relative_to(root)
        if (
            inside.parts[0] in ("backends", "adapters", "_bundled")
            or inside.as_posix() == "driving/declaration.py"
        ):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.lower() in names:
                found.append(f"{inside}:{node.lineno}: {node.value!r}")
    assert found == []


def test_keys_that_a_provider_does_not_know_are_unknown_keys(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('extends = "openai"\n[body]\nwithout = ["store"]\n')
    contract = Contract.read(path)
    assert "store" not in contract.keys
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "store": True}
    assert [one.situation for one in contract.violations(body)] == ["unknown_parameter"]
