"""No secret survives, in any spelling or place; sizes stay true; what survives is not saved."""

import base64
import gzip
import itertools
import json
import os
import urllib.parse
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onpaper.cassettes import Cassette, CassetteError, save
from onpaper.cassettes.redaction import Redactor, leaks
from onpaper.exchange import Chunk, Exchange, Headers, Reply, Request

# Key-shaped examples are put together here, so that no scanner takes this file for a leak.
KEY = "-".join(["canary", "Zq8/+ü", "4711", "xyz"])
A32 = "a1B2c3D4" * 4


def exchange(
    body: bytes = b"", headers: Headers = (), target: str = "/v1", sizes: tuple[int, ...] = ()
) -> Exchange:
    chunks, at = [], 0
    for size in sizes or (len(body),):
        chunks.append(Chunk(0.0, body[at : at + size]))
        at += size
    return Exchange(Request("POST", target, headers, body), Reply(200, headers, tuple(chunks)))


def redacted(body: bytes, headers: Headers = (), sizes: tuple[int, ...] = ()) -> bytes:
    reply = Redactor([KEY]).exchange(exchange(body, headers, sizes=sizes)).reply
    assert reply
    return reply.body


def spellings() -> dict[str, bytes]:
    raw = KEY.encode()
    return {
        "plain": raw,
        "another case": KEY.replace("canary", "CANARY").encode(),
        "json": json.dumps({"m": f"wrong key {KEY}"}).encode(),
        "json as it is": json.dumps({"m": KEY}, ensure_ascii=False).encode(),
        "json with escaped slashes": json.dumps({"m": KEY}).replace("/", "\\/").encode(),
        "json in json": json.dumps({"m": json.dumps({"key": KEY})}).encode(),
        "json in json in json": json.dumps([json.dumps([json.dumps(KEY)])]).encode(),
        "all characters escaped": "".join(f"\\u{ord(c):04x}" for c in KEY).encode(),
        "url": urllib.parse.quote(KEY, safe="").encode(),
        "url in url": urllib.parse.quote(urllib.parse.quote(KEY, safe=""), safe="").encode(),
        "html": "".join(f"&#{ord(c)};" for c in KEY).encode(),
        "hex": raw.hex().encode(),
        "base64": base64.b64encode(raw),
        "base64 for urls": base64.urlsafe_b64encode(raw),
        "base64 in basic auth": base64.b64encode(b"user:" + raw),
        "base64 with more around": base64.b64encode(b"12" + raw + b"34567"),
        "among bytes": b"\xff\x00" + raw + b"\xfe",
    }


