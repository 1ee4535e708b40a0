"""Chunks and replies member by member, as recorded, against those that we play. The order is free."""

from __future__ import annotations

import json

import pytest

from onpaper.contract import Contract
from onpaper.mock import Mock
from onpaper.wire.dialect import Asked, Speaker

TEXT = {"text": ["Hel", "lo"]}
CALL = {"tool_calls": [{"name": "f", "arguments": ['{"a"', ": 1}"]}]}
THOUGHT = {"reasoning": ["So"], "text": ["Yes"]}


def stream(name: str, say: dict, usage: bool = True, choices: int = 1) -> list[dict]:
    """The chunks of a reply."""
    [one] = Mock.of({"about": "one reply", "reply": [say]}).replies
    asked = Asked(model="a-model", stream=True, usage=usage, choices=choices)
    return json.loads(json.dumps(Speaker(Contract.load(name), asked).chunks(one)))


def reply(name: str, say: dict) -> dict:
    [one] = Mock.of({"about": "one reply", "reply": [say]}).replies
    return json.loads(json.dumps(Speaker(Contract.load(name), Asked(model="a-model")).body(one)))


def deltas(chunks: list[dict]) -> list[dict]:
    """The deltas of the first choice, tool calls without their ids."""
    found = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    for delta in found:
        for call in delta.get("tool_calls") or ():
            if call.get("id"):
                call["id"] = "an id"
    return found


def keys(value: dict) -> set[str]:
    return set(value)


TIMINGS = {
    *("cache_n", "prompt_n", "prompt_ms", "prompt_per_token_ms", "prompt_per_second"),
    *("predicted_n", "predicted_ms", "predicted_per_token_ms", "predicted_per_second"),
}
LLAMA_CHUNK = {"choices", "created", "id", "model", "system_fingerprint", "object"}
RELAYING = ["llamacpp", "smg", "sglang-router", "musistudio-llms", "portkey@llamacpp"]


@pytest.mark.parametrize("name", RELAYING)
def test_llama_cpp_speaks_the_same_through_every_gateway(name):
    first, *_, closing, counts = stream(name, TEXT)
    assert keys(first) == keys(closing) == LLAMA_CHUNK
    assert first["choices"] == [
        {"finish_reason": None, "index": 0, "delta": {"role": "assistant", "content": None}}
    ]
    assert closing["choices"] == [{"finish_reason": "stop", "index": 0, "delta": {}}]
    assert keys(counts) == LLAMA_CHUNK | {"usage", "timings"} and counts["choices"] == []
    assert keys(counts["timings"]) == TIMINGS
    assert counts["usage"] == {
        "completion_tokens": 7, "prompt_tokens": 11, "total_tokens": 18,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


@pytest.mark.parametrize("name", RELAYING)
def test_llama_cpp_s_first_fragment_of_a_call_has_its_first_arguments(name):
    whole = {"index": 0, "id": "an id", "type": "function", "function": {"name": "f", "arguments": '{"a"'}}
    assert deltas(stream(name, CALL)) == [
        {"role": "assistant", "content": None},
        {"tool_calls": [whole]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]},
        {},
    ]


def test_llama_cpp_s_timings_stand_in_the_last_chunk_whichever_that_is():
    *_, closing = stream("llamacpp", TEXT, usage=False)
    assert closing["choices"][0]["finish_reason"] == "stop" and keys(closing["timings"]) == TIMINGS
    *_, closing, counts = stream("llamacpp", TEXT)
    assert "timings" not in closing and keys(counts["timings"]) == TIMINGS


def test_llama_cpp_counts_once_for_every_choice():
    chunks = stream("llamacpp", TEXT, choices=2)
    assert [chunk["choices"] for chunk in chunks if "usage" in chunk] == [[], []]


def test_llama_cpp_has_an_empty_content_beside_a_call():
    message = reply("llamacpp", CALL)["choices"][0]["message"]
    assert message["content"] == "" and keys(message["tool_calls"][0]) == {"type", "function", "id"}


MLX_CHUNK = {"id", "system_fingerprint", "object", "model", "created", "choices"}


