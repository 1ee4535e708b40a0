"""The files of a tiny model, as engines read them: GGUF for llama.cpp, a folder for the Hugging Face libraries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from onpaper.model import Format, Kind
from onpaper.model.scripted import (
    CONTEXT,
    CONTROL,
    END,
    HEAD,
    HEADS,
    INNER,
    LAYERS,
    MARKUP,
    SIZE,
    START,
    Vocabulary,
    Weights,
    make_noise,
    make_template,
    make_vocabulary,
    make_weights,
)

NEIGHBOURS, HALVES = HEAD - 2, HEAD // 2 - 1
"""The dimension that turns slowest, where a rotation's pairs are neighbours (GGUF) and where they are the two
halves (Hugging Face)."""


def write(folder: Path, kind: Kind, formats: Sequence[Format], seed: int) -> list[Path]:
    """Write a model in some formats; the paths of its files and folders."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary, template = make_vocabulary(), make_template()

    def weights(rope_pair: int) -> Weights:
        return make_weights(vocabulary, rope_pair) if kind == "scripted" else make_noise(vocabulary, seed)

    made = []
    for one in formats:
        if one == "gguf":
            path = folder / f"{kind}.gguf"
            write_gguf(path, vocabulary, template, weights(NEIGHBOURS))
        else:
            path = folder / f"{kind}-{one}"
            write_hugging_face(path, one, vocabulary, template, weights(HALVES))
        made.append(path)
    return made


def write_gguf(path: Path, vocabulary: Vocabulary, template: str, weights: Weights) -> None:
    """One file for llama.cpp."""
    import gguf

    kinds = gguf.TokenType
    kind = {
        "normal": kinds.NORMAL,
        "control": kinds.CONTROL,
        "markup": kinds.USER_DEFINED,
        "unused": kinds.UNUSED,
    }
    file = gguf.GGUFWriter(str(path), "llama")
    file.add_name(f"tiny-{path.stem}")
    file.add_file_type(gguf.LlamaFileType.ALL_F32)
    file.add_context_length(CONTEXT)
    file.add_embedding_length(SIZE)
    file.add_block_count(LAYERS)
    file.add_feed_forward_length(INNER)
    file.add_head_count(HEADS)
    file.add_head_count_kv(HEADS)
    file.add_layer_norm_rms_eps(1e-5)
    file.add_rope_dimension_count(HEAD)
    file.add_rope_freq_base(10000.0)
    file.add_vocab_size(SIZE)
    file.add_tokenizer_model("gpt2")
    file.add_tokenizer_pre("gpt-2")
    file.add_token_list(vocabulary.tokens)
    file.add_token_types([kind[name] for name in vocabulary.kinds])
    file.add_token_merges([" ".join(merge) for merge in vocabulary.merges])
    file.add_bos_token_id(vocabulary.number(START))
    file.add_eos_token_id(vocabulary.number(END))
    file.add_add_bos_token(False)
    file.add_chat_template(template)
    file.add_tensor("token_embd.weight", weights["embedding"])
    file.add_tensor("output_norm.weight", weights["norm"])
    file.add_tensor("output.weight", weights["output"])
    names = {"query": "attn_q", "key": "attn_k", "value": "attn_v", "mix": "attn_output"}
    names |= {"gate": "ffn_gate", "up": "ffn_up", "down": "ffn_down"}
    for layer in range(LAYERS):
        for norm in ("attn_norm", "ffn_norm"):
            file.add_tensor(f"blk.{layer}.{norm}.weight", weights["norm"])
        for name, theirs in names.items():
            file.add_tensor(f"blk.{layer}.{theirs}.weight", weights[f"{layer}.{name}"])
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()


def write_hugging_face(
    folder: Path, family: str, vocabulary: Vocabulary, template: str, weights: Weights
) -> None:
    """A folder as the Hugging Face libraries read it. `qwen2` is the same network with biases of zero."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        "model.embed_tokens.weight": weights["embedding"],
        "model.norm.weight": weights["norm"],
        "lm_head.weight": weights["output"],
    }
    names = {"query": "self_attn.q_proj", "key": "self_attn.k_proj", "value": "self_attn.v_proj"}
    names |= {
        "mix": "self_attn.o_proj",
        "gate": "mlp.gate_proj",
        "up": "mlp.up_proj",
        "down": "mlp.down_proj",
    }
    for layer in range(LAYERS):
        at = f"model.layers.{layer}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{at}.{norm}.weight"] = weights["norm"].copy()
        for name, theirs in names.items():
            tensors[f"{at}.{theirs}.weight"] = weights[f"{layer}.{name}"].copy()
            if family == "qwen2" and name in ("query", "key", "value"):
                tensors[f"{at}.{theirs}.bias"] = np.zeros(SIZE, np.float32)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    tokens = {"bos_token_id": vocabulary.number(START), "eos_token_id": vocabulary.number(END)}
    tokens["pad_token_id"] = tokens["bos_token_id"]
    _write_json(folder / "config.json", {**_config(family), **tokens})
    _write_json(folder / "generation_config.json", {**tokens, "do_sample": True, "max_new_tokens": 64})
    _write_json(folder / "tokenizer_config.json", _tokenizer_config(template))
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    _write_tokenizer(folder / "tokenizer.json", vocabulary)


def _config(family: str) -> dict[str, Any]:
    biases = {} if family == "qwen2" else {"attention_bias": False, "mlp_bias": False}
    return {
        "architectures": ["Qwen2ForCausalLM" if family == "qwen2" else "LlamaForCausalLM"],
        "model_type": family,
        "hidden_size": SIZE,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "head_dim": HEAD,
        "vocab_size": SIZE,
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        **biases,
    }


def _tokenizer_config(template: str) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": START,
        "eos_token": END,
        "pad_token": START,
        "model_max_length": CONTEXT,
        "clean_up_tokenization_spaces": False,
        "add_prefix_space": False,
        "chat_template": template,
        "additional_special_tokens": CONTROL,
    }


def _write_tokenizer(path: Path, vocabulary: Vocabulary) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    numbers = {token: number for number, token in enumerate(vocabulary.tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=numbers, merges=vocabulary.merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in CONTROL])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in MARKUP])
    tokenizer.save(str(path))


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")
