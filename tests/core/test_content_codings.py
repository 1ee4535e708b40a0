"""Content codings: what is coded says the same at every step, and who accepts which."""

from __future__ import annotations

import zlib

import pytest

from onpaper.wire.coding import CODERS, accepts, decoded, is_plain

PIECES = (b"data: one\n\n", b"", b"data: two\n\n")


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_what_is_coded_can_be_decoded(coding):
    coder = CODERS[coding]()
    body = b"".join(map(coder.feed, PIECES)) + coder.end()
    assert decoded(body, coding) == b"".join(PIECES)


@pytest.mark.parametrize(("coding", "window"), [("gzip", zlib.MAX_WBITS | 16), ("deflate", zlib.MAX_WBITS)])
def test_each_piece_can_be_decoded_when_it_comes(coding, window):
    coder, reader = CODERS[coding](), zlib.decompressobj(window)
    assert [reader.decompress(coder.feed(piece)) for piece in PIECES] == list(PIECES)


def test_brotli_stores_each_piece_behind_its_length():
    # Read back with Google's brotli 1.2: b"hello, world"
    coder = CODERS["br"]()
    assert [coder.feed(b"hello, "), coder.feed(b"world"), coder.end()] == [b"\x60\x00\x10hello, ", b"\x20\x00\x08world", b"\x03"]


def test_brotli_of_nothing_is_one_byte():
    assert CODERS["br"]().end() == b"\x06"


def test_zstandard_stores_each_piece_behind_its_length():
    # Read back with zstandard 0.25: b"hello, world"
    coder = CODERS["zstd"]()
    start = b"\x28\xb5\x2f\xfd\x00\x38"
    assert [coder.feed(b"hello, "), coder.feed(b"world"), coder.end()] == [start + b"\x38\x00\x00hello, ", b"\x28\x00\x00world", b"\x01\x00\x00"]


@pytest.mark.parametrize(("coding", "largest", "head"), [("br", 1 << 16, 3), ("zstd", 1 << 17, 3)])
def test_a_piece_larger_than_a_block_becomes_several(coding, largest, head):
    coder = CODERS[coding]()
    coder.feed(b"first")
    data = bytes(range(256)) * (largest // 256) + b"and more"
    coded = coder.feed(data)
    assert (len(coded), coded[head : head + largest], coded[-8:]) == (len(data) + 2 * head, data[:largest], b"and more")


@pytest.mark.parametrize("header", ["gzip", "GZIP, br", "br;q=1.0, gzip;q=0.5", "identity, gzip ; q = 0.001"])
def test_a_coding_that_is_named_is_accepted(header):
    assert accepts(header, "gzip")


@pytest.mark.parametrize("header", [None, "", "identity", "*", "x-gzip", "gzip;q=0", "gzip; q=0.000", "br, gzip;Q=0."])
def test_a_coding_that_is_not_named_or_weighs_nothing_is_not(header):
    assert not accepts(header, "gzip")


PLAIN = (b'{\n  "id": "c-1"\n}\n', b'{"id":"c-1"}', b'\n\n {"id":1}', b"data: {}\n\n", b": ping\n\n", b"<html>busy</html>", b"[]")


@pytest.mark.parametrize("body", PLAIN)
@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate", "br", "zstd", "gzip, br"])
def test_a_body_that_its_recorder_decoded_is_plain_whatever_coding_its_header_still_names(body, coding):
    assert is_plain(body, coding)


@pytest.mark.parametrize("body", [b'{\n  "id": "c-1"\n}\n', b'{"id":"c-1"}', b"data: {}\n\n", b'{"a":"' + b"z" * 9000 + b'"}'])
@pytest.mark.parametrize("coding", CODERS)
def test_a_coded_body_is_not_plain(body, coding):
    coder = CODERS[coding]()
    assert not is_plain(coder.feed(body) + coder.end(), coding)


def test_deflate_without_a_header_is_read_only_under_its_own_name():
    packed = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    body = packed.compress(b"{}") + packed.flush()
    assert (decoded(body, "deflate"), decoded(body, "gzip")) == (b"{}", None)
