"""The admin endpoint: scripting and reading the gateway from any language."""

from __future__ import annotations

import json
import re

import httpx
import pytest

from onpaper.exchange import Request
from onpaper.gateway import Gateway, Journal
from onpaper.gateway.admin import Admin
from onpaper.gateway.metrics import exposition
from onpaper.gateway.openapi import description
from onpaper.gateway.operation import OPERATIONS

QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
KEY = {"authorization": "Bearer sk-canary"}


@pytest.fixture
def gateway():
    with Gateway() as gateway:
        admin = Admin(gateway.sessions, lambda: gateway.server.open_connections)
        gateway.server.route = admin.before(gateway.sessions.route)
        yield gateway


@pytest.fixture
def client(gateway):
    with httpx.Client(base_url=gateway.url, trust_env=False) as client:
        yield client


def mock(text: str, **reply: object) -> dict[str, object]:
    return {"about": "A test.", "reply": [{"text": text, **reply}]}


def test_a_session_is_made_scripted_and_read(client):
    made = client.put("/_onpaper/sessions/a", json={"provider": "groq", "mock": mock("gr\u00fc\u00df dich")})
    assert made.status_code == 200, made.text
    reply = client.post(f"{made.json()['v1']}/chat/completions", json=QUESTION, headers=KEY)
    assert reply.json()["choices"][0]["message"]["content"] == "gr\u00fc\u00df dich"
    journal = client.get("/_onpaper/sessions/a/journal").json()
    assert (journal["total"], journal["billable"]) == (1, 1)
    assert json.loads(journal["exchanges"][0]["request"]["body"]["text"]) == QUESTION


def test_the_journal_is_masked(client):
    client.post("/v1/chat/completions", json={**QUESTION, "user": "sk-canary"}, headers=KEY)
    for path in ("journal", "journal.jsonl"):
        shown = client.get(f"/_onpaper/sessions/default/{path}").text
        assert "canary" not in shown
        assert "***" in shown


def test_the_admin_s_own_requests_are_in_no_journal(client, gateway):
    client.get("/_onpaper/health")
    assert len(gateway.journal) == 0


def test_the_journal_can_be_read_piece_by_piece(client):
    for number in range(5):
        client.get(f"/v1/{number}")
    page = client.get("/_onpaper/sessions/default/journal?since=2&limit=2").json()
    assert [row["number"] for row in page["exchanges"]] == [3, 4]
    assert page["exchanges"][0]["request"]["target"] == "/v1/2"


def test_a_journal_can_be_cleared(client):
    client.get("/v1/models")
    assert client.delete("/_onpaper/sessions/default/journal").status_code == 204
    assert client.get("/_onpaper/sessions/default/journal").json()["total"] == 0


def test_fired_and_unfired_faults_are_told(client):
    faults = [{"fault": "cut", "at": 1}]
    client.put("/_onpaper/sessions/default", json={"mock": mock("one two three", faults=faults)})
    with pytest.raises(httpx.RemoteProtocolError):
        client.post("/v1/chat/completions", json={**QUESTION, "stream": True}, headers=KEY)
    session = client.get("/_onpaper/sessions/default").json()
    assert (session["fired"], session["unfired"]) == (["cut"], [])


def test_a_reset_goes_back_to_the_beginning(client):
    client.put("/_onpaper/sessions/a", json={})
    client.put("/_onpaper/sessions/default", json={"mock": mock("changed")})
    assert client.post("/_onpaper/reset").json() == {"sessions": ["default"]}
    reply = client.post("/v1/chat/completions", json=QUESTION, headers=KEY).json()
    assert "changed" not in reply["choices"][0]["message"]["content"]


def test_a_session_can_be_deleted(client):
    client.put("/_onpaper/sessions/a", json={})
    assert client.delete("/_onpaper/sessions/a").status_code == 204
    assert client.get("/_onpaper/sessions/a").status_code == 400


