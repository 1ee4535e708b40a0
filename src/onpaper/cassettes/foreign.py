"""The recordings of other tools in the words of a vcrpy cassette.

All of them hold exchanges of a request and a response, and differ in how they call the parts. Read are VCR of Ruby and of
R, go-vcr, HAR files (browsers, PollyJS), nock, ExVCR, PHP-VCR, WireMock, httpmock, Azure's test proxy, LangChain's two
lists, `recordings` with their chunks, files of one exchange each, tapes by hash, and the httprr traces of Go.

Sources of the formats (2026-11-29): https://github.com/vcr/vcr, https://github.com/ropensci/vcr,
https://github.com/dnaeon/go-vcr, http://www.softwareishard.com/blog/har-12-spec/, https://netflix.github.io/pollyjs,
https://github.com/nock/nock#recording, https://github.com/parroty/exvcr, https://github.com/php-vcr/php-vcr,
https://wiremock.org/docs/stubbing/, https://github.com/DataDog/dd-apm-test-agent,
https://docs.rs/httpmock, https://github.com/openai/openai-dotnet/tree/main/tests/SessionRecords,
https://github.com/langchain-ai/langchain/blob/master/libs/standard-tests/langchain_tests/conftest.py,
https://github.com/huggingface/huggingface.js/blob/main/packages/inference/test/vcr.ts,
https://pkg.go.dev/golang.org/x/oscar/internal/httprr.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from typing import Any

from onpaper.cassettes.cassette import INVALID_ORIGIN

TRACE = b"httprr trace v1\n"
_LISTS = ("http_interactions", "recordings", "mappings", "Entries")


def in_vcrpy_words(document: Any) -> Any:
    """The plain values of another tool's file as those of a cassette; of any other file as they are."""
    entries = _entries(document)
    if not entries:
        return document
    return {"interactions": [_interaction(one) for one in entries], "version": 1}


def _entries(document: Any) -> list[Any] | None:
    """The exchanges of a file that is another tool's; None when it is not."""
    if isinstance(document, list):
        return document if all(isinstance(one, dict) and ("response" in one or "then" in one) for one in document) else None
    if not isinstance(document, dict):
        return None
    log = document.get("log")
    lists = [document.get(name) for name in _LISTS] + [log.get("entries") if isinstance(log, dict) else None]
    found = next((one for one in lists if isinstance(one, list)), None)
    if found is None and isinstance(own := document.get("interactions"), list):
        found = own if all(_part(one, "request").get("url") for one in own) else None
    for asking, telling in (("request", "response"), ("when", "then")):
        if found is None and isinstance(document.get(asking), dict) and isinstance(document.get(telling), dict):
            found = [document]
    asked, told = document.get("requests"), document.get("responses")
    if found is None and isinstance(asked, list) and isinstance(told, list) and len(asked) == len(told):
        found = [{"request": one, "response": other} for one, other in zip(asked, told, strict=True)]
    values = list(document.values())
    if found is None and all(isinstance(one, dict) and "response" in one and "url" in one for one in values):
        found = values
    # a reply in a file of its own is not at hand
    found = [one for one in found or () if not _part(one, "response").get("bodyFileName")]
    return found if all(isinstance(one, dict) for one in found) else None


def _of_proxy(entry: dict[str, Any]) -> dict[str, Any]:
    """An exchange of Azure's test proxy, whose text bodies are lists of lines."""
    request = {"uri": entry["RequestUri"], "method": entry.get("RequestMethod"), "headers": entry.get("RequestHeaders")}
    body = entry.get("ResponseBody")
    if isinstance(body, list) and all(isinstance(one, str) for one in body):
        body = "".join(body)
    response = {"status": entry.get("StatusCode"), "headers": entry.get("ResponseHeaders"), "body": body}
    return {"request": {**request, "body": entry.get("RequestBody")}, "response": response}


def _of_rule(entry: dict[str, Any]) -> dict[str, Any]:
    """An exchange of httpmock, whose request is what a request has to be like."""
    when, then = _part(entry, "when"), _part(entry, "then")
    asked = [one for one in when.get("query_param") or () if isinstance(one, dict)]
    query = "&".join(f"{one.get('name')}={one.get('value')}" for one in asked)
    uri = str(when.get("path") or "/") + (f"?{query}" if query else "")
    return {
        "request": {**when, "uri": uri, "headers": when.get("header")},
        "response": {**then, "headers": then.get("header")},
    }


def _interaction(entry: dict[str, Any]) -> dict[str, Any]:
    if "RequestUri" in entry:
        entry = _of_proxy(entry)
    elif "then" in entry:
        entry = _of_rule(entry)
    request = _part(entry, "request") or {**entry, **_part(entry, "init")}
    beside = "status" in entry  # the status and the headers stand beside the body that is called the response
    response = {**entry, "body": entry.get("response")} if beside else _part(entry, "response")
    uri = _first(request, "uri", "url", "urlPath") or str(request.get("scope") or "") + str(request.get("path") or "")
    code, reason = _status(response)
    told: dict[str, Any] = {
        "status": {"code": code, "message": reason},
        "headers": _headers(_first(response, "headers", "rawHeaders")),
        "body": {"string": _reply(response)},
    }
    if stream := _stream(response):
        told["stream"] = stream
    return {
        "request": {
            "method": str(request.get("method") or "GET").upper(),
            "uri": f"{INVALID_ORIGIN}{uri}" if str(uri).startswith("/") else uri,
            "headers": _headers(_first(request, "headers", "reqheaders") or {}),
            "body": {"string": _asked(request)},
        },
        "response": told,
    }


def _part(entry: Any, name: str) -> dict[str, Any]:
    value = entry.get(name) if isinstance(entry, dict) else None
    return value if isinstance(value, dict) else {}


