"""A cassette keeps an exchange byte for byte; others' load; what is wrong is said in one sentence."""

import gzip
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from onpaper.cassettes import Cassette, CassetteError, Provenance, load
from onpaper.cassettes.format import from_document, to_document
from onpaper.cassettes.yamltext import read, write
from onpaper.exchange import Chunk, End, Exchange, Reply, Request

ODD_BYTES = st.lists(
    st.sampled_from(
        [b"\x85", b"\xc2\x85", b"\xe2\x80\xa8", b"\r", b"\r\n", b"\n", b" ", b"\0", b"\xff", b"\xef\xbb\xbf"]
    )
    | st.sampled_from([gzip.compress(b"x", mtime=0), b"data: {}\n\n", "日".encode(), b"\xf0\x9f", b"\t"])
    | st.binary(max_size=8),
    max_size=10,
).map(b"".join)
TOKENS = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,12}", fullmatch=True)
# Field values as HTTP has them (RFC 9110 §5.5), each name once so that their order is kept.
HEADERS = st.dictionaries(TOKENS, st.text("abc 0123:;=,\"'\\#-~|>é", max_size=20)).map(
    lambda d: tuple(d.items())
)


@st.composite
def replies(draw: st.DrawFn) -> Reply:
    times = sorted(draw(st.lists(st.integers(0, 100_000), max_size=6)))
    chunks = tuple(Chunk(time / 10_000, draw(ODD_BYTES)) for time in times)
    end: End = draw(st.sampled_from(["clean", "cut", "reset", "timeout"]))
    return Reply(
        draw(st.integers(100, 599)), draw(HEADERS), chunks, end, draw(st.sampled_from(["OK", "", "1e3"]))
    )


@settings(max_examples=200, deadline=None)
@given(
    body=ODD_BYTES, headers=HEADERS, reply=replies(), target=st.sampled_from(["/v1/x", "/v1/x?a=%20b#c", "/"])
)
@example(body=b"", headers=(), reply=Reply(200, (), (Chunk(0.0, b"data: x\n\n" * 120_000),)), target="/")
def test_an_exchange_is_kept_byte_for_byte(body: bytes, headers: Any, reply: Reply, target: str) -> None:
    exchange = Exchange(Request("POST", target, headers, body), reply)
    text = write(to_document(Cassette("a/b", (exchange,))))
    (again,) = from_document(read(text), "a/b", "a/b.yaml").exchanges
    assert (again.request, again.reply) == (exchange.request, exchange.reply)


def test_a_header_sent_twice_keeps_both_values() -> None:
    headers = (("Set-Cookie", "a"), ("Vary", "b"), ("Set-Cookie", "c"))
    document = to_document(Cassette("a/b", (Exchange(Request("GET", "/"), Reply(200, headers)),)))
    (again,) = from_document(document, "a/b", "a/b.yaml").exchanges
    assert again.reply and [v for n, v in again.reply.headers if n == "Set-Cookie"] == ["a", "c"]


def test_the_provenance_is_kept_and_an_empty_field_is_not_written() -> None:
    provenance = Provenance(contract="groq", case="chat", recorded="2026-11-20", setup="x: y", provoked=True)
    document = to_document(Cassette("a/b", (Exchange(Request("GET", "/"), Reply(200)),), provenance))
    assert list(document["onpaper"]) == ["contract", "case", "recorded", "set-up", "provoked"]
    again = from_document(read(write(document)), "a/b", "a/b.yaml")
    assert again.provenance == provenance
    assert (again.contract, again.case, again.provoked) == ("groq", "chat", True)
    assert again.exchanges[0].provoked and again.exchanges[0].redacted and again.exchanges[0].source == "a/b"


def test_an_exchange_without_reply_cannot_be_written() -> None:
    with pytest.raises(CassetteError, match=r"a/b: GET / got no reply"):
        to_document(Cassette("a/b", (Exchange(Request("GET", "/")),)))


def interaction(**response: Any) -> dict[str, Any]:
    given = {
        "status": {"code": 200, "message": "OK"},
        "headers": {"a": ["b"]},
        "body": {"string": "hi"},
        **response,
    }
    return {"request": {"method": "GET", "uri": "https://api.example.com/v1?x=y"}, "response": given}


def foreign(**response: Any) -> Cassette:
    return from_document({"interactions": [interaction(**response)], "version": 1}, "other/name", "name.yaml")


