"""What a contract can say of keys, model lists, relayed replies, clamped values and keys without effect."""

from __future__ import annotations

import json

import pytest

from onpaper.answer import Provider
from onpaper.contract import Contract
from onpaper.errors import BadInput
from onpaper.exchange import Request
from onpaper.mock import Mock

HELLO = {"model": "a-model", "messages": [{"role": "user", "content": "hi"}]}
HEAD = 'summary = "a provider"\nextends = "openai"\n'
TAIL = '\n[sources]\n"" = { url = "https://example.org", date = 2026-11-20 }\n'


@pytest.fixture
def contract(tmp_path):
    def write(text: str, name: str = "odd") -> Contract:
        path = tmp_path / f"{name}.toml"
        path.write_text(HEAD + text + TAIL)
        return Contract.read(path)

    return write


def ask(
    contract: Contract,
    path: str = "",
    method: str = "POST",
    key: str = "right",
    say: dict | None = None,
    **more,
):
    mock = Mock.of({"about": "one reply", "reply": [say or {"text": ["a ", "b ", "c"]}]})
    provider = Provider(contract, mock, key="right", models=["a-model"])
    headers = (("authorization", f"Bearer {key}"),)
    return provider(
        Request(method, path or contract.chat_path, headers, json.dumps({**HELLO, **more}).encode())
    )


def test_a_provider_that_never_looks_at_keys_refuses_none(contract):
    assert ask(contract("[auth]\nchecked = false\n"), key="wrong").status == 200
    assert ask(contract("[auth]\nrequired = true\n", "strict"), key="wrong").status == 401


def test_a_provider_without_a_model_list_does_not_serve_its_path(contract):
    assert ask(contract("[models]\nlist = false\n"), "/v1/models", "GET").status == 404


@pytest.mark.parametrize(("one", "status"), [("entry", 200), ("missing", 404), ("list", 200)])
def test_the_path_of_one_model_answers_as_the_contract_says(contract, one, status):
    script = ask(contract(f'[models]\none = "{one}"\n', one), "/v1/models/a-model", "GET")
    assert script.status == status
    if status == 200:
        assert ("data" in json.loads(script.body)) == (one == "list")


def test_a_model_list_can_have_a_media_type_of_its_own(contract):
    script = ask(contract('[models]\ncontent_type = "text/plain"\n'), "/v1/models", "GET")
    assert dict(script.headers)["content-type"] == "text/plain"


def test_a_method_that_a_path_does_not_take_has_a_status_of_its_own_where_the_contract_has_one(contract):
    plain, own = contract(""), contract("[errors]\nmethod_not_allowed = { status = 405 }\n", "own")
    assert ask(plain, "/v1/chat/completions", "GET").status == 404
    assert ask(own, "/v1/chat/completions", "GET").status == 405
    assert ask(own, "/v1/no/such/path", "GET").status == 404


def test_a_missing_model_has_words_of_its_own_where_the_contract_has_them(contract):
    own = contract('[errors]\nmissing_model = { status = 422, message = "which?" }\n')
    missing = Request("POST", own.chat_path, (), json.dumps({"messages": HELLO["messages"]}).encode())
    assert Provider(own, strict=True, key=None)(missing).status in (401, 422)
    keyed = Request("POST", own.chat_path, (("authorization", "Bearer k"),), missing.body)
    assert Provider(own)(keyed).status == 422


def test_a_clamped_number_is_taken_but_a_wrong_type_is_not(contract):
    clamping = contract('[body]\nvalues = "clamp"\n')
    assert ask(clamping, temperature=99).status == 200
    assert ask(clamping, temperature="hot").status == 400
    assert [one.situation for one in clamping.violations({**HELLO, "temperature": 99})] == ["above_maximum"]


def test_an_ignored_key_is_accepted_and_changes_nothing(contract):
    deaf = contract('[body]\nignored = ["max_tokens", "n"]\n')
    body = json.loads(ask(deaf, max_tokens=1, n=2).body)
    assert [choice["message"]["content"] for choice in body["choices"]] == ["a b c"]
    assert "n" in deaf.keys and "n" not in deaf.honoured and deaf.violations({**HELLO, "n": 2}) == []


