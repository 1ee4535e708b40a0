"""Recordings played to an application under test: the right reply, or the difference to the nearest."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from onpaper.cassettes import Cassette, load, save
from onpaper.cassettes.fixture import (
    CassetteGateway,
    RespxCassette,
    Tape,
    playing,
    through_respx,
)
from onpaper.cassettes.matching import difference, matcher
from onpaper.cassettes.replay import script_of
from onpaper.errors import BadInput
from onpaper.exchange import Chunk, Exchange, Reply, Request

pytest_plugins = ["pytester"]

CASSETTES = Path(__file__).resolve().parents[2] / "cassettes"
STREAM = load(CASSETTES / "vllm" / "stream-usage.yaml").exchanges[0]
TOOLS = load(CASSETTES / "vllm" / "tools.yaml").exchanges[0]
KEY = "sk-test-0123456789abcdef"


@pytest.fixture
def cassette() -> Iterator[CassetteGateway]:
    """Without the check at the end, which is called where it is looked at."""
    with CassetteGateway() as served:
        yield served


def post(url: str, body: Any, path: str = "/chat/completions", **more: Any) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=10) as client:
        return client.post(url + path, json=body, **more)


def recorded(body: Any = None, reply: bytes = b"{}", name: str = "demo/chat") -> Cassette:
    asked = Request("POST", "/v1/chat/completions", (), json.dumps(body or {"model": "m"}).encode())
    kind = (("content-type", "application/json"),)
    return Cassette(name, (Exchange(asked, Reply(200, kind, (Chunk(0.0, reply),)), source=name),))


def test_a_recording_of_the_project_plays_by_its_name(cassette: CassetteGateway) -> None:
    cassette.play("vllm/stream-usage")
    answer = post(cassette.v1, STREAM.request.json())
    assert STREAM.reply and answer.content == STREAM.reply.body
    assert answer.headers["content-type"] == STREAM.reply.header("content-type")
    cassette.check()
    assert [one.request.path for one in cassette.exchanges] == ["/v1/chat/completions"]


def test_a_file_and_a_cassette_play_too(tmp_path: Path, cassette: CassetteGateway) -> None:
    path = save(recorded({"n": 1}), tmp_path / "demo" / "chat.yaml")
    for given in (path, str(path), recorded({"n": 1})):
        cassette.play(given)
        assert post(cassette.v1, {"n": 1}).json() == {}
        cassette.check()


def test_several_cassettes_play_together_and_each_reply_once(cassette: CassetteGateway) -> None:
    first, second = recorded(reply=b'"first"', name="demo/a"), recorded(reply=b'"second"', name="demo/b")
    cassette.play(first, second)
    assert [post(cassette.v1, {"model": "m"}).json() for _ in range(2)] == ["first", "second"]
    cassette.check()
    third = post(cassette.v1, {"model": "m"})
    assert third.status_code == 500 and "was made more often than it was recorded" in third.text
    with pytest.raises(AssertionError, match="play with repeat=True if that is right"):
        cassette.check()


def test_a_reply_that_was_kept_twice_is_played_once(cassette: CassetteGateway) -> None:
    whole, empty = recorded(), recorded(reply=b"")
    cassette.play(Cassette("demo/twice", (*whole.exchanges, *empty.exchanges)))
    assert post(cassette.v1, {"model": "m"}).content == b"{}"
    cassette.check()


def test_a_request_may_be_repeated_when_that_is_said(cassette: CassetteGateway) -> None:
    cassette.play(recorded(reply=b'"first"'), recorded(reply=b'"last"'), repeat=True)
    assert [post(cassette.v1, {"model": "m"}).json() for _ in range(3)] == ["first", "last", "last"]
    cassette.check()


def test_bodies_are_compared_as_json(cassette: CassetteGateway) -> None:
    cassette.play(recorded({"model": "m", "temperature": 1.0, "tools": [{"a": 1, "b": None}]}))
    body = b'{"tools":[{"b":null,"a":1}],\n "temperature":1,"model":"m"}'
    with httpx.Client(trust_env=False) as client:
        assert client.post(cassette.v1 + "/chat/completions", content=body).status_code == 200


@pytest.mark.parametrize(
    ("before", "now"),
    [({"a": 1}, {"a": True}), ({"a": 0}, {"a": False}), ({"a": [1]}, {"a": [1, 2]}), ({"a": None}, {})],
)
def test_bodies_that_differ_are_not_the_same(before: Any, now: Any) -> None:
    one, other = (Request("POST", "/", (), json.dumps(value).encode()) for value in (before, now))
    assert not matcher(["body"])(one, other) and matcher(["body"])(one, one)


def test_what_the_recorder_masked_is_masked_before_it_is_compared() -> None:
    masked = Request("POST", "/", (), b'{"user_id": "REDACTED"}')
    assert matcher(["body"])(masked, Request("POST", "/", (), b'{"user_id": "anna-123"}'))
    assert not matcher(["body"])(masked, Request("POST", "/", (), b'{"other_id": "anna-123"}'))


def test_a_miss_shows_the_difference_to_the_nearest(cassette: CassetteGateway) -> None:
    cassette.play("vllm/tools", "vllm/stream-usage", "vllm/chat")
    asked = STREAM.request.json() | {"temperature": 0.5}
    asked["messages"] = [{"role": "user", "content": "Something else"}]
    answer = post(cassette.v1, asked)
    said = answer.json()["error"]["message"]
    assert answer.status_code == 500
    assert "nothing was recorded for POST /v1/chat/completions; the nearest is vllm/stream-usage:" in said
    assert "--- recorded\n+++ sent\n" in said and '\n+  "temperature": 0.5' in said
    assert '\n+      "content": "Something else",' in said
    with pytest.raises(AssertionError, match="nothing was recorded for POST"):
        cassette.check()


def test_another_path_is_a_miss_unless_only_the_body_counts(cassette: CassetteGateway) -> None:
    cassette.play(recorded())
    assert (
        "-POST /v1/chat/completions\n+POST /v1/v1/chat/completions"
        in post(cassette.v1, {"model": "m"}, "/v1/chat/completions").json()["error"]["message"]
    )
    cassette.play(recorded(), match=["body"])
    assert post(cassette.v1, {"model": "m"}, "/v1/chat/completions").status_code == 200


def test_method_and_path_alone_may_be_matched(cassette: CassetteGateway) -> None:
    cassette.play("vllm/chat", match=["method", "path"])
    assert post(cassette.v1, {"anything": "else"}).status_code == 200
    cassette.check()


def test_the_key_is_not_in_the_message_of_a_miss(cassette: CassetteGateway) -> None:
    cassette.play(recorded())
    answer = post(cassette.v1, {"model": KEY}, headers={"Authorization": f"Bearer {KEY}"})
    assert KEY not in answer.text and "***" in answer.text
    with pytest.raises(AssertionError) as caught:
        cassette.check()
    assert KEY not in str(caught.value)


def test_a_long_difference_is_cut_short() -> None:
    one, other = (Request("POST", "/", (), json.dumps(list(range(n, n + 200))).encode()) for n in (0, 1000))
    assert difference(one, other).endswith(" more lines") and len(difference(one, other).splitlines()) == 61


# ---- chunks and times ----


async def pieces(url: str, body: Any) -> list[bytes]:
    """The reads of a client that keeps up."""
    host, port = httpx.URL(url).host, httpx.URL(url).port
    reader, writer = await asyncio.open_connection(host, port)
    raw = json.dumps(body).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(raw)}\r\n\r\n".encode()
    writer.write(head + raw)
    await reader.readuntil(b"\r\n\r\n")
    found = []
    while size := int((await reader.readline()).strip(), 16):
        found.append(await reader.readexactly(size))
        await reader.readline()
    writer.close()
    return found


@pytest.mark.parametrize(
    ("cut", "sizes"),
    [
        ("recorded", [len(chunk.data) for chunk in STREAM.reply.chunks]),  # type: ignore[union-attr]
        ("whole", [len(STREAM.reply.body)]),  # type: ignore[union-attr]
        ("bytes", [1] * len(STREAM.reply.body)),  # type: ignore[union-attr]
        (1000, None),
        ([3, 7], [3, 4, len(STREAM.reply.body) - 7]),  # type: ignore[union-attr]
    ],
)
async def test_a_reply_comes_in_the_pieces_that_were_asked_for(
    cut: Any, sizes: list[int] | None, cassette: CassetteGateway
) -> None:
    cassette.play("vllm/stream-usage", cut=cut)
    found = await pieces(cassette.v1, STREAM.request.json())
    assert STREAM.reply and b"".join(found) == STREAM.reply.body
    assert [len(one) for one in found] == (
        sizes or [*[1000] * (len(STREAM.reply.body) // 1000), len(found[-1])]
    )


def test_recorded_times_are_kept_scaled_or_left_out() -> None:
    reply = Reply(200, (), (Chunk(0.2, b"ab"), Chunk(0.5, b"cd"), Chunk(1.0, b"ef")))
    exchange = Exchange(Request("POST", "/"), reply)

    def pauses(**more: Any) -> list[float]:
        return [round(write.after, 3) for write in script_of(exchange, **more).writes]

    assert pauses() == [0, 0, 0]
    assert pauses(speed=1) == [0.2, 0.3, 0.5]
    assert pauses(speed=10) == [0.02, 0.03, 0.05]
    assert pauses(speed=1, cut="bytes") == [0.2, 0, 0.3, 0, 0.5, 0]
    assert pauses(speed=1, cut=[3]) == [0.2, 0.3]
    assert pauses(speed=1, cut="whole") == [0.2]


@pytest.mark.parametrize("cut", ["some", 0, -1, ["a"], 1.5])
def test_a_cut_that_is_none_is_explained(cut: Any, cassette: CassetteGateway) -> None:
    with pytest.raises(BadInput, match="a cut is 'recorded', 'whole', 'bytes', a number of bytes or a list"):
        cassette.play("vllm/chat", cut=cut)


# ---- what was not played ----


def test_a_cassette_that_was_never_or_only_partly_played_fails() -> None:
    with (
        pytest.raises(AssertionError, match=r"demo/chat was never played: no request was made"),
        playing() as tape,
    ):
        tape.play(recorded())
    with (
        pytest.raises(AssertionError, match=r"nobody asked for demo/b; play with partly=True"),
        playing() as tape,
    ):
        tape.play(recorded(), recorded({"x": 1}, name="demo/b"))
        post(tape.v1, {"model": "m"})
    with playing() as tape:
        tape.play(recorded(), recorded({"x": 1}, name="demo/b"), partly=True)
        post(tape.v1, {"model": "m"})
    with pytest.raises(AssertionError, match="no cassette was played"), playing():
        pass


def test_the_part_of_a_longer_cassette_is_named_by_its_number() -> None:
    (one,) = recorded().exchanges
    (other,) = recorded({"x": 1}).exchanges
    tape = Tape([Cassette("demo/long", (one, other))])
    tape(one.request)
    assert tape.unplayed == ["number 2 of demo/chat"]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["vllm/chatt"], "there is no cassette 'vllm/chatt'; did you mean 'vllm/chat'?"),
        (["vlm/chat"], "there is no cassette 'vlm/chat'; did you mean 'vllm/chat'?"),
        (["nowhere.yaml"], "nowhere.yaml: cannot be read: No such file or directory"),
        ([], "name a cassette to play"),
    ],
)
def test_a_cassette_that_is_not_there_is_explained(
    names: list[str], sentence: str, cassette: CassetteGateway
) -> None:
    with pytest.raises(BadInput) as caught:
        cassette.play(*names)
    assert str(caught.value).startswith(sentence)


def test_an_unknown_way_of_matching_is_explained(cassette: CassetteGateway) -> None:
    with pytest.raises(BadInput, match="requests cannot be matched on 'paht'; did you mean 'path'"):
        cassette.play("vllm/chat", match=["paht"])


# ---- without a socket ----


def test_httpx_clients_play_cassettes_without_a_socket() -> None:
    fixture = through_respx()
    served = next(fixture)
    assert isinstance(served, RespxCassette)
    served.play("vllm/stream-usage")
    answer = httpx.post(served.v1 + "/chat/completions", json=STREAM.request.json())
    assert STREAM.reply and answer.content == STREAM.reply.body
    served.check()
    assert "nothing was recorded for" in httpx.post(served.v1 + "/chat/completions", json={}).text
    fixture.close()


# ---- in pytest ----

INI = "[pytest]\nasyncio_default_fixture_loop_scope = function\n"
FIXTURES = """
    import pytest
    from onpaper.cassettes.fixture import on_a_socket, through_respx
    cassette = pytest.fixture(on_a_socket)
    respx_cassette = pytest.fixture(through_respx)