@pytest.mark.parametrize("name", spellings())
def test_the_key_is_found_in_every_spelling(name: str) -> None:
    body = spellings()[name]
    masked = redacted(body)
    assert len(masked) == len(body)
    assert b"REDACTED" in masked
    for size in range(8, 12):  # no piece of the spelling is left but what belongs to its neighbours
        middle = body[len(body) // 2 - size // 2 :][:size]
        assert middle not in masked


@pytest.mark.parametrize("name", spellings())
def test_a_cassette_that_holds_the_key_is_not_written(name: str, tmp_path: Path) -> None:
    cassette = Cassette("a/b", (exchange(spellings()[name]),))
    with pytest.raises(
        CassetteError, match=r"not written, because the request body holds .* a given secret"
    ) as caught:
        save(cassette, tmp_path / "a" / "b.yaml", canaries=[KEY])
    assert KEY not in str(caught.value)
    assert os.listdir(tmp_path) == []


KEY_SHAPES = {
    "openai": f"sk-proj-{A32}",
    "short openai": "sk-12345678",
    "groq": f"gsk_{A32}",
    "hugging face": f"hf_{A32}",
    "xai": f"xai-{A32}",
    "aws": "AKIA" + "ABCDEFGHIJKLMNOP",
    "google": f"AIza{A32}abc",
    "github": f"ghp_{A32}",
    "slack": "xoxb-" + "123456789012-abc",
    "databricks": f"dapi{'0123abcd' * 4}",
    "jwt": ".".join(["eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiIxMjM0In0", "c2lnbmF0dXJl"]),
    "bearer": "Bearer abcdefgh12345678",
    "url credentials": "https://user:hunter22@example.com/",
    "query": "https://example.com/?api_key=hunter2222&x=1",
    "json member": '{"api_key": "hunter2222"}',
    "json member in json": '"{\\"client_secret\\": \\"hunter2222\\"}"',
    "private key": "-----BEGIN RSA PRIVATE KEY-----\nMIIabc123\n-----END",
}
AROUND = {"alone": "{}", "json": '{{"m": "x {} y"}}', "after an escape": '"line\\n{}"', "sse": "data: {}\n\n"}


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("name", KEY_SHAPES)
def test_anything_key_shaped_is_masked_and_otherwise_not_saved(
    name: str, around: str, tmp_path: Path
) -> None:
    body = AROUND[around].format(KEY_SHAPES[name]).encode()
    masked = redacted(body)
    assert len(masked) == len(body) and masked != body
    save(Cassette("a/b", (exchange(masked),)), tmp_path / "b.yaml")
    with pytest.raises(
        CassetteError, match="not written, because the request body holds something shaped like"
    ):
        save(Cassette("a/b", (exchange(body),)), tmp_path / "c.yaml")
    assert os.listdir(tmp_path) == ["b.yaml"]


PRIVATE = {
    "organisation": f"org-{A32}",
    "user": f"user-{A32}",
    "account member": '{"account_id": "12345"}',
    "request id": "req_0123456789abcdef",
    "request id member": '{"request_id": "7b2c"}',
    "loopback": "http://127.0.0.1:8080/v1",
    "localhost": "connect to localhost:4000 failed",
    "loopback of IPv6": "http://[::1]:80/",
    "private network": "upstream 192.168.1.20:8000",
    "path": 'File "/srv/anna/app/x.py", line 3',
    "path after an escape": '"trace\\n/opt/lab/x.py"',
    "file url": "file:///srv/anna/x",
    "windows": "C:\\\\Users\\\\anna\\\\x.py",
    "mail": "contact anna@example.org now",
}


@pytest.mark.parametrize("name", PRIVATE)
def test_what_says_who_or_where_is_masked(name: str) -> None:
    body = PRIVATE[name].encode()
    masked = redacted(body)
    assert len(masked) == len(body) and masked != body
    cassette = Cassette("a/b", (exchange(body),))
    assert list(leaks(cassette, "", private=True)) and not list(leaks(cassette, ""))
    assert not list(leaks(Cassette("a/b", (exchange(masked),)), "", private=True))


@pytest.mark.parametrize("folder", ["home", "root", "tmp", "Users", "var", "mnt", "work"])
def test_a_path_below_any_folder_of_a_person_is_masked(folder: str) -> None:
    path = f"/{folder}/anna/x.py"
    assert redacted(f"no such file: {path}".encode()) == b"no such file: REDACTED" + b"*" * (len(path) - 8)


INNOCENT = [
    b'{"id":"chatcmpl-y0iiLqrcQxvZQ6Zq3sPFBj7N9N23S30F","created":1795199253,"model":"gpt-4o"}',
    b'{"tool_calls":[{"id":"call_abc123abc123abc123abc1","function":{"name":"get_weather"}}]}',
    b'{"error":{"message":"Invalid Bearer authentication in header Authorization"}}',
    b'{"error":{"message":"Incorrect API key provided. See https://platform.openai.com/account/api-keys."}}',
    b'{"logprobs":{"content":[{"token":"secret","logprob":-0.1,"bytes":[115]}]}}',
    b'{"message":"POST /v1/chat/completions failed, and/or /data is missing; 1.10.0.1.2; task-force"}',
    b'{"usage":{"prompt_tokens":12,"completion_tokens_details":null},"system_fingerprint":"fp_44709d6fcb"}',
    b'{"a":"sk-learn","b":"desk-top","url":"https://docs.litellm.ai/docs/routing#fallbacks"}',
]


@pytest.mark.parametrize("body", INNOCENT)
def test_innocent_text_is_left_alone(body: bytes) -> None:
    assert redacted(body) == body


def test_headers_off_the_list_keep_their_names_only() -> None:
    headers: Headers = (
        ("Content-Type", "text/event-stream"),
        ("Set-Cookie", "session=1"),
        ("X-Request-Id", "1"),
        ("openai-organization", "anna"),
        ("Server", f"proxy {KEY}"),
        ("Host", "127.0.0.1:80"),
        ("Authorization", "Basic abc"),
    )
    masked = Redactor([KEY], origin="https://api.example.com").exchange(exchange(headers=headers)).request
    assert [name for name, _ in masked.headers] == [name for name, _ in headers]
    assert [value for _, value in masked.headers[:4]] == [
        "text/event-stream",
        "REDACTED",
        "REDACTED",
        "REDACTED",
    ]
    assert masked.header("server") == "proxy REDACTED" + "*" * (len(KEY.encode()) - 8)
    assert masked.header("host") == "api.example.com"
    assert masked.header("authorization") == "REDACTED"


def test_the_url_is_masked() -> None:
    target = f"/v1/models?key={urllib.parse.quote(KEY)}&user=2"
    masked = Redactor([KEY]).exchange(exchange(target=target)).request.target
    assert masked.startswith("/v1/models?key=REDACTED*") and masked.endswith("&user=2")


def test_a_key_cut_by_chunk_boundaries_is_masked_and_the_sizes_stay() -> None:
    body, sizes = f"data: {KEY}\n\ndata: x\n\n".encode(), (9, 4, 1, 30)
    masked = Redactor([KEY]).exchange(exchange(body, sizes=sizes)).reply
    assert masked and KEY.encode() not in masked.body
    assert [len(chunk.data) for chunk in masked.chunks] == [9, 4, 1, len(body) - 14]


def sse(key: str, *pieces: str, **options: bool) -> bytes:
    events = [{"choices": [{"index": 0, "delta": {key: piece}}]} for piece in pieces]
    return b"".join(b"data: " + json.dumps(event, **options).encode() + b"\n\n" for event in events)


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(0, len(KEY)), max_size=8).map(sorted), ascii=st.booleans())
def test_a_key_that_a_stream_says_in_pieces_is_masked(cuts: list[int], ascii: bool) -> None:
    edges = [0, *cuts, len(KEY)]
    pieces = [KEY[start:end] for start, end in itertools.pairwise(edges)]
    body = sse("content", "your key: ", *pieces, " ok", ensure_ascii=ascii)
    masked = redacted(body)
    assert len(masked) == len(body)
    texts = [json.loads(line[6:])["choices"][0]["delta"]["content"] for line in masked.splitlines() if line]
    assert "".join(texts).replace("REDACTED", "").strip("*") != KEY
    said = "".join(texts).removeprefix("your key: ").removesuffix(" ok")
    assert not set(said.replace("REDACTED", "")) - set("*")