def test_an_error_can_go_out_with_no_content_type_and_no_body(contract):
    mute = contract('[errors]\nwrong_key = { status = 401, envelope = "", content_type = "" }\n')
    script = ask(mute, key="wrong")
    assert script.body == b"" and "content-type" not in dict(script.headers)


ENGINE = """
[reply]
call_id = "engine-{hex:4}"
[stream]
chunk = { engine = true, choices = [{ index = "{index}", delta = "{delta}" }] }
"""


def test_a_gateway_that_relays_another_contract_speaks_as_it_does_and_refuses_in_its_own_words(contract):
    engine = contract(ENGINE, "engine")
    gateway = contract('relays = "engine"\n[errors]\nwrong_key = { status = 418 }\n', "gateway")
    assert gateway.get("reply") == engine.get("reply") and gateway.get("stream") == engine.get("stream")
    assert ask(gateway, key="wrong").status == 418
    assert ask(engine, key="wrong").status == 401


def test_a_relayed_fact_keeps_the_source_of_the_contract_that_says_it(contract):
    contract(ENGINE, "engine")
    gateway = contract('relays = "engine"\n', "gateway")
    assert gateway.source_of("stream.chunk")[0] == "engine.toml"
    assert gateway.source_of("stream.newline")[0] == "openai.toml"
    assert gateway.source_of("relays")[0] == "gateway.toml"


def test_a_gateway_s_own_words_stand_above_those_that_it_relays(contract):
    contract(ENGINE, "engine")
    gateway = contract('relays = "engine"\n[reply]\ncall_id = "mine"\n', "gateway")
    assert gateway.get("reply.call_id") == "mine" and gateway.get("stream.chunk")["engine"] is True


def test_a_variant_can_relay_another_contract(contract):
    contract(ENGINE, "engine")
    gateway = contract('[variants.behind]\nrelays = "engine"\n', "gateway")
    behind = gateway.variant("behind")
    assert behind.get("stream.chunk")["engine"] is True and "engine" not in gateway.get("stream.chunk")
    assert behind.source_of("stream.chunk")[0] == "engine.toml"


def test_relaying_a_contract_that_does_not_exist_is_one_sentence_that_names_it(contract):
    with pytest.raises(BadInput, match="no contract 'nowhere'"):
        contract('relays = "nowhere"\n')


