"""The decoder's memory is bounded and its work is linear, however the bytes are cut."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterable

import pytest

from onpaper.wire import ndjson, sse

LIMIT = 100


def pieces(stream: bytes, size: int) -> Iterable[bytes]:
    return (stream[at : at + size] for at in range(0, len(stream), size))


def too_long(stream: bytes, size: int) -> bool:
    decoder = sse.Decoder(LIMIT)
    try:
        for piece in pieces(stream, size):
            decoder.feed(piece)
    except sse.EventTooLong as error:
        assert str(LIMIT) in str(error)
        return True
    return False


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize(
    ("stream", "refused"),
    [
        (b"data: " + b"x" * 94 + b"\n\n", False),
        (b"data: " + b"x" * 95 + b"\n\n", True),
        (b"data:" + b"x" * 96 + b"\n\n", True),
        (b"data: 12345678\n" * 7 + b"\n", False),
        (b"data: 12345678\n" * 8 + b"\n", True),
        (b"data: 12345678\n" * 7 + b": a comment\n\n", True),
        ((b"data: 12345678\n" * 7 + b"\n") * 50, False),
        (b": ping\n" * 500, False),
        (b":" + b"x" * 200, True),
        (b"event: " + b"x" * 200, True),
        (b"id: 1\n" * 100 + b"data: x\n\n", False),
    ],
)
def test_an_event_longer_than_the_limit_is_refused_in_the_same_way_however_it_is_cut(stream, size, refused):
    assert too_long(stream, size) is refused


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_line_of_json_longer_than_the_limit_is_refused(size):
    decoder = ndjson.Decoder(LIMIT)
    assert [line for piece in pieces(b"x" * LIMIT + b"\n", size) for line in decoder.feed(piece)] == [
        "x" * LIMIT
    ]
    with pytest.raises(ValueError, match="longer than 100 bytes"):
        for piece in pieces(b"x" * (LIMIT + 1) + b"\n", size):
            decoder.feed(piece)


def work(feed: Callable[[bytes], object], stream: bytes, size: int) -> int:
    """The bytes that are allocated while a stream is fed: the same on any machine."""
    total = 0
    tracemalloc.start()
    try:
        for piece in pieces(stream, size):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            feed(piece)
            total += tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    return total


STREAMS = {
    "one long line": lambda n: b"data: " + b"x" * n + b"\n\n",
    "many data lines in one event": lambda n: b"data: x\n" * (n // 8) + b"\n",
    "many events": lambda n: b"data: x\n\n" * (n // 9),
    "CR line ends": lambda n: b"data: x\r" * (n // 8) + b"\r",
    "one long comment": lambda n: b":" + b"x" * n + b"\n\n",
}


@pytest.mark.parametrize("size", [1, 3, 64])
@pytest.mark.parametrize("make", STREAMS.values(), ids=STREAMS)
def test_twice_the_stream_is_twice_the_work(make, size):
    small, large = (work(sse.Decoder().feed, make(n), size) for n in (8_000, 16_000))
    assert large < 2.5 * small


def test_twice_the_line_of_json_is_twice_the_work():
    small, large = (work(ndjson.Decoder().feed, b"x" * n + b"\n", 1) for n in (8_000, 16_000))
    assert large < 2.5 * small


def test_the_measure_of_work_finds_a_decoder_that_joins_again_and_again():
    class Joining:
        def __init__(self) -> None:
            self.held = b""

        def feed(self, piece: bytes) -> None:
            self.held = self.held + piece

    small, large = (work(Joining().feed, b"x" * n, 1) for n in (8_000, 16_000))
    assert large > 3.5 * small
