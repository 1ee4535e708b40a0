"""Texts as people and machines write them: plain ones first, then those that break careless clients."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from hypothesis import strategies as st

from onpaper.strategies.drawing import mostly

PLAIN = ("hi", "", "Hello, world!", "a b", "0")
ODD = (
    " leading and trailing ",
    "two\nlines",
    "CRLF\r\nhere",
    'tab\tquote"backslash\\slash/',
    "Grüße, 世界",
    "👩🏽‍🚀 e\u0301 🇩🇪",  # joined, combining, and flags: several code points for one character
    "\u2028line\u2029paragraph\u0085next",  # line ends to Python, ordinary text to SSE and JSON
    "שלום‏ مرحبا",
    "\x00\x1f\x7f",
    "\ufeffBOM",
    "\ufffd\uffff",
    "[DONE]",
    "data: [DONE]\n\n",
    "null",
    '{"error": "not an error"}',
    "<|im_end|></think>",
    "{key}{0}%s",
)
LONG = ("lorem ipsum " * 400, "🙂" * 2000)
LONE = ("\ud83d", "\ude00 low", "a\ud800b")


@lru_cache  # building one costs more than drawing from it
def texts(*, surrogates: bool = False) -> st.SearchStrategy[str]:
    """Text: short and plain, odd, long (some KB), or any; with `surrogates` also lone surrogates, which
    JSON can escape but UTF-8 cannot carry. Shrinks to `hi`.

    >>> from hypothesis import given
    >>> @given(texts())
    ... def test_every_text_survives_utf8(text):
    ...     assert text.encode().decode() == text
    >>> test_every_text_survives_utf8()
    """
    pool = (*PLAIN, *PLAIN, *ODD, *LONG, *(LONE if surrogates else ()))
    alphabet = st.characters() if surrogates else st.characters(exclude_categories=["Cs"])
    return mostly(pool, st.text(alphabet, max_size=12))


@lru_cache
def names() -> st.SearchStrategy[str]:
    """Names of tools and the like: `[A-Za-z0-9_-]{1,64}`, also the longest. Shrinks to `look_up`."""
    others = st.text("abcxyzABC019_-", min_size=1, max_size=12)
    return mostly(("look_up", "x", "get-weather", "A_1", "0", "n" * 64), others)


def json_values() -> st.SearchStrategy[Any]:
    """A small JSON value of any kind. Shrinks to null."""
    return st.sampled_from(
        ("null", "true", "0", "-1.5", '"x"', "[]", "{}", '["é", [1]]', '{"k": {"v": [null]}}')
    ).map(json.loads)


def json_objects() -> st.SearchStrategy[dict[str, Any]]:
    """A small JSON object. Shrinks to `{}`."""
    return st.sampled_from(
        (
            "{}",
            '{"city": "Paris"}',
            '{"n": 0, "ok": false}',
            '{"a b": [1, null, "é\u2028🙂"], "": {"deep": {}}}',
        )
    ).map(json.loads)


def json_schemas() -> st.SearchStrategy[dict[str, Any]]:
    """A JSON Schema as tools and structured output use it. Shrinks to an object without properties."""
    return st.sampled_from(_SCHEMAS).map(json.loads)


_SCHEMAS = (
    '{"type": "object", "properties": {}}',
    '{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}',
    '{"type": "object", "properties": {"n": {"type": "integer", "minimum": 0}, "unit": {"enum": ["C", "F"]}},'
    ' "required": ["n", "unit"], "additionalProperties": false}',
    '{"type": "object", "properties": {"items": {"type": "array", "items": {"type": "object", "properties": '
    '{"ü": {"type": ["string", "null"]}}}}}}',
)