def _first(holder: dict[str, Any], *names: str) -> Any:
    return next((holder[name] for name in names if holder.get(name) not in (None, "")), None)


def _status(response: dict[str, Any]) -> tuple[Any, str]:
    """The status code and its words, out of `200`, `"200 OK"`, `{code, message}` or a name of their own."""
    status = response.get("status")
    if isinstance(status, dict):
        return status.get("code"), str(status.get("message") or "")
    number, _, words = str(status or "").partition(" ")
    code = _first(response, "code", "status_code")
    return number if code is None else code, words or str(response.get("statusText") or "")


def _headers(value: Any) -> dict[str, list[str]]:
    """Headers of a mapping, of a list of objects with name and value, or of a list of names and values in turn."""
    if isinstance(value, dict):
        pairs = [(name, one) for name, held in value.items() for one in (held if isinstance(held, list) else [held])]
    elif isinstance(value, list) and all(isinstance(one, dict) for one in value):
        pairs = [(one.get("name"), one.get("value")) for one in value]
    elif isinstance(value, list):
        pairs = list(zip(value[::2], value[1::2], strict=False))
    else:
        pairs = []
    found: dict[str, list[str]] = {}
    for name, one in pairs:
        if name and not str(name).startswith(":") and one is not None:  # `:status` is HTTP/2's own
            found.setdefault(str(name), []).append(str(one))
    return found


def _asked(request: dict[str, Any]) -> str | bytes:
    body = _first(request, "body", "request_body")
    if body is None:
        body = _part(request, "postData").get("text")
    patterns = request.get("bodyPatterns")
    if body is None and isinstance(patterns, list):
        body = next((one["equalToJson"] for one in patterns if isinstance(one, dict) and "equalToJson" in one), None)
    return _body(body)


def _reply(response: dict[str, Any]) -> str | bytes:
    if isinstance(chunks := response.get("chunks"), list):
        return "".join(map(str, chunks))
    if isinstance(packed := response.get("base64Body"), str):
        return _unpacked(packed)
    if isinstance(content := response.get("content"), dict):
        text = content.get("text")
        return _unpacked(text) if content.get("encoding") == "base64" and isinstance(text, str) else _body(text)
    body = _first(response, "body", "jsonBody")
    if isinstance(body, list) and body and all(isinstance(one, str) for one in body):
        try:
            return b"".join(map(bytes.fromhex, body))  # what nock does with a body that is compressed
        except ValueError:
            pass
    return _body(body)


def _body(value: Any) -> str | bytes:
    """A body as text or bytes, under `string` or `base64_string`, or as the value that it was parsed to."""
    if isinstance(value, dict) and isinstance(packed := value.get("base64_string"), str):
        return _unpacked(packed)
    if isinstance(value, dict) and set(value) <= {"string", "encoding", "base64_string"}:
        value = value.get("string")
    if value is None or isinstance(value, str | bytes):
        return value or ""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _unpacked(text: str) -> str | bytes:
    """What is packed in base64; PollyJS packs the chunks of a compressed body one by one into a JSON list."""
    parts: Any = [text]
    if text.startswith("["):
        try:
            parts = json.loads(text)
        except ValueError:
            return text
    try:
        return b"".join(base64.b64decode("".join(str(one).split()), validate=True) for one in parts)
    except (binascii.Error, ValueError):
        return text


def _stream(response: dict[str, Any]) -> dict[str, Any] | None:
    """The chunks with the times between them, where a tool kept both."""
    chunks, waits = response.get("chunks"), response.get("chunkTimings")
    if not isinstance(chunks, list) or not isinstance(waits, list) or len(chunks) != len(waits):
        return None
    at, listed = 0.0, []
    for chunk, wait in zip(chunks, waits, strict=True):
        at += wait if isinstance(wait, int | float) and wait > 0 else 0
        listed.append([round(at, 1), len(str(chunk).encode())])
    return {"end": "clean", "chunks": listed}


def trace_of(data: bytes) -> dict[str, Any] | None:
    """The exchanges of an httprr trace as a cassette; None when the bytes are not one to their end.

    A line with two numbers says how many bytes the request and the response are that follow it.
    """
    if not data.startswith(TRACE):
        return None
    found, rest = [], data.removeprefix(TRACE)
    while rest:
        match = re.match(rb"(\d{1,9}) (\d{1,9})\n", rest)
        if match is None:
            return None
        asked, told = int(match[1]), int(match[2])
        rest = rest[match.end() :]
        if len(rest) < asked + told:
            return None
        found.append(_exchange(rest[:asked], rest[asked : asked + told]))
        rest = rest[asked + told :]
    return {"interactions": found, "version": 1}


def _exchange(request: bytes, response: bytes) -> dict[str, Any]:
    (asking, *asked), question = _message(request)
    (telling, *told), answer = _message(response)
    method, _, target = asking.partition(" ")
    return {
        "request": {
            "method": method,
            "uri": target.rpartition(" ")[0],
            "headers": _headers([part for line in asked for part in _line(line)]),
            "body": question,
        },
        "response": {
            "status": {"code": telling.split(" ")[1] if " " in telling else None, "message": " ".join(telling.split(" ")[2:])},
            "headers": _headers([part for line in told for part in _line(line)]),
            "body": {"string": answer},
        },
    }


def _message(data: bytes) -> tuple[list[str], bytes]:
    """The lines of the head of an HTTP message, and its body."""
    head, _, body = data.partition(b"\r\n\r\n") if b"\r\n\r\n" in data else data.partition(b"\n\n")
    return head.decode("utf-8", "replace").splitlines() or [""], body


def _line(text: str) -> Iterator[str]:
    name, _, value = text.partition(":")
    yield from (name, value.strip())
