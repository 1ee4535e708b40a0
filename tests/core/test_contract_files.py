"""How a contract's file is read: what it inherits, merges and removes, and what is said of a bad one."""

from __future__ import annotations

import os

import pytest

from onpaper.contract import Contract
from onpaper.datafile import situations
from onpaper.errors import BadInput

MESSAGE = {"role": "user", "content": "hi"}
HEAD = 'summary = "a provider"\nextends = "openai"\n'
TAIL = '\n[sources]\n"" = { url = "https://example.org", date = 2026-11-20 }\n'


@pytest.fixture
def write(tmp_path):
    def writing(text: str, name: str = "odd", head: str = HEAD, tail: str = TAIL) -> Contract:
        path = tmp_path / f"{name}.toml"
        path.write_text(head + text + tail, "utf-8")
        return Contract.read(path)

    return writing


@pytest.fixture
def refusal(tmp_path, write):
    """What is said of a contract that cannot be read."""

    def refusing(text: str, name: str = "odd", head: str = HEAD) -> str:
        with pytest.raises(BadInput) as caught:
            write(text, name, head)
        said = str(caught.value)
        assert str(tmp_path / f"{name}.toml") in said and "\n" not in said and caught.value.__cause__ is None
        return said

    return refusing


def test_what_a_contract_does_not_say_it_inherits(write):
    odd, openai = write(""), Contract.load("openai")
    assert odd.get("stream.chunk") == openai.get("stream.chunk") and odd.keys == openai.keys
    assert odd.name == "odd" and odd.base is openai and odd.get("summary") == "a provider"


def test_sections_merge_key_by_key(write):
    odd = write('[body.keys]\ntop_k = { type = "integer" }\n[stream]\nspace = false\n')
    assert odd.keys == Contract.load("openai").keys | {"top_k"}
    assert odd.get("stream.space") is False and odd.get("stream.sentinel") is True


def test_a_template_is_replaced_whole(write):
    odd = write('[stream]\nchunk = { only = "{delta}" }\n[reply]\nusage = { total_tokens = "{total}" }\n')
    assert odd.get("stream.chunk") == {"only": "{delta}"} and odd.get("reply.usage") == {
        "total_tokens": "{total}"
    }


def test_an_error_situation_is_replaced_whole(write):
    odd = write("[errors]\nrate_limit = { status = 420 }\n")
    assert odd.get("errors.rate_limit") == {"status": 420} and odd.get("errors.server_error")


def test_a_list_is_replaced_whole(write):
    odd = write('[[body.rules]]\nkey = "n"\nneeds = "seed"\n')
    assert [rule["key"] for rule in odd.get("body.rules")] == ["n"]


def test_false_removes_what_was_inherited(write):
    odd = write("[body.keys]\nlogit_bias = false\n[errors]\nrate_limit = false\n[stream]\nlast = false\n")
    assert "logit_bias" not in odd.keys and odd.get("errors.rate_limit") is None
    (violation,) = odd.violations({"model": "m", "messages": [MESSAGE], "logit_bias": {}})
    assert violation.situation == "unknown_parameter" and violation.param == "logit_bias"


def test_false_is_a_value_where_there_is_no_table_list_or_text(write):
    assert write("metered = false\n[stream]\nsentinel = false\n").get("stream.sentinel") is False


def test_what_a_fact_rests_on_is_its_longest_source(write):
    seed = '"body.keys.seed" = { url = "https://example.org/seed", date = 2026-11-20 }\n'
    odd = write("metered = true\n[body.keys]\nseed = { type = 'integer' }" + TAIL + seed, tail="")
    assert odd.source_of("body.keys.seed")[1]["url"] == "https://example.org/seed"
    assert odd.source_of("metered")[1]["url"] == "https://example.org"
    assert odd.source_of("stream.chunk")[0] == "openai.toml"


def test_a_changed_file_is_read_again(write, tmp_path):
    assert write("metered = true\n").metered
    path = tmp_path / "odd.toml"
    path.write_text(HEAD + "metered = false\n" + TAIL)
    os.utime(path, ns=(1, 1))
    assert not Contract.read(path).metered


def test_facts_are_the_leaves_and_whole_templates(write):
    facts = dict(write("[stream]\nspace = false\n").facts())
    assert facts["stream.space"] is False and facts["stream.chunk"]["choices"] and "stream" not in facts


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        ("metred = true\n", "metred", "metered"),
        ("[stream]\nsentinal = true\n", "sentinal", "sentinel"),
        ("[stream.usage]\nwhn = 'asked'\n", "whn", "when"),
        ("[errors]\nrate_limits = { status = 429 }\n", "rate_limits", "rate_limit"),
        ("[[body.rules]]\nkey = 'n'\nneds = 'seed'\n", "neds", "needs"),
        ("[variants.old]\nmetred = true\n", "metred", "metered"),
        ("[variants.old.stream]\nspce = true\n", "spce", "space"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_and_the_known_ones(refusal, text, key, nearest):
    said = refusal(text)
    assert f"unknown key {key!r}" in said and f"did you mean {nearest!r}?" in said and "Known: " in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("metered = 'yes'\n", "metered: "),
        ("kind = 'gatewy'\n", "kind: "),
        ("[errors.rate_limit]\nstatus = 'many'\n", "errors.rate_limit.status: "),
        ("metered = \n", "this is not TOML"),
        ("metered = true\nmetered = true\n", "this is not TOML"),
        ("[body.keys]\nn = { type = 'nmber' }\n", "body: this is no JSON Schema"),
        ("[body.keys]\nn = { is = 'nothing' }\n", "body: this is no JSON Schema"),
        ("relays = 'nobody'\n", "relays: there is no contract 'nobody'"),
        ("relays = '../odd'\n", "relays: '../odd' cannot be the name of a contract"),
    ],
)
def test_a_malformed_contract_is_one_sentence(refusal, text, words):
    assert words in refusal(text)


