"""Requests out of bytes: the same however they are cut, and whether or not their head came before."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onpaper.gateway.limits import Limits
from onpaper.gateway.reading import MOST_KNOWN_HEADS, Head, Reader

SMALL = Limits(header_bytes=2000, body_bytes=1000)


class Heard:
    """A reader, and all that it said."""

    def __init__(self, known: dict[bytes, Head] | None = None) -> None:
        self.said: list[object] = []
        self.known = {} if known is None else known
        self.reader = Reader(
            SMALL,
            self.known,
            lambda head, body: self.said.append((head, body)),
            lambda: self.said.append("expects"),
            lambda status, sentence: self.said.append(status),
        )

    def feed(self, *pieces: bytes) -> list[object]:
        for piece in pieces:
            self.reader.feed(piece)
        return self.said


def request(body: bytes = b"", *lines: bytes, method: bytes = b"POST") -> bytes:
    head = (method + b" /v1 HTTP/1.1", b"Host: x", b"Content-Length: %d" % len(body), *lines)
    return b"\r\n".join(head) + b"\r\n\r\n" + body


bodies = st.binary(max_size=40)
lines = st.lists(
    st.sampled_from(
        [
            b"A: b",
            b"Expect: 100-continue",
            b"Connection: close",
            b"X:  y ",
            b"Upgrade: h2c",
            b"Connection: Upgrade",
            b"Content-Length: 3",
        ]
    ),
    max_size=2,
)
requests = st.builds(
    lambda body, more, method: request(body, *more, method=method),
    bodies,
    lines,
    st.sampled_from([b"POST", b"GET"]),
)


@given(st.lists(requests, min_size=1, max_size=4), st.lists(st.integers(1, 400), max_size=6))
def test_cuts_do_not_change_what_is_read(sent, cuts):
    whole = b"".join(sent)
    edges = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    pieces = [whole[start:stop] for start, stop in pairwise(edges)]
    assert Heard().feed(*pieces) == Heard().feed(whole)


@given(st.lists(st.tuples(requests, st.integers(0, 30), st.binary(max_size=3)), min_size=1, max_size=6))
def test_a_head_that_came_before_reads_as_if_it_had_not(sent):
    known: dict[bytes, Head] = {}
    for good, _, _ in sent:
        Heard(known).feed(good)
    for good, at, noise in sent:
        for data in (good, good[:at] + noise + good[at:], good + noise, good[: len(good) - at]):
            assert Heard(known).feed(data) == Heard().feed(data)


def test_a_known_head_is_not_parsed_again():
    heard = Heard()
    first, second, third = heard.feed(request(b"one"), request(b"two"), request(b"six"))
    assert first[0] is second[0] is third[0]
    assert [body for _, body in (first, second, third)] == [b"one", b"two", b"six"]


def test_a_known_head_whose_body_is_late_is_parsed():
    heard = Heard()
    data = request(b"hello")
    heard.feed(data, data[:-2], data[-2:])
    assert [body for _, body in heard.said] == [b"hello", b"hello"]


def test_heads_are_remembered_up_to_a_bound():
    heard = Heard()
    for number in range(MOST_KNOWN_HEADS + 10):
        heard.feed(request(b"", b"N: %d" % number))
    assert len(heard.known) <= MOST_KNOWN_HEADS


def test_a_long_head_is_not_remembered():
    heard = Reader(Limits(), known := {}, lambda *_: None, lambda: None, lambda *_: None)
    heard.feed(request(b"", b"Long: " + b"x" * 5000))
    assert known == {}


UPGRADE = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c")


@given(st.lists(st.integers(1, 400), max_size=6))
def test_an_upgrade_is_ignored_and_the_body_read(cuts):
    chunked = b"\r\n".join([b"POST /2 HTTP/1.1", b"Host: x", b"Transfer-Encoding: chunked", *UPGRADE])
    whole = request(b"one", *UPGRADE) + chunked + b"\r\n\r\n3\r\ntwo\r\n0\r\n\r\n" + request(b"three")
    edges = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    said = Heard().feed(*(whole[start:stop] for start, stop in pairwise(edges)))
    assert [body for _, body in said] == [b"one", b"two", b"three"]
    assert [head.target for head, _ in said] == ["/v1", "/2", "/v1"]
    assert dict(said[0][0].headers)["Upgrade"] == "h2c"


def test_an_upgrade_that_waits_for_100_continue_is_told_once():
    data = request(b"hello", b"Expect: 100-continue", *UPGRADE)
    said = Heard().feed(data[:-5], data[-5:])
    assert said[0] == "expects"
    assert [body for _, body in said[1:]] == [b"hello"]


def test_many_upgrades_in_one_piece_are_read():
    assert len(Heard().feed(request(b"", *UPGRADE, method=b"GET") * 2000)) == 2000


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"http://127.0.0.1:8000/v1/models?a=b", "/v1/models?a=b"),
        (b"HTTPS://example.org", "/"),
        (b"http://example.org?a=http://x/y", "/?a=http://x/y"),
        (b"/http://example.org/v1", "/http://example.org/v1"),
        (b"*", "*"),
    ],
)
def test_a_target_in_absolute_form_is_read_as_the_path_in_it(target, path):
    ((head, _),) = Heard().feed(b"OPTIONS " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert head.target == path


def test_the_host_of_an_absolute_target_is_the_one_that_was_asked():
    ((head, _),) = Heard().feed(b"GET http://evil.example:80/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert head.headers == (("Host", "evil.example:80"),)
