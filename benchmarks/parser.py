"""The event-stream decoder beside httpx-sse's and a plain `iter_lines` loop, in one run on the same bytes.

    python benchmarks/parser.py          # needs httpx-sse: pip install httpx-sse

Ratios are what counts; absolute figures are this machine's, now.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

from onpaper.wire.sse import Decoder

CHUNK = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1763640000, "model": "gpt-4o-mini",
         "choices": [{"index": 0, "delta": {"content": "word "}, "logprobs": None, "finish_reason": None}]}  # fmt: skip
EVENT = b"data: " + json.dumps(CHUNK).encode() + b"\n\n"
EVENTS = 30_000
SIZES = {"one event a read": len(EVENT), "64 KiB reads": 65536, "16-byte reads": 16}
ROUNDS = 5


def ours(reads: list[bytes]) -> int:
    decoder = Decoder()
    return sum(len(decoder.feed(read)) for read in reads)


def with_httpx_sse(reads: list[bytes]) -> int:
    import httpx
    from httpx_sse import EventSource

    response = httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=httpx.ByteStream(b""))
    response.stream = _Reads(reads)
    return sum(1 for _ in EventSource(response).iter_sse())


def with_lines(reads: list[bytes]) -> int:
    """What many clients do, and what loses events: lines as `str.splitlines` cuts them, and those with 'data: '."""
    import httpx

    response = httpx.Response(200, stream=_Reads(reads))
    return sum(line.startswith("data: ") for line in response.iter_lines())


def _Reads(reads: list[bytes]) -> object:
    import httpx

    class Reads(httpx.SyncByteStream):
        def __iter__(self):  # type: ignore[no-untyped-def]
            return iter(reads)

    return Reads()


def best(parse: Callable[[list[bytes]], int], reads: list[bytes], events: int) -> float:
    """The best of some rounds, in processor seconds."""
    found = []
    for _ in range(ROUNDS):
        start = time.process_time()
        count = parse(reads)
        found.append(time.process_time() - start)
        assert count == events, f"{parse.__name__} saw {count} of {events} events"
    return min(found)


def main() -> None:
    try:
        import httpx_sse  # noqa: F401
    except ImportError:
        sys.exit("this benchmark needs httpx-sse: pip install httpx-sse")
    print(f"{'':18}{'onpaper':>14}{'httpx-sse':>14}{'iter_lines':>14}{'faster than httpx-sse':>24}")
    for name, size in SIZES.items():
        events = EVENTS if size > 100 else EVENTS // 10
        body = EVENT * events
        reads = [body[at : at + size] for at in range(0, len(body), size)]
        times = [best(parse, reads, events) for parse in (ours, with_httpx_sse, with_lines)]
        rates = "".join(f"{events / one / 1000:>10.0f} k/s" for one in times)
        print(f"{name:18}{rates}{times[1] / times[0]:>23.1f}x")


if __name__ == "__main__":
    main()
