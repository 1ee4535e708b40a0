"""Recordings of other tools are read as what they hold: the same exchange, however it is called."""

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from onpaper.cassettes import CassetteError, load
from onpaper.cassettes.foreign import in_vcrpy_words, trace_of
from onpaper.exchange import Exchange

URL = "https://llm.example/v1/chat/completions"
ASKED = '{"model":"m","messages":[]}'
TOLD = '{"choices":[],"note":"😀 \u2028"}'
SENT, GOT = {"Content-Type": "application/json"}, {"Content-Type": "application/json", "X-Id": "7"}
PACKED = gzip.compress(TOLD.encode(), mtime=0)


def lists(headers: dict[str, str]) -> dict[str, list[str]]:
    return {name: [value] for name, value in headers.items()}


def named(headers: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in headers.items()]


def har(content: dict[str, Any], **more: str) -> dict[str, Any]:
    request = {"method": "POST", "url": URL, "headers": named(SENT), "postData": {"mimeType": "?", "text": ASKED}}
    response = {"status": 200, "statusText": "OK", "headers": named({":status": "200", **GOT, **more}), "content": content}
    return {"log": {"version": "1.2", "entries": [{"request": request, "response": response}]}}


def nock(response: Any, **more: str) -> list[dict[str, Any]]:
    flat = [part for pair in {**GOT, **more}.items() for part in pair]
    said = {"scope": "https://llm.example", "method": "POST", "path": "/v1/chat/completions", "body": json.loads(ASKED)}
    return [{**said, "reqheaders": SENT, "status": 200, "response": response, "rawHeaders": flat}]


RUBY = {
    "method": "post",
    "uri": URL,
    "body": {"encoding": "UTF-8", "string": ASKED},
    "headers": lists(SENT),
}
TOOLS: dict[str, Any] = {
    "vcr-ruby": {
        "http_interactions": [
            {
                "request": RUBY,
                "response": {
                    "status": {"code": 200, "message": "OK"},
                    "headers": lists(GOT),
                    "body": {"encoding": "UTF-8", "string": TOLD},
                },
            }
        ],
        "recorded_with": "VCR 6",
    },
    "vcr-r": {
        "http_interactions": [
            {
                "request": {**RUBY, "method": "POST", "body": {"string": ASKED}},
                "response": {
                    "status": 200,
                    "headers": GOT,
                    "body": {"base64_string": base64.b64encode(TOLD.encode()).decode()},
                },
            }
        ],
        "recorded_with": "VCR-vcr",
    },
    "go-vcr": {
        "version": 2,
        "interactions": [
            {
                "id": 0,
                "request": {"method": "POST", "url": URL, "body": ASKED, "headers": lists(SENT), "form": {}},
                "response": {"body": TOLD, "headers": lists(GOT), "status": "200 OK", "code": 200, "duration": "1s"},
            }
        ],
    },
    "har": har({"mimeType": "application/json", "text": TOLD}),
    "har-base64": har({"encoding": "base64", "text": base64.b64encode(TOLD.encode()).decode()}),
    "nock": nock(json.loads(TOLD)),
    "nock-text": nock(TOLD),
    "exvcr": [
        {
            "request": {"body": "", "request_body": ASKED, "headers": SENT, "method": "post", "options": [], "url": URL},
            "response": {"binary": False, "body": TOLD, "headers": GOT, "status_code": 200, "type": "ok"},
        }
    ],
    "php-vcr": [
        {
            "request": {"method": "POST", "url": URL, "headers": SENT, "body": ASKED},
            "response": {"status": {"http_version": "1.1", "code": "200", "message": "OK"}, "headers": GOT, "body": TOLD},
        }
    ],
    "wiremock": {
        "request": {"method": "POST", "url": "/v1/chat/completions", "bodyPatterns": [{"equalToJson": ASKED}]},
        "response": {"status": 200, "headers": GOT, "base64Body": base64.b64encode(TOLD.encode()).decode()},
    },
    "httpmock": {
        "when": {"path": "/v1/chat/completions", "method": "POST", "query_param": [], "header": named(SENT), "body": ASKED},
        "then": {"status": 200, "header": named(GOT), "body": TOLD},
    },
    "one-exchange": {
        "request": {"method": "POST", "url": URL, "headers": SENT, "body": ASKED},
        "response": {"status": {"code": 200, "message": "OK"}, "headers": GOT, "body": TOLD},
    },
    "tapes": {
        "5f": {
            "url": URL,
            "init": {"headers": SENT, "method": "POST", "body": ASKED},
            "response": {"body": TOLD, "status": 200, "statusText": "OK", "headers": GOT},
        }
    },
    "test-proxy": {
        "Entries": [
            {
                "RequestUri": URL,
                "RequestMethod": "POST",
                "RequestHeaders": SENT,
                "RequestBody": json.loads(ASKED),
                "StatusCode": 200,
                "ResponseHeaders": GOT,
                "ResponseBody": json.loads(TOLD),
            }
        ],
        "Variables": {},
    },
    "two-lists": {
        "requests": [{"method": "POST", "uri": URL, "body": ASKED, "headers": lists(SENT)}],
        "responses": [{"status": {"code": 200, "message": "OK"}, "headers": lists(GOT), "body": {"string": TOLD}}],
    },
    "recordings": {
        "meta": {},
        "recordings": [
            {
                "request": {"url": URL, "method": "POST", "body": json.loads(ASKED)},
                "response": {"status": 200, "statusText": "OK", "headers": GOT, "body": json.loads(TOLD)},
            }
        ],
    },
}