@pytest.mark.parametrize(
    ("extends", "words"),
    [
        ("opnai", "extends: there is no contract 'opnai'; did you mean 'openai'?"),
        ("../openai", "extends: '../openai' cannot be the name of a contract"),
        ("odd", "extends 'odd', which extends 'odd' itself"),
        ("groq", "extends 'groq', which extends 'openai' itself; a contract extends one level only"),
    ],
)
def test_a_contract_extends_one_that_there_is_by_one_level(refusal, extends, words):
    assert words in refusal("", head=f'summary = "x"\nextends = "{extends}"\n')


def test_two_contracts_that_extend_each_other_are_refused(write, refusal, tmp_path):
    (tmp_path / "one.toml").write_text('summary = "x"\nextends = "two"\n' + TAIL)
    assert "extends 'one', which extends 'two' itself" in refusal(
        "", "two", 'summary = "x"\nextends = "one"\n'
    )


def test_a_contract_relays_by_one_level(write, refusal):
    write('relays = "openai"\n', "relaying")
    assert "relays 'relaying', which relays 'openai' itself" in refusal('relays = "relaying"\n')


def test_a_contract_beside_it_comes_before_one_of_that_name_elsewhere(write, tmp_path):
    write("metered = false\n", "groq")
    assert write('relays = "groq"\n').relayed.path == tmp_path / "groq.toml"


@pytest.mark.parametrize("date", ['"tomorrow"', "2026-11-20T00:00:00", "3"])
def test_the_date_of_a_source_must_be_one(tmp_path, date):
    (tmp_path / "odd.toml").write_text(f'{HEAD}[sources]\nauth = {{ url = "https://example.org", date = {date} }}\n')
    with pytest.raises(BadInput, match=r"odd\.toml: sources: date of 'auth': '.*' is not a date like 2027-03-01"):
        Contract.read(tmp_path / "odd.toml")


def test_a_key_that_is_left_out_must_be_there(refusal):
    said = refusal('[body]\nwithout = ["logit_bia"]\n')
    assert "body.without: there is no key 'logit_bia' to leave out; did you mean 'logit_bias'?" in said


@pytest.mark.parametrize("head", ["", 'summary = "x"\n', 'summary = "x"\n[endpoint]\nurl = "http://x"\n'])
def test_a_contract_that_extends_none_must_be_whole(refusal, head):
    assert "extends no contract that has one" in refusal("", head=head)


@pytest.mark.parametrize("data", [b"\xff\xfe", 'summary = "é"\n'.encode("latin-1"), b"\x00"])
def test_a_contract_that_is_no_utf_8_text_is_one_sentence(tmp_path, data):
    (tmp_path / "odd.toml").write_bytes(data)
    with pytest.raises(BadInput, match="this is not TOML"):
        Contract.read(tmp_path / "odd.toml")


def test_a_missing_file_and_a_folder_are_one_sentence(tmp_path):
    with pytest.raises(BadInput, match="there is no such contract file"):
        Contract.read(tmp_path / "none.toml")
    with pytest.raises(BadInput, match="cannot be read: Is a directory"):
        Contract.read(tmp_path)


@pytest.mark.parametrize(
    "name", ["nobody", "groq@none", "Groq", "", "../openai", "groq/../openai", ".openai", "a\n"]
)
def test_a_name_that_is_no_contract_s_is_refused(name):
    with pytest.raises(BadInput):
        Contract.load(name)


def test_a_variant_lies_over_its_contract(write):
    odd = write("[variants.old]\nmetered = false\n[variants.old.stream]\nspace = false\n")
    old = odd.variant("old")
    assert (old.name, old.metered, old.get("stream.space"), old.get("stream.sentinel")) == (
        "odd@old",
        False,
        False,
        True,
    )
    assert odd.metered and odd.get("stream.space") is True


def test_a_contract_is_shown_by_its_name(write):
    assert repr(write("")) == "<contract odd>"


def test_the_situations_are_those_that_openai_has_words_for_and_more():
    openai = Contract.load("openai")
    assert {"rate_limit", "unknown_parameter", "server_error"} <= situations()
    assert set(openai.get("errors")) - {"envelope", "content_type", "headers", "types", "allowed"} <= situations()


def test_the_key_goes_out_in_the_form_of_the_contract(write):
    odd = write('[auth]\nheader = "api-key"\nform = "Key {key}"\n')
    assert (odd.auth_header, odd.auth_value("k")) == ("api-key", "Key k")
    assert Contract.load("openai").auth_value("k") == "Bearer k"