def test_a_cassette_whose_stream_says_a_key_in_pieces_is_not_written(tmp_path: Path) -> None:
    cassette = Cassette("a/b", (exchange(sse("content", "sk-12", "3456", "7890", "1")),))
    with pytest.raises(CassetteError, match="the request body holds something shaped like a key"):
        save(cassette, tmp_path / "b.yaml")
    assert os.listdir(tmp_path) == []


def compressed(coding: str, body: bytes) -> bytes:
    raw = zlib.compressobj(wbits=-15)
    return {
        "gzip": gzip.compress(body, mtime=0),
        "deflate": zlib.compress(body),
        "raw deflate": raw.compress(body) + raw.flush(),
    }[coding]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "raw deflate"])
def test_a_key_in_a_compressed_body_stops_the_recording_and_the_saving(coding: str, tmp_path: Path) -> None:
    headers = (("Content-Encoding", coding.split()[-1]),)
    for body, fine in ((b"hello", True), (f"echo {KEY}".encode(), False)):
        given = exchange(compressed(coding, body), headers)
        if fine:
            assert redacted(compressed(coding, body), headers) == compressed(coding, body)
            save(Cassette("a/b", (given,)), tmp_path / "fine.yaml", canaries=[KEY])
            continue
        with pytest.raises(
            CassetteError, match=r"body that is compressed holds .* 'Accept-Encoding: identity'"
        ):
            redacted(compressed(coding, body), headers)
        with pytest.raises(
            CassetteError, match=r"body, once decoded, holds something shaped like a given secret"
        ):
            save(Cassette("a/b", (given,)), tmp_path / "b.yaml", canaries=[KEY])
    assert os.listdir(tmp_path) == ["fine.yaml"]


