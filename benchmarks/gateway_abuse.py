"""Hostile clients against the fake gateway, as many as asked for:

    python benchmarks/gateway_abuse.py [--requests 100000] [--seed 1]

Fuzzed request lines, headers, bodies and sizes, smuggling attempts, slow senders, clients that close,
reset or never read. After every hundred attacks a good request must be served; at the end no connection,
no file and no thread may be left, and nothing may have been raised. Exits with 1 and says what went wrong
otherwise. The same seed, the same attacks.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import logging
import os
import random
import socket
import struct
import sys
import time
from collections.abc import Callable

from onpaper.exchange import Request
from onpaper.gateway import Limits, ServerThread
from onpaper.gateway.scripting import answer_for
from onpaper.script import Script, Write

LIMITS = Limits(
    header_bytes=8 * 1024,
    body_bytes=64 * 1024,
    connections=400,
    queued=8,
    request_seconds=1.0,
    idle_seconds=2.0,
)
PARKED = 200
LOGGERS = ("asyncio", "onpaper.gateway.reading")
GOOD_BODY = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}).encode()
GOOD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer k\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(GOOD_BODY)
) + GOOD_BODY


def _request(body: bytes, *lines: bytes, start: bytes = b"POST /v1/chat/completions HTTP/1.1") -> bytes:
    head = b"\r\n".join((start, b"Host: x", b"Authorization: Bearer k", *lines))
    return head + b"\r\n\r\n" + body


def _sized(body: bytes, *lines: bytes) -> bytes:
    return _request(body, b"Content-Length: %d" % len(body), *lines)


# Each attack makes bytes from a source of chance.


def noise(chance: random.Random) -> bytes:
    return chance.randbytes(chance.randrange(2000))


def mutated(chance: random.Random) -> bytes:
    data = bytearray(GOOD)
    for _ in range(chance.randrange(1, 8)):
        at = chance.randrange(len(data))
        kind = chance.randrange(4)
        if kind == 0:
            data[at] = chance.randrange(256)
        elif kind == 1:
            del data[at : at + chance.randrange(1, 20)]
        elif kind == 2:
            data[at:at] = chance.randbytes(chance.randrange(1, 20))
        else:
            data[at:at] = chance.choice(
                [b"\r\n", b"\n", b"\r", b"\0", b": ", b"\r\n\r\n", b" ", b"\t", b"\xff"]
            )
        data = data or bytearray(b"x")
    return bytes(data)


def truncated(chance: random.Random) -> bytes:
    return GOOD[: chance.randrange(len(GOOD))]


def large_head(chance: random.Random) -> bytes:
    if chance.random() < 0.5:
        return _request(b"", b"X: " + b"a" * chance.randrange(20_000))
    return _request(b"", *(b"X%d: y" % number for number in range(chance.randrange(2000))))


def large_target(chance: random.Random) -> bytes:
    return _request(b"", start=b"GET /" + b"a" * chance.randrange(20_000) + b" HTTP/1.1")


def bad_length(chance: random.Random) -> bytes:
    length = chance.choice(
        [
            b"-1",
            b"+5",
            b"5,5",
            b"0x5",
            b"9" * 30,
            b"9" * 5000,
            b"",
            b" ",
            b"5 5",
            b"5\0",
            b"\xd9\xa5",
            b"1e3",
            b"65537",
        ]
    )
    return _request(b"hello", b"Content-Length: " + length)


def smuggled(chance: random.Random) -> bytes:
    coding = chance.choice(
        [
            b"chunked",
            b"Chunked",
            b" chunked",
            b"chunked, identity",
            b"xchunked",
            b"identity",
            b"chunked\0",
            b"gzip",
        ]
    )
    lines = [b"Transfer-Encoding: " + coding]
    if chance.random() < 0.7:
        lines.append(b"Content-Length: %d" % chance.randrange(50))
    if chance.random() < 0.3:
        lines.append(b"Transfer-Encoding: chunked")
    chance.shuffle(lines)
    return _request(b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n", *lines)


def bad_chunks(chance: random.Random) -> bytes:
    body = chance.choice(
        [
            b"zz\r\nhello\r\n0\r\n\r\n",
            b"-5\r\nhello\r\n0\r\n\r\n",
            b"5;" + b"x" * 20_000 + b"\r\nhello\r\n0\r\n\r\n",
            b"ffffffffffffffffffff\r\n",
            b"5\r\nhelloXX0\r\n\r\n",
            b"5\nhello\n0\n\n",
            b"0\r\nTrailer: " + b"x" * 20_000,
            b"1\r\nx\r\n" * 5000 + b"0\r\n\r\n",
            b"10000\r\n" + b"a" * 0x10000 + b"\r\n10\r\n" + b"a" * 16 + b"\r\n0\r\n\r\n",
        ]
    )
    return _request(body, b"Transfer-Encoding: chunked")


def large_body(chance: random.Random) -> bytes:
    return _sized(b"a" * chance.randrange(60_000, 80_000))


def odd_protocol(chance: random.Random) -> bytes:
    return chance.choice(
        [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 9,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100,
            b"\x05\x01\x00",
            b"SSH-2.0-OpenSSH\r\n",
            b"GET / HTTP/0.9\r\n\r\n",
            b"GET /\r\n\r\n",
            b"GET / HTTP/3.0\r\nHost: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\n y: folded\r\n\r\n",
            b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n" + b"\0" * 50,
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x05hello",
            _sized(b"abc", b"Upgrade: h2c", b"Connection: Upgrade") + b"GET",
            b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET http://other/_onpaper/reset HTTP/1.1\r\nHost: other\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
            b"\r\n\r\n\r\n\r\n",
        ]
    )


def hostile_json(chance: random.Random) -> bytes:
    body = chance.choice(
        [
            b"[" * 50_000,
            b'{"a":' * 10_000,
            b'{"model": "\\ud800", "messages": [{"role": "user", "content": "\\udfff"}]}',
            b'{"model": 1e999, "messages": NaN}',
            b'{"model": ' + b"9" * 5000 + b"}",
            b"\xff\xfe{}",
            b"null",
            b'"' + b"a" * 60_000 + b'"',
            b'{"model":"m","messages":[' + b'{"role":"user","content":"x"},' * 1500 + b"{}]}",
            b'{"messages": {}, "model": [], "stream": "yes", "n": -1, "tools": {}, "stream_options": []}',
        ]
    )
    return _sized(body, b"Content-Type: application/json")


def pipeline(chance: random.Random) -> bytes:
    kinds = [lambda: GOOD, lambda: GOOD, lambda: mutated(chance), lambda: odd_protocol(chance)]
    return b"".join(chance.choice(kinds)() for _ in range(chance.randrange(2, 40)))


def well_formed(chance: random.Random) -> bytes:
    path = chance.choice(
        [b"/v1/models", b"/slow", b"/large", b"/reset", b"/cut", b"/hang", b"/broken", b"/raises"]
    )
    return _request(b"", start=b"GET " + path + b" HTTP/1.1")


ATTACKS: list[Callable[[random.Random], bytes]] = [
    noise,
    mutated,
    mutated,
    truncated,
    large_head,
    large_target,
    bad_length,
    smuggled,
    bad_chunks,
    large_body,
    odd_protocol,
    hostile_json,
    pipeline,
    well_formed,
    well_formed,
]

PLAYED = {
    "/slow": Script(writes=tuple(Write(b"x", after=0.01) for _ in range(100))),
    "/large": Script(writes=(Write(b"x" * 1_000_000),)),
    "/reset": Script(writes=(Write(b"x"),), end="reset"),
    "/cut": Script(writes=(Write(b"x"),), end="cut"),
    "/hang": Script(writes=(Write(b"x"),), end="hang"),
    "/broken": Script(headers=(("a", "b\r\nc"),)),
}


class Attacker:
    """Opens connections and misbehaves on them."""

    def __init__(self, port: int, chance: random.Random) -> None:
        self.port = port
        self.chance = chance
        self.parked: collections.deque[socket.socket] = collections.deque()
        self.done: collections.Counter[str] = collections.Counter()

    def attack(self) -> None:
        make = self.chance.choice(ATTACKS)
        self.done[make.__name__] += 1
        data = make(self.chance)
        client = socket.create_connection(("127.0.0.1", self.port), timeout=2)
        with contextlib.suppress(OSError):  # the server may rightly have closed already
            if self.chance.random() < 0.2:
                for start in range(0, min(len(data), 60), 7):
                    client.sendall(data[start : start + 7])
                data = data[60:]
            client.sendall(data)
        self.leave(client)

    def leave(self, client: socket.socket) -> None:
        """Close, reset, half-close, read a little first, or stay without doing anything."""
        how = self.chance.randrange(6)
        with contextlib.suppress(OSError):
            if how == 0:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif how == 1:
                client.shutdown(socket.SHUT_WR)
            elif how == 2:
                client.settimeout(0.002)
                client.recv(1000)
            elif how == 3:
                self.parked.append(client)
                if len(self.parked) > PARKED:
                    self.parked.popleft().close()
                return
        client.close()

    def close(self) -> None:
        for client in self.parked:
            client.close()


def served(port: int) -> str:
    """What is wrong with the answer to a good request, or an empty string."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(GOOD)
        got = b""
        while b"\r\n\r\n" not in got or not got.endswith(b"}"):
            more = client.recv(65536)
            if not more:
                break
            got += more
    if got.startswith(b"HTTP/1.1 200 ") and b'"chat.completion"' in got:
        return ""
    return f"a good request got {got[:200]!r}"