def test_mlx_lm_says_the_role_in_every_delta_and_counts_in_a_chunk_of_another_kind():
    *chunks, counts = stream("mlx-lm", TEXT)
    assert all(keys(chunk) == MLX_CHUNK and chunk["object"] == "chat.completion.chunk" for chunk in chunks)
    assert deltas(chunks) == [
        *({"role": "assistant", "content": piece} for piece in TEXT["text"]),
        {"role": "assistant"},
    ]
    assert counts["object"] == "chat.completion" and counts["choices"] == []
    assert keys(counts) == MLX_CHUNK | {"usage"}


def test_mlx_lm_sends_a_call_whole_and_reasoning_under_its_short_name():
    whole = {
        "index": 0,
        "id": "an id",
        "type": "function",
        "function": {"name": "f", "arguments": '{"a": 1}'},
    }
    assert deltas(stream("mlx-lm", CALL))[0] == {"role": "assistant", "tool_calls": [whole]}
    assert deltas(stream("mlx-lm", THOUGHT))[0] == {"role": "assistant", "reasoning": "So"}


def test_mlx_lm_begins_with_a_comment_and_ends_with_the_connection():
    speaker = Speaker(Contract.load("mlx-lm"), Asked(stream=True))
    [one] = Mock.of({"about": "one reply", "reply": [TEXT]}).replies
    script = speaker.script(one)
    assert script.body.startswith(b": keepalive 1/1\n\ndata: ") and script.body.endswith(b"data: [DONE]\n\n")
    assert script.transfer == "close"


TRANSFORMERS_CHUNK = {"id", "choices", "created", "model", "object", "system_fingerprint"}


def test_transformers_serve_leaves_the_finish_reason_out_until_the_end_and_always_counts_there():
    first, *_, closing = stream("transformers-serve", TEXT, usage=False)
    assert keys(first) == TRANSFORMERS_CHUNK
    assert first["choices"] == [{"delta": {"role": "assistant"}, "index": 0}]
    assert keys(closing) == TRANSFORMERS_CHUNK | {"usage"}
    assert closing["choices"] == [{"delta": {}, "index": 0, "finish_reason": "stop"}]
    assert closing["usage"] == {"completion_tokens": 7, "prompt_tokens": 11, "total_tokens": 18}


def test_transformers_serve_never_says_done_and_names_the_model_s_revision():
    speaker = Speaker(Contract.load("transformers-serve"), Asked(model="a-model", stream=True))
    [one] = Mock.of({"about": "one reply", "reply": [TEXT]}).replies
    assert b"[DONE]" not in speaker.script(one).body
    assert stream("transformers-serve", TEXT)[0]["model"] == "a-model@main"


def test_sglang_says_every_member_of_every_delta():
    nothing = {"role": None, "content": None, "reasoning_content": None, "tool_calls": None}
    chunks = stream("sglang", THOUGHT)
    assert deltas(chunks) == [
        nothing | {"role": "assistant", "content": ""},
        nothing | {"reasoning_content": "So"},
        nothing | {"content": "Yes"},
        nothing,
    ]
    choice = {"index", "delta", "logprobs", "finish_reason", "matched_stop"}
    assert all(keys(chunk["choices"][0]) == choice and chunk["usage"] is None for chunk in chunks[:-1])


def test_venice_counts_and_bills_in_the_chunk_that_finishes():
    *_, before, closing = stream("venice", TEXT)
    assert before["usage"] is None and "cost" not in before
    assert closing["usage"]["total_tokens"] == 18 and keys(closing["cost"]) == {"usd", "diem"}


def test_venice_s_continuations_are_full_of_nulls():
    calls = [delta["tool_calls"][0] for delta in deltas(stream("venice", CALL)) if delta["tool_calls"]]
    assert calls[1] == {
        "index": 0, "id": None, "type": "function",
        "function": {"name": None, "arguments": '{"a"'},
    }


def test_doubleword_says_the_finish_twice_and_counts_the_second_time():
    *_, once, again = stream("doubleword", TEXT)
    assert once["choices"] == again["choices"] and once["choices"][0]["finish_reason"] == "stop"
    assert "usage" not in once and again["usage"]["total_tokens"] == 18


def test_doubleword_says_each_thought_twice_but_it_is_read_once():
    [thought] = [delta for delta in deltas(stream("doubleword", THOUGHT)) if "reasoning" in delta]
    assert thought["reasoning"] == thought["reasoning_details"][0]["text"] == "So"