"""


def test_the_fixture_fails_a_test_that_left_something_unplayed(pytester: pytest.Pytester) -> None:
    pytester.makeini(INI)
    pytester.makeconftest(FIXTURES)
    pytester.makepyfile(
        """
        import httpx

        def test_good(cassette):
            cassette.play("vllm/models")
            assert httpx.get(cassette.v1 + "/models").status_code == 200

        def test_unplayed(cassette):
            cassette.play("vllm/models")

        def test_other(cassette):
            cassette.play("vllm/models")
            httpx.get(cassette.v1 + "/other")

        def test_without_a_socket(respx_cassette):
            respx_cassette.play("vllm/models")
            assert httpx.get(respx_cassette.v1 + "/models").status_code == 200
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "--no-onpaper")
    result.assert_outcomes(passed=4, errors=2)
    result.stdout.fnmatch_lines(["*vllm/models was never played: no request was made*", "*+GET /v1/other*"])


def test_the_vcr_marker_of_pytest_recording_works_beside_the_plugin(pytester: pytest.Pytester) -> None:
    pytest.importorskip("pytest_recording")
    pytester.makeini(INI)
    pytester.makeconftest(FIXTURES)
    folder = pytester.mkdir("cassettes") / "test_beside"
    folder.mkdir()
    (folder / "test_recorded.yaml").write_bytes((CASSETTES / "vllm" / "models.yaml").read_bytes())
    pytester.makepyfile(
        test_beside="""
        import httpx
        import pytest

        @pytest.mark.vcr
        @pytest.mark.block_network
        def test_recorded(vcr):
            answer = httpx.get("http://host.invalid/v1/models")
            assert answer.json()["data"][0]["id"] == "tiny-scripted" and vcr.all_played

        def test_ours(cassette):
            cassette.play("vllm/models")
            assert httpx.get(cassette.v1 + "/models").json()["data"][0]["id"] == "tiny-scripted"
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "--no-onpaper", "--record-mode=none")
    result.assert_outcomes(passed=2)