def test_metrics_are_in_the_text_format_of_prometheus(client):
    client.get("/v1/models", headers=KEY)
    response = client.get("/_onpaper/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'onpaper_exchanges_total{session="default",status="200",end="clean"} 1\n' in response.text
    assert "onpaper_open_connections 1\n" in response.text
    for line in response.text.splitlines():
        assert re.fullmatch(r'# (HELP|TYPE) .+|\w+(\{(\w+="[^"]*",?)+\})? [0-9.e+-]+', line), line


def test_the_faults_are_listed(client):
    listed = client.get("/_onpaper/faults").json()
    assert listed["cut"]["parameters"]["at"] == {"type": "a whole number", "required": False, "default": None}


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"{", "the body must be a JSON object"),
        (b"[]", "the body must be a JSON object, found list"),
        (b'{"provder": "groq"}', "unknown key 'provder' in what to play; did you mean 'provider'?"),
        (b'{"provider": 1}', "the key provider in what to play has the wrong type"),
        (b'{"provider": "grok"}', "grok"),
        (b'{"mock": "helo"}', "hello"),
        (b'{"mock": {"about": "x"}}', "reply"),
        (b'{"keys": "k"}', "keys is a list of texts"),
        (b'{"requests_per_minute": 0}', "a quota is at least 1 per minute"),
    ],
)
def test_bad_input_is_one_sentence(client, body, sentence):
    response = client.put("/_onpaper/sessions/a", content=body)
    assert response.status_code == 400
    assert sentence in response.json()["error"]["message"]


@pytest.mark.parametrize("query", ["since=-1", "since=x", "limit=1e3", "limit=" + "9" * 20])
def test_a_bad_number_is_refused(client, query):
    response = client.get(f"/_onpaper/sessions/default/journal?{query}")
    assert response.status_code == 400
    assert "must be a whole number" in response.text


def test_an_unknown_path_names_the_nearest(client):
    response = client.get("/_onpaper/sesions")
    assert response.status_code == 404
    assert "did you mean '/_onpaper/sessions'?" in response.json()["error"]["message"]


def test_a_wrong_method_names_the_right_ones(client):
    response = client.post("/_onpaper/sessions/default/journal")
    assert response.status_code == 405
    assert "is for GET and DELETE" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "evil.example:80@127.0.0.1"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:1"},
        {"sec-fetch-site": "cross-site"},
    ],
)
def test_a_foreign_page_gets_nothing(client, headers):
    for method, path in (("GET", "/_onpaper/sessions/default/journal"), ("POST", "/_onpaper/reset")):
        assert client.request(method, path, headers=headers).status_code == 403


def test_its_own_origin_and_other_loopback_names_are_served(client, gateway):
    assert client.get("/_onpaper/health", headers={"origin": gateway.url}).status_code == 200
    for host in ("localhost", "LOCALHOST:80", "[::1]:8080", "127.0.0.1"):
        assert client.get("/_onpaper/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(("host", "status"), [("127.0.0.1", 200), ("evil.example", 403)])
def test_a_client_that_takes_it_for_a_proxy_is_served_under_its_own_name_only(gateway, host, status):
    with httpx.Client(proxy=gateway.url) as client:
        for told in ({}, {"host": "127.0.0.1"}):
            answer = client.get(f"http://{host}/_onpaper/health", headers=told)
            assert answer.status_code == status


def test_a_container_s_name_can_be_allowed():
    with Gateway() as gateway:
        admin = Admin(gateway.sessions, hosts=frozenset({"gateway"}))
        request = Request("GET", "/_onpaper/health", (("host", "gateway:8080"),))
        assert admin(request).status == 200


def test_the_description_names_every_operation_and_nothing_else(client):
    document = client.get("/_onpaper/openapi.json").json()
    assert document == description(OPERATIONS)
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(operation.method, operation.path) for operation in OPERATIONS}
    assert document["openapi"] == "3.1.0"


def test_every_operation_says_what_it_does_in_one_sentence():
    for operation in OPERATIONS:
        assert operation.summary.endswith("."), operation.name


def test_every_reference_of_the_description_exists():
    document = description(OPERATIONS)
    for name in re.findall(r"#/components/schemas/(\w+)", json.dumps(document)):
        assert name in document["components"]["schemas"]


def test_a_large_count_is_shown_to_the_last_digit():
    journal = Journal()
    journal.counts.body_bytes = 1_234_567
    assert 'onpaper_reply_body_bytes_total{session="default"} 1234567\n' in exposition({"default": journal}, 0)


def test_its_root_lists_all_there_is(client):
    assert client.get("/_onpaper/").json()["GET /_onpaper/health"] == "Whether the gateway is up."