def test_a_body_that_was_decoded_by_its_recorder_is_searched_as_it_is() -> None:
    body = b'{"note": "' + KEY.encode() + b'"}'
    kept = Cassette("a/b", (exchange(body, (("content-encoding", "br"),)),))
    assert any("given secret" in leak for leak in leaks(kept, "", [KEY]))
    assert list(leaks(Cassette("a/b", (exchange(b'{"note": ""}', (("content-encoding", "br"),)),)), "", [KEY])) == []


@pytest.mark.parametrize("named", [(), (("content-encoding", "MASKED"),)], ids=["left out", "masked"])
def test_a_body_in_gzip_is_searched_whatever_its_header_says(named: Headers) -> None:
    kept = Cassette("a/b", (exchange(gzip.compress(KEY.encode()), named),))
    assert any("once decoded" in leak for leak in leaks(kept, "", [KEY]))


def test_the_name_of_a_format_in_every_chunk_is_no_key() -> None:
    body = b'data: {"format":"xai-responses-v1"}\n\n' * 40
    assert redacted(body, ()) == body
    assert list(leaks(Cassette("a/b", (exchange(body, ()),)), "")) == []
    assert redacted(b'{"note":"xai-' + b"a1B2" * 8 + b'"}', ()).count(b"a1B2") == 0


def test_a_body_in_a_coding_that_cannot_be_searched_is_refused(tmp_path: Path) -> None:
    cassette = Cassette("a/b", (exchange(b"?", (("content-encoding", "br"),)),))
    with pytest.raises(CassetteError, match="compressed with 'br' and cannot be searched"):
        save(cassette, tmp_path / "b.yaml")
    assert os.listdir(tmp_path) == []


def test_a_placeholder_key_is_not_hunted() -> None:
    assert (
        Redactor(["none"]).exchange(exchange(b'{"tool_choice":"none"}')).request.body
        == b'{"tool_choice":"none"}'
    )


def test_a_masked_exchange_is_masked_again_to_itself() -> None:
    once = Redactor([KEY]).exchange(
        exchange("\n".join([*KEY_SHAPES.values(), *PRIVATE.values(), KEY]).encode())
    )
    assert Redactor([KEY]).exchange(once) == once


@pytest.mark.parametrize(
    "hostile", [b"\\" * 200_000, b'"' * 200_000, b"a" * 200_000, b"eyJ-" * 50_000, b"&a=" * 60_000]
)
def test_hostile_bodies_take_linear_time(hostile: bytes) -> None:
    assert len(redacted(hostile)) == len(hostile)


def test_a_key_in_a_later_member_of_a_gzip_body_is_found():
    body = gzip.compress(b"nothing here") + gzip.compress(KEY.encode())
    kept = Cassette("x/y", (exchange(body, (("content-encoding", "gzip"),)),))
    assert [leak for leak in leaks(kept, "", [KEY]) if "once decoded" in leak]