def test_copilot_begins_with_a_chunk_that_has_neither_choices_nor_an_id_and_no_object_anywhere():
    chunks = stream("copilot", TEXT)
    assert chunks[0]["choices"] == [] and chunks[0]["id"] == "" and "prompt_filter_results" in chunks[0]
    assert not any("object" in chunk for chunk in [*chunks, reply("copilot", TEXT)])
    assert keys(chunks[-1]) >= {"usage", "copilot_usage"}


def test_copilot_has_no_content_beside_a_call_in_one_piece_and_null_in_a_stream():
    assert "content" not in reply("copilot", CALL)["choices"][0]["message"]
    assert all(delta["content"] is None for delta in deltas(stream("copilot", CALL)))


def test_alibaba_continues_a_call_with_an_empty_id():
    first, second, *_ = deltas(stream("alibaba", CALL))
    assert keys(first) == {"content", "tool_calls", "role"}
    assert second["tool_calls"][0] == {
        "index": 0, "id": "", "type": "function",
        "function": {"arguments": '{"a"'},
    }


def test_perplexity_repeats_all_that_was_said_and_calls_its_last_chunk_done():
    chunks = stream("perplexity", TEXT)
    assert [chunk["choices"][0]["message"]["content"] for chunk in chunks] == ["Hel", "Hello", "Hello"]
    assert [chunk["object"].rpartition(".")[2] for chunk in chunks] == ["chunk", "chunk", "done"]
    assert len({chunk["id"] for chunk in chunks}) == 2
    counted = [chunk["usage"]["completion_tokens"] for chunk in chunks]
    assert counted == sorted(counted) and counted[-1] == 7


def test_perplexity_s_stream_has_crlf_a_ping_and_no_sentinel():
    speaker = Speaker(Contract.load("perplexity"), Asked(stream=True))
    [one] = Mock.of({"about": "one reply", "reply": [TEXT]}).replies
    body = speaker.script(one).body
    assert (
        body.startswith(b": ping - ") and body.count(b"\n") == body.count(b"\r\n") and b"[DONE]" not in body
    )


def test_moonshot_counts_in_the_last_choice_and_k3_once_more_on_its_own():
    counts = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    assert stream("moonshot", TEXT, usage=False)[-1]["choices"][0]["usage"] == counts
    assert (
        stream("moonshot@k3", TEXT)[-2]["choices"][0]["usage"]
        == stream("moonshot@k3", TEXT)[-1]["usage"]
        == counts
    )


def test_gpustack_never_says_a_role_and_reports_an_error_on_a_line_that_is_no_event():
    assert not any("role" in delta for delta in deltas(stream("gpustack", THOUGHT)))
    speaker = Speaker(Contract.load("gpustack"), Asked(stream=True))
    say = {
        **TEXT,
        "error_after": {"situation": "server_error", "message": "failed to decode, try again", "pieces": 1},
    }
    [one] = Mock.of({"about": "an error", "reply": [say]}).replies
    assert speaker.script(one).body.endswith(b'\n\nerror: {"detail":"failed to decode, try again"}\n\n')


def test_featherless_leaves_the_arguments_out_of_the_first_fragment():
    first = deltas(stream("featherless", CALL))[0]["tool_calls"][0]
    assert first["function"] == {"name": "f"}


def test_bifrost_loses_the_chunk_that_has_a_role_and_nothing_else():
    assert deltas(stream("bifrost", TEXT)) == [{"content": "Hel"}, {"content": "lo"}, {}]


def test_mistral_rs_gives_the_rates_with_the_counts():
    usage = reply("mistralrs", TEXT)["usage"]
    assert {"avg_tok_per_sec", "total_time_sec"} <= keys(usage) and usage["total_tokens"] == 18


def test_charm_s_counts_have_a_cost_in_two_currencies():
    assert keys(stream("charm-hyper", TEXT)[-1]["usage"]["cost"]) == {"usd", "hypercredits"}


def test_bedrock_pads_the_choice_and_says_its_last_words_while_finishing():
    chunks = stream("bedrock", TEXT)
    assert all("obfuscation" in chunk["choices"][0] for chunk in chunks[:-1])
    assert chunks[-2]["choices"][0]["delta"] == {"role": "assistant", "content": "lo"}
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