def put(folder: Path, data: bytes, name: str = "llm/one.json") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def only(folder: Path, value: Any) -> Exchange:
    (exchange,) = load(put(folder, value if isinstance(value, bytes) else json.dumps(value).encode())).exchanges
    assert exchange.reply is not None
    return exchange


@pytest.mark.parametrize("tool", TOOLS)
def test_an_exchange_is_the_same_whoever_recorded_it(tmp_path: Path, tool: str) -> None:
    exchange = only(tmp_path, TOOLS[tool])
    request, reply = exchange.request, exchange.reply
    assert reply is not None
    assert (request.method, request.path, request.json()) == ("POST", "/v1/chat/completions", json.loads(ASKED))
    assert (reply.status, json.loads(reply.body)) == (200, json.loads(TOLD))
    assert reply.header("content-type") == "application/json" and reply.header("x-id") == "7"
    assert tool in ("wiremock", "recordings") or request.header("content-type") == "application/json"


def test_a_cassette_of_vcrpy_is_left_as_it_is() -> None:
    own = {"interactions": [{"request": {"uri": URL}, "response": {}}], "version": 1}
    assert in_vcrpy_words(own) is own


@pytest.mark.parametrize("value", [None, [], {}, {"a": 1}, [1], {"log": 1}, {"recordings": []}, {"http_interactions": [1]}, {"requests": [], "responses": [1]}, "text"])
def test_whatever_holds_no_exchange_is_one_sentence(tmp_path: Path, value: Any) -> None:
    with pytest.raises(CassetteError, match=r"one\.json: (is not a cassette|is empty)"):
        load(put(tmp_path, json.dumps(value).encode()))


@pytest.mark.parametrize(
    "value",
    [
        nock([PACKED[:9].hex(), PACKED[9:].hex()], **{"Content-Encoding": "gzip"}),
        har({"encoding": "base64", "text": json.dumps([base64.b64encode(one).decode() for one in (PACKED[:9], PACKED[9:])])}),
    ],
    ids=["nock", "pollyjs"],
)
def test_a_compressed_body_is_put_together_byte_for_byte(tmp_path: Path, value: Any) -> None:
    reply = only(tmp_path, value).reply
    assert reply is not None and reply.body == PACKED


