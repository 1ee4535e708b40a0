"""The gateway as a test uses it, on a socket and through respx."""

from __future__ import annotations

import httpx
import pytest
import respx

from onpaper.contract import Contract
from onpaper.errors import BadInput
from onpaper.gateway import Gateway, RespxGateway
from onpaper.script import Script, Write

QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
STREAM = {**QUESTION, "stream": True}


def mock(text: str, **reply: object) -> dict[str, object]:
    return {"about": "A test.", "reply": [{"text": text, **reply}]}


@pytest.fixture(params=["socket", "respx"])
def gateway(request):
    if request.param == "socket":
        with Gateway() as gateway:
            yield gateway
    else:
        with respx.mock(assert_all_called=False) as router:
            yield RespxGateway(router)


def ask(gateway, body=QUESTION) -> httpx.Response:
    return httpx.post(
        f"{gateway.v1}/chat/completions", json=body, headers={"authorization": "Bearer k"}, trust_env=False
    )


def test_both_faces_answer_alike(gateway):
    gateway.play(mock("one two"), provider="groq")
    assert ask(gateway).json()["choices"][0]["message"]["content"] == "one two"
    gateway.check()


def test_both_faces_refuse_alike(gateway):
    assert ask(gateway, {**QUESTION, "no_such_key": 1}).status_code == 400


def test_a_fault_that_fired_passes_the_check(gateway):
    gateway.play(mock("one two", faults=[{"fault": "cut", "at": 1}]))
    with pytest.raises(httpx.RemoteProtocolError):
        ask(gateway, STREAM)
    gateway.check()


def test_a_fault_that_no_request_reached_fails_the_check(gateway):
    gateway.play(mock("one two", faults=[{"fault": "cut", "at": 1}]))
    with pytest.raises(AssertionError, match="the fault cut of mock 'inline' never fired: no request got"):
        gateway.check()
    gateway.check(allow=["cut"])


def test_a_fault_that_finds_nothing_to_act_on_fails_the_check(gateway):
    gateway.play(mock("one two", faults=[{"fault": "cut", "at": 99}]))
    assert ask(gateway, STREAM).status_code == 500
    with pytest.raises(AssertionError, match="the fault cut finds no event 99"):
        gateway.check()


def test_a_request_that_nothing_matches_fails_the_check(gateway):
    gateway.play(mock("x", match={"model": "another"}))
    ask(gateway)
    with pytest.raises(AssertionError, match="another"):
        gateway.check()


def test_what_was_played_before_is_not_checked_again(gateway):
    gateway.play(mock("one two", faults=[{"fault": "cut", "at": 99}]))
    ask(gateway, STREAM)
    gateway.play()
    gateway.check()


def test_a_client_that_leaves_early_keeps_a_fault_from_firing():
    with Gateway() as gateway:
        pacing = {"between": 3600}
        gateway.play(mock("one two three", pacing=pacing, faults=[{"fault": "reset", "at": -1}]))
        request = {"json": STREAM, "headers": {"authorization": "Bearer k"}}
        url = f"{gateway.v1}/chat/completions"
        with httpx.Client(trust_env=False) as client, client.stream("POST", url, **request) as response:
            next(response.iter_raw())
        gateway.journal.wait_for(lambda journal: not journal[-1].running)
        with pytest.raises(
            AssertionError, match="the fault reset did not fire in <POST /v1/chat/completions"
        ):
            gateway.check()
        gateway.check(allow=["reset"])


@pytest.mark.parametrize("bad", [{"mock": "no-such-mock"}, {"provider": "no-such-provider"}])
def test_a_name_that_is_none_is_one_sentence(gateway, bad):
    with pytest.raises(BadInput, match="no-such"):
        gateway.play(**bad)


def test_a_script_or_a_function_can_be_played_in_place_of_a_mock(gateway):
    script = Script(418, writes=(Write(b"tea", fault="teapot"),), transfer="length")
    gateway.play(script)
    with pytest.raises(AssertionError, match="the fault teapot of a script never fired"):
        gateway.check()
    assert ask(gateway).status_code == 418
    gateway.check()
    gateway.play(lambda request: Script(404, writes=(Write(request.path.encode()),), transfer="length"))
    assert ask(gateway).text == "/v1/chat/completions"


def test_the_key_is_not_in_the_message_of_a_failed_check(gateway):
    def answer(request):
        raise LookupError(f"nothing for {request.header('authorization')}")

    gateway.play(answer)
    httpx.post(gateway.v1, headers={"authorization": "Bearer sk-canary"}, trust_env=False)
    with pytest.raises(AssertionError, match=r"LookupError: nothing for \*\*\*"):
        gateway.check()


def test_a_file_can_be_played(gateway, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('about = "A test."\n[[reply]]\ntext = "from a file"\n')
    gateway.play(path, provider=Contract.load("groq"))
    assert ask(gateway).json()["choices"][0]["message"]["content"] == "from a file"


def test_sessions_of_a_gateway_do_not_meet():
    with Gateway() as gateway:
        one = gateway.session("one", {"mock": mock("eins")})
        two = gateway.session("two", {"mock": mock("zwei")})
        for session, text in ((one, "eins"), (two, "zwei")):
            assert ask(session).json()["choices"][0]["message"]["content"] == text
        assert (len(one.journal), len(two.journal), len(gateway.journal)) == (1, 1, 0)
        gateway.play(mock("drei"))
        assert ask(gateway).json()["choices"][0]["message"]["content"] == "drei"


def test_a_fault_that_fired_after_the_journal_was_cleared_passes_the_check(gateway):
    ask(gateway)
    gateway.play(mock("one two", faults=[{"fault": "cut", "at": 1}]))
    gateway.journal.clear()
    with pytest.raises(httpx.RemoteProtocolError):
        ask(gateway, STREAM)
    gateway.check()


def test_a_session_is_found_again_as_it_was():
    with Gateway() as gateway:
        session = gateway.session("one", {"mock": mock("mine")})
        assert gateway.session("one") is session
        said = httpx.post(f"{session.v1}/chat/completions", json=QUESTION, headers={"authorization": "Bearer k"}, trust_env=False)
    assert said.json()["choices"][0]["message"]["content"] == "mine"


def test_a_request_that_a_session_could_not_answer_fails_the_check():
    with Gateway() as gateway:
        session = gateway.session("one", {"mock": mock("mine", match={"model": "other"})})
        httpx.post(f"{session.v1}/chat/completions", json=QUESTION, headers={"authorization": "Bearer k"}, trust_env=False)
        with pytest.raises(AssertionError, match="the nearest one wants model 'other'"):
            gateway.check()
