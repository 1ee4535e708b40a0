"""JSON as RFC 8259 has it: what Python's reader takes and a server's does not is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onpaper.jsontext import DEEPEST, parse

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(values, st.booleans())
def test_what_is_written_is_read(value, escaped):
    assert parse(json.dumps(value, ensure_ascii=escaped).encode()) == value


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" * 5000])
def test_what_is_no_number_is_refused(number):
    with pytest.raises(ValueError):
        parse(f'{{"temperature": {number}}}'.encode())


@pytest.mark.parametrize("raw", [b"", b"{", b"\xef\xbb\xbf{}", b'"\xff"', b'"\xed\xa0\x80"', b"{} {}"])
def test_what_is_no_text_of_json_in_utf_8_is_refused(raw):
    with pytest.raises(ValueError):
        parse(raw)


@pytest.mark.parametrize("depth", [DEEPEST + 1, 300, 100_000])
@pytest.mark.parametrize(("opening", "inner", "closing"), [("[", "[]", "]"), ('{"a":', "{}", "}")])
def test_what_lies_too_deep_is_refused(depth, opening, inner, closing):
    def nested(depth: int) -> bytes:
        return (opening * (depth - 1) + inner + closing * (depth - 1)).encode()

    assert parse(nested(DEEPEST))
    with pytest.raises(ValueError, match="more than 128 deep"):
        parse(nested(depth))


def test_what_is_wide_is_not_deep():
    wide = [{"text": "[" * 1000}] * 1000
    assert parse(json.dumps(wide).encode()) == wide


def test_half_a_surrogate_pair_is_read_as_u_fffd():
    raw = rb'{"\ud800": ["\uD83D\uDE00", "a\udc00b", "\\ud800", "\ud83d\ud83d\ude00"]}'
    assert parse(raw) == {"\ufffd": ["\U0001f600", "a\ufffdb", "\\ud800", "\ufffd\U0001f600"]}