def test_the_bytes_that_ruby_writes_are_read(tmp_path: Path) -> None:
    body = base64.b64encode(PACKED).decode()
    text = (
        "---\nhttp_interactions:\n- request:\n    method: post\n    uri: <BASE>/chat/completions\n    body:\n"
        f"      string: '{ASKED}'\n  response:\n    status:\n      code: 200\n    headers: {{}}\n    body:\n"
        f"      encoding: ASCII-8BIT\n      string: !binary |-\n        {body}\nrecorded_with: VCR 6\n"
    )
    cassette = load(put(tmp_path, text.encode(), "llm/one.yml"))
    (exchange,) = cassette.exchanges
    assert (cassette.origin, exchange.request.target) == ("<BASE>", "/chat/completions")
    assert exchange.reply is not None and exchange.reply.body == PACKED


def test_chunks_keep_their_bounds_and_times(tmp_path: Path) -> None:
    response = {"status": 200, "headers": {}, "chunks": ["data: é", "\n\n"], "chunkTimings": [5, 20]}
    value = {"recordings": [{"request": {"url": URL, "method": "POST"}, "response": response}]}
    reply = only(tmp_path, value).reply
    assert reply is not None
    assert [(one.at, one.data) for one in reply.chunks] == [(0.005, "data: é".encode()), (0.025, b"\n\n")]


def test_several_documents_of_one_file_are_several_exchanges(tmp_path: Path) -> None:
    rule = "when:\n  path: /v1/{}\n  method: POST\n  query_param:\n  - name: a\n    value: b\n  body: null\nthen:\n  status: 200\n"
    first, second = load(put(tmp_path, (rule.format("x") + "---\n" + rule.format("y")).encode(), "llm/one.yaml")).exchanges
    assert (first.request.target, second.request.target) == ("/v1/x?a=b", "/v1/y?a=b")


def test_the_lines_of_a_text_are_joined(tmp_path: Path) -> None:
    entry = {"RequestUri": URL, "RequestMethod": "POST", "StatusCode": 200, "ResponseBody": ["data: a\n\n", "data: b\n\n"]}
    reply = only(tmp_path, {"Entries": [entry]}).reply
    assert reply is not None and reply.body == b"data: a\n\ndata: b\n\n"


def test_a_reply_that_lies_in_another_file_is_left_out(tmp_path: Path) -> None:
    elsewhere = {"request": {"method": "POST", "url": "/a"}, "response": {"status": 200, "bodyFileName": "a.json"}}
    assert only(tmp_path, {"mappings": [elsewhere, TOOLS["wiremock"]]}).request.path == "/v1/chat/completions"
    with pytest.raises(CassetteError, match="is not a cassette"):
        load(put(tmp_path, json.dumps(elsewhere).encode()))


def test_a_file_in_gzip_is_read_as_what_is_in_it(tmp_path: Path) -> None:
    packed = gzip.compress(json.dumps(TOOLS["go-vcr"]).encode())
    assert only(tmp_path, packed).request == only(tmp_path, TOOLS["go-vcr"]).request


def trace(end: str, *bodies: str) -> bytes:
    found = b"httprr trace v1\n"
    for body in bodies:
        asked = f"POST {URL} HTTP/1.1{end}Content-Type: application/json{end}{end}{ASKED}".encode()
        told = f"HTTP/2.0 200 OK{end}X-Id: 7{end}{end}{body}".encode()
        found += b"%d %d\n" % (len(asked), len(told)) + asked + told
    return found


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_trace_holds_messages_as_they_were_sent(tmp_path: Path, end: str) -> None:
    first, second = load(put(tmp_path, trace(end, TOLD, "data: a\n\ndata: b\n\n"), "llm/one.httprr")).exchanges
    assert first.request.target == "/v1/chat/completions" and first.request.body == ASKED.encode()
    assert first.reply is not None and second.reply is not None
    assert (first.reply.status, first.reply.header("x-id"), first.reply.body) == (200, "7", TOLD.encode())
    assert second.reply.body == b"data: a\n\ndata: b\n\n"


@pytest.mark.parametrize("data", [b"", b"httprr trace v2\n", trace("\n", TOLD)[:-1], trace("\n", TOLD) + b"x"])
def test_a_trace_that_is_cut_is_none(data: bytes) -> None:
    assert trace_of(data) is None