def open_files() -> int:
    with contextlib.suppress(OSError):
        return len(os.listdir("/proc/self/fd"))
    return 0


class Raised(logging.Handler):
    """Collects what is logged about exceptions that nobody caught."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(self.format(record))


def run(requests: int, seed: int, say: Callable[[str], None] = print) -> list[str]:
    """Attack so many times. Returns what went wrong, one sentence each."""
    raised = Raised()
    for name in LOGGERS:
        logging.getLogger(name).addHandler(raised)
    provider = answer_for({"provider": "openai"})

    def answer(request: Request) -> Script:
        if request.path == "/raises":
            raise RuntimeError("an answer that fails")
        return PLAYED.get(request.path) or provider(request)

    wrong: list[str] = []
    with ServerThread(answer, limits=LIMITS) as gateway:
        attacker = Attacker(gateway.port, random.Random(seed))
        wrong += [f"before any attack {problem}" for problem in [served(gateway.port)] if problem]
        files, began = open_files(), time.monotonic()
        for number in range(1, requests + 1):
            attacker.attack()
            if number % 100 == 0 and not wrong:
                problem = served(gateway.port)
                if problem:
                    wrong.append(f"after {number} attacks {problem}")
            if number % 10_000 == 0:
                held = f"{gateway.open_connections} connections open, {len(gateway.journal)} exchanges kept"
                say(f"{number} attacks, {held}")
        attacker.close()
        with contextlib.suppress(TimeoutError):
            gateway.journal.wait_for(lambda journal: not gateway.open_connections, timeout=15)
        if gateway.open_connections:
            wrong.append(f"{gateway.open_connections} connections were never closed")
        if files and open_files() > files:
            wrong.append(f"{open_files() - files} files are open that were not before")
        wrong += [f"after all attacks {problem}" for problem in [served(gateway.port)] if problem]
        seconds = time.monotonic() - began
        refused = gateway.journal.counts.refused
        total = f"{gateway.journal.total} exchanges, {refused} requests refused"
        say(f"{requests} attacks in {seconds:.0f} s, {total}")
        say(", ".join(f"{name} {count}" for name, count in sorted(attacker.done.items())))
    wrong += [f"raised: {message}" for message in raised.messages[:5]]
    for name in LOGGERS:
        logging.getLogger(name).removeHandler(raised)
    return wrong


def main() -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--requests", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    wrong = run(given.requests, given.seed)
    for sentence in wrong:
        print(f"WRONG: {sentence}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
