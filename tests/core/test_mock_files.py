"""How a mock's file is read, and one sentence for everything wrong in it."""

from __future__ import annotations

import pytest

from onpaper import folders
from onpaper.errors import BadInput
from onpaper.mock import Call, Injection, Match, Mock, Trouble, words


def reply(**members) -> dict:
    return {"about": "x", "reply": [members]}


@pytest.mark.parametrize(
    ("value", "pieces"),
    [
        ("Hello, world!", ("Hello, ", "world!")),
        ("one", ("one",)),
        ("  two  words \n", ("  ", "two  ", "words \n")),
        ("", ()),
        (["Hel", "lo"], ("Hel", "lo")),
        (["", "a"], ("", "a")),
        ([], ()),
        (None, ()),
    ],
)
def test_a_text_is_cut_after_each_word_and_a_list_is_as_given(value, pieces):
    assert words(value) == pieces
    assert "".join(pieces) == (value if isinstance(value, str) else "".join(value or ()))


def test_a_reply_that_says_nothing_counts_and_ends_all_the_same():
    (say,) = Mock.of(reply()).replies
    assert (say.text, say.usage, say.ending, say.match) == (
        (),
        {"prompt": 11, "completion": 7},
        "stop",
        Match(),
    )


def test_a_reply_with_tool_calls_ends_with_them_unless_it_says_otherwise():
    calls = [{"name": "f"}, {"name": "g", "arguments": ["{", "}"], "id": "a"}]
    (say,) = Mock.of(reply(tool_calls=calls)).replies
    assert say.tool_calls == (Call("f", ("{}",)), Call("g", ("{", "}"), "a")) and say.ending == "tool_calls"
    assert Mock.of(reply(tool_calls=calls, finish="length")).replies[0].ending == "length"


@pytest.mark.parametrize(
    ("usage", "counts"),
    [(False, None), ({"prompt": 1}, {"prompt": 1}), (True, {"prompt": 11, "completion": 7})],
)
def test_counts_are_given_left_out_or_usual(usage, counts):
    assert Mock.of(reply(usage=usage)).replies[0].usage == counts


def test_an_error_is_the_whole_answer_or_comes_after_some_pieces():
    whole = Mock.of(reply(error="rate_limit")).replies[0].error
    after = Mock.of(reply(error_after={"message": "m", "pieces": 2})).replies[0].error
    once = Mock.of(reply(error_after="server_error")).replies[0].error
    assert (
        whole == Trouble("rate_limit")
        and after == Trouble(message="m", pieces=2)
        and once == Trouble("server_error", pieces=1)
    )


def test_what_is_injected_is_data_text_or_bytes():
    said = [{"at": 0, "data": "x", "event": "ping"}, {"at": -1, "raw": "é\n"}, {"at": 1, "hex": "0d 0a"}]
    assert Mock.of(reply(inject=said)).replies[0].inject == (
        Injection(0, "x", "ping"),
        Injection(-1, raw="é\n".encode()),
        Injection(1, raw=b"\r\n"),
    )


def test_pacing_and_framing_and_match_are_kept():
    (say,) = Mock.of(
        reply(
            pacing={"head": 1, "first": 2.5, "between": 0},
            framing={"newline": "cr", "comments": ["a"], "fields": [["x", "y"]]},
            match={"model": "m", "stream": True},
        )
    ).replies
    assert (say.head_after, say.first_after, say.between) == (1, 2.5, 0)
    assert say.framing == {"newline": "cr", "comments": ("a",), "fields": (("x", "y"),)}
    assert say.match == Match(model="m", stream=True)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, 'the top level: "about" is a required property'),
        ({"about": "x"}, '"reply" is a required property'),
        ({"about": "x", "reply": []}, "reply: [] has less than 1 item"),
        (
            {"about": "x", "reply": [{}], "replies": []},
            "unknown key 'replies' at the top level; did you mean 'reply'?",
        ),
        ({"about": "x", "reply": [{}], "protocol": "http"}, "protocol: "),
        (reply(txt="a"), "unknown key 'txt' at reply.0; did you mean 'text'?"),
        (reply(match={"modl": "m"}), "unknown key 'modl' at reply.0.match; did you mean 'model'?"),
        (reply(text=7), "reply.0.text: 7 is not of types"),
        (reply(times=0), "reply.0.times: 0 is less than the minimum of 1"),
        (reply(status=99), "reply.0.status: 99 is less than the minimum of 200"),
        (reply(status=600), "reply.0.status: 600 is greater than the maximum of 599"),
        (reply(error={"status": 1000}), "reply.0.error.status: 1000 is greater"),
        (reply(pacing={"first": -1}), "reply.0.pacing.first: -1 is less than the minimum of 0"),
        (reply(framing={"newline": "vt"}), "reply.0.framing.newline: "),
        (reply(headers={"a b": "c"}), "reply.0.headers: "),
        (reply(headers={"a": "b\r\nc: d"}), "reply.0.headers.a: "),
        (reply(headers={"a": "☃"}), "reply.0.headers.a: "),
        (reply(content_type="a\nb"), "reply.0.content_type: "),
        (reply(tool_calls=[{"name": "f", "arguments": {"a": 1}}]), "reply.0.tool_calls.0.arguments: "),
        (
            reply(error="rate_limits"),
            "reply.0.error: 'rate_limits' is no situation that contracts have words for; did you mean",
        ),
        (reply(error_after={"situation": "nothing"}), "reply.0.error_after: 'nothing' is no situation"),
        (
            reply(error="rate_limit", error_after="rate_limit"),
            "reply.0: error is the whole answer and error_after is not",
        ),
        (
            reply(inject=[{"at": 0}]),
            "reply.0.inject.0: one of data, raw and hex says what to inject; found none",
        ),
        (reply(inject=[{"at": 0, "data": "a", "hex": "00"}]), "found data and hex"),
        (reply(inject=[{"at": 0, "hex": "0g"}]), "reply.0.inject.0.hex: '0g' is not hexadecimal"),
        (reply(faults=[{"at": 1}]), 'reply.0.faults.0: "fault" is a required property'),
        ({"about": "x", "reply": [{}, {"txt": "a"}]}, "at reply.1"),
    ],
)
def test_a_malformed_mock_is_one_sentence_that_names_the_place(value, words):
    with pytest.raises(BadInput) as caught:
        Mock.of(value, "odd")
    said = str(caught.value)
    assert said.startswith("odd: ") and words in said and "\n" not in said


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"\xff", "not TOML"), (b"about =", "not TOML"), (b"about = 'x'\nreply = 7\n", "reply: 7 is not")],
)
def test_a_malformed_file_is_named(tmp_path, data, words):
    path = tmp_path / "odd.toml"
    path.write_bytes(data)
    with pytest.raises(BadInput) as caught:
        Mock.read(path)
    assert str(path) in str(caught.value) and words in str(caught.value)


def test_a_missing_mock_is_named_with_the_nearest():
    with pytest.raises(BadInput, match="there is no mock 'helo'; did you mean 'hello'"):
        Mock.load("helo")


@pytest.mark.parametrize("name", folders.names("mocks"))
def test_every_mock_that_comes_with_onpaper_is_read_and_says_what_happens(name):
    mock = Mock.load(name)
    assert mock.name == name and mock.about and mock.replies
