"""Streams written by hand: one JSON value an event, then the sentinel."""

from __future__ import annotations

import json
from typing import Any

import pytest

from onpaper.wire.reading import Reading, read_stream


def written(*chunks: Any, done: bool = True) -> bytes:
    events = [chunk if isinstance(chunk, str) else json.dumps(chunk) for chunk in chunks]
    return "".join(f"data: {event}\n\n" for event in [*events, *(["[DONE]"] if done else [])]).encode()


@pytest.fixture
def stream():
    return written


@pytest.fixture
def read():
    def reading(*chunks: Any, done: bool = True) -> Reading:
        return read_stream([written(*chunks, done=done)])

    return reading


@pytest.fixture
def delta():
    def chunk(finish: str | None = None, **members: Any) -> dict[str, Any]:
        return {"choices": [{"index": 0, "delta": members, "finish_reason": finish}]}

    return chunk
