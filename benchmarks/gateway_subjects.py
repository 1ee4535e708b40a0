"""What the gateway is measured against, and how each is started: `python gateway_subjects.py NAME PORT`
runs one.

The first three answer the same bytes; `provider` is the whole gateway as `onpaper serve` runs it, with
the words of a provider made anew for each request. The peers run when they are installed, with their own
words.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

TEXT = "Hamburg lies on the Elbe and has more bridges than Amsterdam and Venice together. " * 3
WORDS = [f"word{number:02} " for number in range(48)]
MODEL = "gpt-4o-mini"

QUESTION = {
    "model": MODEL,
    "messages": [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "hello, tell me about the bridges of Hamburg in a few words, please"},
    ],
    "temperature": 0.7,
    "max_tokens": 200,
}

JSON = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1763640000,
        "model": MODEL,
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"},
        ],
        "usage": {"prompt_tokens": 30, "completion_tokens": 60, "total_tokens": 90},
    }
).encode()


def _event(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1763640000, "model": MODEL}
    return b"data: " + json.dumps({**chunk, "choices": [choice]}).encode() + b"\n\n"


EVENTS = [*(_event({"content": word}) for word in WORDS), _event({}, "stop"), b"data: [DONE]\n\n"]


@dataclass(frozen=True)
class Subject:
    """A server to measure. `command(port)` starts it; `paths` are those it serves, by workload."""

    name: str
    about: str
    command: Callable[[int], list[str]]
    paths: dict[str, str]


def subjects() -> list[Subject]:
    """Everything that can be measured here; the baseline first."""
    chat = "/v1/chat/completions"
    own = {"json": f"{chat}?json", "joined": f"{chat}?joined", "separate": f"{chat}?separate"}
    found = [
        Subject(
            "starlette", "bare Starlette + uvicorn (uvloop, httptools), same bytes", _ours("starlette"), own
        ),
        Subject(
            "onpaper",
            "onpaper: body parsed, model and message matched, journal on, same bytes",
            _ours("onpaper"),
            {**own, "paced": f"{chat}?paced", "held": f"{chat}?held"},
        ),
        Subject(
            "provider",
            "onpaper as it is served: strict contract, words made for each request",
            _ours("provider"),
            {"json": chat, "separate": chat},
        ),
    ]
    if shutil.which("llmock") or shutil.which("aimock"):
        found.append(Subject("aimock", "aimock (npm)", _aimock, {"json": chat, "joined": chat}))
    if shutil.which("stubllm"):
        found.append(Subject("stubllm", "stubllm (PyPI)", _stubllm, {"json": chat, "separate": chat}))
    if shutil.which("mockllm"):
        found.append(Subject("mockllm", "mockllm (PyPI)", _mockllm, {"json": chat, "separate": chat}))
    return found


def _ours(name: str) -> Callable[[int], list[str]]:
    return lambda port: [sys.executable, __file__, name, str(port)]


def _file(name: str, text: str) -> str:
    path = Path(tempfile.mkdtemp(prefix="onpaper-benchmark-")) / name
    path.write_text(text, "utf-8")
    return str(path)


def _aimock(port: int) -> list[str]:
    fixture = {"fixtures": [{"match": {"userMessage": "hello"}, "response": {"content": "".join(WORDS)}}]}
    program = shutil.which("aimock") or shutil.which("llmock") or "aimock"
    # Chunks of 7 characters: as many events as the others send.
    path = _file("fixtures.json", json.dumps(fixture))
    if Path(program).name == "aimock":
        program = shutil.which("llmock") or program
    return [program, "-p", str(port), "-f", path, "-c", "7", "--log-level", "silent"]


def _stubllm(port: int) -> list[str]:
    fixture = {
        "fixtures": [
            {
                "name": "hello",
                "match": {
                    "provider": "openai",
                    "messages": [{"role": "user", "content": {"contains": "hello"}}],
                },
                "response": {"content": "".join(WORDS)},
            }
        ]
    }
    path = _file("fixtures.json", json.dumps(fixture))
    return ["stubllm", "serve", "--port", str(port), "--fixture-file", path, "--log-level", "critical"]


def _mockllm(port: int) -> list[str]:
    said = {"defaults": {"unknown_response": "".join(WORDS)}, "settings": {"lag_enabled": False}}
    path = _file("responses.yml", json.dumps({"responses": {"x": "x"}, **said}))
    return ["mockllm", "start", "--responses", path, "--port", str(port)]


# ---- the ones that run here ----


def run_starlette(port: int) -> None:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response, StreamingResponse
    from starlette.routing import Route

    joined = b"".join(EVENTS)

    async def chat(request: Request) -> Response:
        await request.body()
        kind = request.url.query
        if kind == "json":
            return Response(JSON, media_type="application/json")
        if kind == "joined":
            return Response(joined, media_type="text/event-stream")

        async def events():  # type: ignore[no-untyped-def]
            for event in EVENTS:
                yield event

        return StreamingResponse(events(), media_type="text/event-stream")

    app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        log_level="critical",
        access_log=False,
    )


def run_onpaper(port: int) -> None:
    from onpaper.exchange import Request
    from onpaper.gateway.answering import refusal
    from onpaper.script import Script, Write

    sse = (("content-type", "text/event-stream"),)
    writes = tuple(map(Write, EVENTS))
    scripts = {
        "json": Script(
            headers=(("content-type", "application/json"),), writes=(Write(JSON),), transfer="length"
        ),
        "joined": Script(headers=sse, writes=writes, joined=True),
        "separate": Script(headers=sse, writes=writes),
        "paced": Script(headers=sse, writes=tuple(Write(event, after=0.01) for event in EVENTS)),
        "held": Script(headers=sse, writes=writes[:1], end="hang"),
    }

    def answer(request: Request) -> Script:
        body = request.json()
        if body.get("model") != MODEL:
            return refusal(404, f"the model {body.get('model')!r} does not exist")
        if "hello" not in body["messages"][-1]["content"]:
            return refusal(500, "no reply matches this message")
        return scripts[request.target.partition("?")[2]]

    _serve(answer, port)


def run_provider(port: int) -> None:
    from onpaper.gateway.scripting import answer_for

    mock = {"about": "A benchmark.", "reply": [{"text": WORDS, "match": {"contains": "hello"}}]}
    _serve(answer_for({"provider": "openai", "mock": mock}), port)


def _serve(answer: object, port: int) -> None:
    from onpaper.gateway import Server
    from onpaper.gateway.thread import new_event_loop

    async def serve() -> None:
        server = await Server(answer, port=port).start()  # type: ignore[arg-type]
        assert server.port
        await asyncio.Event().wait()

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve())


if __name__ == "__main__":
    globals()[f"run_{sys.argv[1]}"](int(sys.argv[2]))