def test_a_cassette_of_stock_vcrpy_loads_as_one_chunk() -> None:
    cassette = foreign()
    (exchange,) = cassette.exchanges
    assert exchange.request == Request("GET", "/v1?x=y")
    assert exchange.reply == Reply(200, (("a", "b"),), (Chunk(0.0, b"hi"),), "clean", "OK")
    assert (cassette.contract, cassette.case, cassette.origin) == ("other", "name", "https://api.example.com")
    assert cassette.provenance is None and not cassette.provoked and exchange.redacted


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"string": b"\xff"}, b"\xff"),
        ({"string": None}, b""),
        (None, b""),
        ("bare", b"bare"),
        ({"encoding": "utf-8", "string": "é"}, "é".encode()),
        ({"base64_string": "aGVs\nbG8="}, b"hello"),
    ],
)
def test_every_form_of_a_body_loads(body: Any, expected: bytes) -> None:
    reply = foreign(body=body).exchanges[0].reply
    assert reply and reply.body == expected


def test_a_reply_of_httpx_as_vcrpy_wrote_it_before_version_6_loads() -> None:
    old = {"status_code": 201, "http_version": "HTTP/1.1", "headers": {"a": "b"}, "content": "hi"}
    document = {"interactions": [{"request": {"method": "GET", "uri": "http://h/"}, "response": old}]}
    reply = from_document(document, "a/b", "b.yaml").exchanges[0].reply
    assert reply == Reply(201, (("a", "b"),), (Chunk(0.0, b"hi"),))


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (None, "is not a cassette"),
        ([], "is not a cassette"),
        ({"http_interactions": []}, "is not a cassette"),
        ({"interactions": []}, "is empty"),
        ({"interactions": ["x"]}, r"interactions\[0\] must have a mapping 'request'"),
        ({"interactions": [{"request": {}}]}, r"interactions\[0\] must have a mapping 'response'"),
        (
            {"interactions": [{"request": {"uri": "/x"}, "response": {}}]},
            r"request\.uri must be an absolute URL",
        ),
        ({"interactions": [interaction(status=200)]}, r"response\.status must be a mapping"),
        (
            {"interactions": [interaction(status={"code": "ok"})]},
            r"status\.code must be a whole number, found 'ok'",
        ),
        ({"interactions": [interaction(headers=[])]}, r"response\.headers must be a mapping"),
        ({"interactions": [interaction(body={"string": 1})]}, r"body\.string must be text"),
        ({"interactions": [interaction(body={"base64_string": "?"})]}, "must be base64"),
        ({"interactions": [interaction(body={})]}, "must have 'string'"),
        ({"interactions": [interaction(stream=[])]}, r"stream must be a mapping"),
        (
            {"interactions": [interaction(stream={"end": "gone", "chunks": [[0, 2]]})]},
            "end must be one of clean, cut",
        ),
        ({"interactions": [interaction(stream={"chunks": [[0, -2]]})]}, r"list of \[milliseconds, bytes\]"),
        ({"interactions": [interaction(stream={"chunks": [[0, True]]})]}, r"list of \[milliseconds, bytes\]"),
        (
            {"interactions": [interaction(stream={"chunks": [[0, 3]]})]},
            "must add up to the 2 bytes of the body",
        ),
        ({"interactions": [interaction()], "onpaper": []}, "onpaper must be a mapping"),
        (
            {"interactions": [interaction()], "onpaper": {"servr": "x"}},
            "servr is not a known key; did you mean 'server'",
        ),
        ({"interactions": [interaction()], "onpaper": {"provoked": "no"}}, "provoked must be true or false"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(document: Any, sentence: str) -> None:
    with pytest.raises(CassetteError, match=sentence) as caught:
        from_document(document, "a/b", "folder/b.yaml")
    assert str(caught.value).startswith("folder/b.yaml: ")
    assert "\n" not in str(caught.value)


def test_a_tag_in_a_file_is_refused_with_the_file_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "evil.yaml"
    path.write_text("interactions: !!python/object/apply:os.system [true]\n")
    with pytest.raises(CassetteError, match=re.escape(str(path)) + ": holds the YAML tag .*; take that out"):
        load(path)


def test_a_missing_file_and_one_that_is_not_utf8_are_named(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    for name, sentence in (("none.yaml", "cannot be read: No such file"), ("latin.yaml", "is not UTF-8")):
        with pytest.raises(CassetteError, match=f"{name}: {sentence}"):
            load(tmp_path / name)


def test_another_readers_plain_view_has_the_bodies_as_text() -> None:
    exchange = Exchange(
        Request("POST", "/v1", (), b'{"a": 1}'), Reply(200, (), (Chunk(0.0, "é\n\n".encode()),))
    )
    document = yaml.load(write(to_document(Cassette("a/b", (exchange,)))), Loader=yaml.SafeLoader)
    assert document["version"] == 1
    assert document["interactions"][0]["request"]["body"] == '{"a": 1}'
    assert document["interactions"][0]["response"]["body"]["string"] == "é\n\n"