def test_a_chunk_can_repeat_the_text_so_far(contract):
    echoing = contract(
        '[stream]\nchunk = { choices = [{ index = "{index}", delta = "{delta}", all = "{said}" }] }\n'
    )
    body = ask(echoing, stream=True).body.decode()
    chunks = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: {")]
    assert [chunk["choices"][0]["all"] for chunk in chunks[:-1]] == ["", "a ", "a b ", "a b c"]


NAMED = [{"role": "user", "content": "hi", "name": None}]


@pytest.mark.parametrize("more", [{"temperature": None}, {"reasoning_effort": None}, {"messages": NAMED}])
def test_a_null_counts_as_left_out_where_the_contract_says_so(contract, more):
    assert ask(contract('[body]\nnulls = "accept"\n'), **more).status == 200
    assert ask(contract('[body]\nnulls = "refuse"\n', "strict"), **more).status == 400


@pytest.mark.parametrize("more", [{"messages": None}, {"messages": [{"role": "user", "content": None}]}, {"stop": [None]}])
def test_a_null_is_refused_where_something_is_needed(contract, more):
    assert ask(contract('[body]\nnulls = "accept"\n'), **more).status == 400


def test_a_null_is_refused_under_the_keys_that_the_contract_names(contract):
    picky = contract('[body]\nnot_null = ["max_tokens"]\n')
    assert ask(picky, max_tokens=None).status == 400
    assert ask(picky, top_p=None).status == 200


@pytest.mark.parametrize("name", ["openai", "together", "hf-router", "vllm", "llamacpp", "groq", "mistral", "gemini-compat"])
def test_a_null_for_an_optional_key_is_no_reason_to_refuse(name):
    contract = Contract.load(name)
    assert ask(contract, temperature=None).status == 200


def test_a_null_is_a_violation_all_the_same():
    assert Contract.load("openai").violations({**HELLO, "temperature": None})


def test_an_empty_list_is_taken_where_the_contract_says_so(contract):
    assert ask(contract('[body]\nempty_arrays = "accept"\n'), tools=[]).status == 200
    assert ask(contract('[body]\nempty_arrays = "refuse"\n', "strict"), tools=[]).status == 400


def test_no_provider_takes_an_empty_list_of_messages_for_a_list_of_tools(contract):
    worded = contract('[errors]\nempty_messages = { status = 422, message = "say something" }\n')
    assert ask(worded, messages=[]).status == 422
    assert ask(worded, tools=[]).status == 400


@pytest.mark.parametrize("name", ["hf-router", "together", "nebius", "novita", "ollama-v1", "vllm"])
def test_no_tools_in_a_list_are_no_reason_to_refuse(name):
    assert ask(Contract.load(name), tools=[]).status == 200


def test_rules_are_inherited_only_by_a_contract_that_says_so(contract):
    assert not contract("", "plain").rules
    assert contract("[body]\nrules = true\n", "alike").rules == Contract.load("openai").rules


def test_a_rule_about_a_key_that_the_provider_ignores_is_none(contract):
    assert ask(contract("[body]\nrules = true\n"), parallel_tool_calls=True).status == 400
    deaf = contract('[body]\nrules = true\nignored = ["parallel_tool_calls"]\n', "deaf")
    assert ask(deaf, parallel_tool_calls=True).status == 200


def test_a_rule_about_a_key_that_the_provider_does_not_know_is_none(contract):
    unknowing = contract('[body]\nrules = true\nunknown = "ignore"\nwithout = ["parallel_tool_calls"]\n')
    assert ask(unknowing, parallel_tool_calls=True).status == 200


def test_a_rule_that_excludes_a_key_that_the_provider_ignores_is_none(contract):
    deaf = contract('[body]\nrules = true\nignored = ["max_completion_tokens"]\n')
    assert ask(deaf, max_tokens=5, max_completion_tokens=5).status == 200


def test_a_refusal_may_quote_the_code_of_its_rule():
    script = ask(Contract.load("openai"), max_tokens=5, max_completion_tokens=5)
    assert json.loads(script.body)["error"]["code"] == "invalid_parameter_combination"


LENIENT = ["ollama-v1", "deepseek", "ai21", "cohere-compat", "together", "zai", "perplexity", "tgi", "groq"]


@pytest.mark.parametrize("name", LENIENT)
@pytest.mark.parametrize(
    "more",
    [
        {"stream_options": {"include_usage": True}},
        {"max_tokens": 5, "max_completion_tokens": 5},
        {"parallel_tool_calls": True},
    ],
    ids=["options", "limits", "parallel"],
)
def test_a_provider_does_not_refuse_what_only_the_first_one_does(name, more):
    assert ask(Contract.load(name), **more).status == 200


RULE = """
[[body.rules]]
key = "seed"
when = { required = ["model"], properties = { model = { pattern = "^a-" } } }
message = "no seed for this model"
"""


def test_a_rule_may_hold_for_some_bodies_only(contract):
    rule = contract(RULE)
    assert json.loads(ask(rule, seed=1).body)["error"]["message"] == "no seed for this model"
    assert ask(rule, seed=1, model="b-model").status == 200
    assert ask(rule).status == 200


TURNS = '[body]\nturns = "alternate"\n[errors]\nbroken_turns = { status = 400, message = "take turns" }\n'


@pytest.mark.parametrize(("roles", "status"), [("user user", 400), ("system user assistant user", 200), ("system system user", 200)])
def test_user_and_assistant_take_turns_where_the_contract_says_so(contract, roles, status):
    messages = [{"role": role, "content": "hi"} for role in roles.split()]
    assert ask(contract(TURNS), messages=messages).status == status


def test_a_refusal_may_name_the_key_to_send_instead(contract):
    renamed = contract('[body]\nunsupported = ["seed"]\ninstead = { seed = "random_seed" }\n')
    assert "Use 'random_seed' instead." in json.loads(ask(renamed, seed=1).body)["error"]["message"]
