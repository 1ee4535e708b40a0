"""Independent sessions on one server."""

from __future__ import annotations

import httpx
import pytest

from onpaper.errors import BadInput
from onpaper.exchange import Request
from onpaper.gateway import Journal, closed_by_client
from onpaper.gateway.keys import key_of
from onpaper.gateway.sessions import Sessions
from onpaper.script import Script, Write


def says(text: str):
    return lambda request: Script(writes=(Write(text.encode()),), transfer="length")


@pytest.fixture
def sessions() -> Sessions:
    return Sessions("http://gateway.test", says("default"), Journal())


def answered(sessions: Sessions, request: Request) -> str:
    answer, _, seen = sessions.route(request)
    return answer(seen).body.decode()


def test_a_path_names_the_session_and_is_taken_off(sessions):
    session = sessions.put("one", says("one"))
    assert session.v1 == "http://gateway.test/_session/one/v1"
    answer, journal, request = sessions.route(Request("GET", "/_session/one/v1/models?a=b"))
    assert (answer(request).body, journal, request.target) == (b"one", session.journal, "/v1/models?a=b")


def test_a_header_names_the_session(sessions):
    sessions.put("one", says("one"))
    assert answered(sessions, Request("GET", "/", (("X-Onpaper-Session", "one"),))) == "one"


@pytest.mark.parametrize(
    "header",
    [("Authorization", "Bearer sk-1"), ("api-key", "sk-1"), ("x-api-key", "sk-1"), ("x-bf-vk", "sk-1"),
     ("cf-aig-authorization", "Bearer sk-1")],
)
def test_a_key_names_the_session(sessions, header):
    sessions.put("one", says("one"), keys=["sk-1"])
    assert answered(sessions, Request("GET", "/", (header,))) == "one"
    assert answered(sessions, Request("GET", "/", ((header[0], "sk-2"),))) == "default"


def test_without_any_name_it_is_the_default_session(sessions):
    sessions.put("one", says("one"))
    assert answered(sessions, Request("GET", "/v1/models")) == "default"


def test_an_unknown_session_is_a_404_with_the_nearest(serve, sessions):
    sessions.put("first", says("first"))
    gateway = serve(says("default"))
    gateway.server.route = sessions.route
    response = httpx.get(f"{gateway.url}/_session/frist/v1", trust_env=False)
    assert response.status_code == 404
    assert "did you mean 'first'?" in response.json()["error"]["message"]
    assert "there is no session 'frist'" in sessions.default.journal[0].problem


@pytest.mark.parametrize("name", ["", "A", "../x", "a/b", "-a", "a" * 65, "ä"])
def test_a_name_is_plain(sessions, name):
    with pytest.raises(BadInput, match="a session's name is of a-z"):
        sessions.put(name, says("x"))


def test_a_session_can_get_another_answer_and_keeps_its_journal_and_keys(sessions):
    first = sessions.put("one", says("one"), keys=["sk-1"])
    second = sessions.put("one", says("two"))
    assert first is second
    assert answered(sessions, Request("GET", "/", (("Authorization", "Bearer sk-1"),))) == "two"


def test_a_key_belongs_to_one_session(sessions):
    sessions.put("one", says("one"), keys=["sk-1"])
    with pytest.raises(BadInput, match="belongs to session 'one' already"):
        sessions.put("two", says("two"), keys=["sk-1"])


def test_a_dropped_session_is_gone_with_its_keys(sessions):
    sessions.put("one", says("one"), keys=["sk-1"])
    sessions.drop("one")
    assert answered(sessions, Request("GET", "/", (("Authorization", "Bearer sk-1"),))) == "default"
    with pytest.raises(BadInput, match="there is no session 'one'"):
        sessions["one"]


def test_the_default_session_stays(sessions):
    with pytest.raises(BadInput, match="cannot be deleted"):
        sessions.drop("default")


def test_a_reset_goes_back_to_the_beginning(sessions):
    sessions.put("one", says("one"))
    sessions.put("default", says("changed"))
    sessions.reset()
    assert [session.name for session in sessions] == ["default"]
    assert answered(sessions, Request("GET", "/")) == "default"


def test_sessions_do_not_meet_on_the_wire(serve, connect):
    gateway = serve(says("default"))
    sessions = Sessions(gateway.url, gateway.answer, gateway.journal)
    gateway.server.route = sessions.route
    one, two = sessions.put("one", says("one")), sessions.put("two", says("two"))
    client = connect(gateway)
    for path, said in (("/_session/one/x", b"one"), ("/_session/two/x", b"two"), ("/x", b"default")):
        client.get(path).head()
        assert client.read(len(said)) == said
    assert [len(session.journal) for session in sessions] == [1, 1, 1]
    assert one.journal.connections == two.journal.connections == 1
    client.close()
    one.journal.wait_for(closed_by_client())
    two.journal.wait_for(closed_by_client())


def test_the_key_of_a_request_is_without_its_scheme():
    assert key_of(Request("GET", "/", (("authorization", " Bearer  k "),))) == "k"
    assert key_of(Request("GET", "/", (("authorization", "k"),))) == "k"
    assert key_of(Request("GET", "/")) == ""


def test_the_usual_header_comes_before_a_providers_own():
    both = (("x-litellm-api-key", "Bearer own"), ("authorization", "Bearer usual"))
    assert key_of(Request("GET", "/", both)) == "usual"
    assert key_of(Request("GET", "/", (("idempotency-key", "no-key"), both[0]))) == "own"


def test_a_reset_frees_the_keys_of_the_default_session_too(sessions):
    sessions.put("default", says("x"), keys=["k"])
    sessions.reset()
    sessions.put("one", says("one"), keys=["k"])
    assert answered(sessions, Request("GET", "/", (("api-key", "k"),))) == "one"
