"""The standard library alone: http.client in threads, a pool of its own, an iterator class, and a close() that is no coroutine."""

from __future__ import annotations

import asyncio
import codecs
import http.client
import json
import os
import select
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit


class Failure(OSError):
    """What went wrong, in the provider's words."""


def limited(connection, seconds):
    """Give a connection a time-out; one that ends with the body is the response's by now."""
    if connection.sock:
        connection.sock.settimeout(seconds)


class Pool:
    """Idle connections to one host, the youngest first."""

    def __init__(self, host, port):
        self.where, self.idle, self.lock = (host, port), [], threading.Lock()

    def take(self):
        with self.lock:
            while self.idle:
                connection = self.idle.pop()
                if connection.sock and not select.select([connection.sock], [], [], 0)[0]:
                    return connection
                connection.close()  # the server has closed it, or sent what nobody asked for
        return http.client.HTTPConnection(*self.where, timeout=60)

    def give(self, connection):
        with self.lock:
            self.idle.append(connection)

    def close(self):
        with self.lock:
            for connection in self.idle:
                connection.close()
            self.idle.clear()


class StdlibBackend:
    """For the LiteLLM proxy."""

    metered = True

    def __init__(self, model, base_url, *, sampling=None):
        parts = urlsplit(base_url)
        if parts.username:
            raise ValueError("the base URL must not name a user")
        for name in sampling or ():
            if name not in ("temperature", "top_k", "top_p", "presence_penalty"):
                raise ValueError(f"unknown sampling parameter {name}")
        self.model = model
        self.sampling = {name: value for name, value in (sampling or {}).items() if value is not None}
        self._pool = Pool(parts.hostname, parts.port or 80)
        self._prefix = parts.path.rstrip("/").removesuffix("/v1") + "/v1"
        self._threads = None
        self.__key = self._read_key()

    def _read_key(self):
        key = (os.environ.get("LITELLM_KEY") or "").strip()
        if any(not 32 < ord(letter) < 127 for letter in key):
            raise ValueError("LITELLM_KEY: control characters are not allowed in a key")
        return key

    def _mask(self, text):
        return text.replace(self.__key, "[key]") if self.__key else text

    async def _in_thread(self, function, *args):
        if self._threads is None:
            self._threads = ThreadPoolExecutor(24, "stdlib-backend")
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    def _open(self, method, path, body, box):
        """Send a request; gives its response. `box` holds the connection, so that another thread can break it."""
        connection = self._pool.take()
        box.append(connection)
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if self.__key:
            headers["Authorization"] = "Bearer " + self.__key
        if body is not None:
            headers["Content-Type"] = "application/json; charset=utf-8"
        try:
            connection.request(method, self._prefix + path, body, headers)
            return connection.getresponse()
        except BaseException as error:
            connection.close()
            if isinstance(error, (OSError, http.client.HTTPException)):
                raise Failure(f"no answer: {type(error).__name__}: {error}") from None
            raise

    async def _ask(self, method, path, body=None):
        """Status and body of a request; who is cancelled breaks the connection, and with it the thread that waits."""
        box = []
        try:
            return await self._in_thread(self._whole, box, method, path, body)
        except asyncio.CancelledError:
            for connection in box:
                break_off(connection)
            raise

    def _whole(self, box, method, path, body):
        response = self._open(method, path, body, box)
        try:
            data = response.read(8 << 20)
            if response.length not in (None, 0):
                raise Failure("the reply was cut off")
        except (OSError, http.client.HTTPException) as error:
            box[0].close()
            raise error if isinstance(error, Failure) else Failure(f"the reply was cut off: {type(error).__name__}") from None
        self._keep(box[0], response)
        return response.status, data.decode("utf-8", "replace")

    def _keep(self, connection, response):
        if response.isclosed() and not response.will_close and connection.sock:
            self._pool.give(connection)
        else:
            response.close()
            connection.close()

    def _body(self, messages, stream, values):
        body = {"model": self.model, "messages": json.loads(json.dumps(messages)), "stream": stream}
        for message in body["messages"]:
            for call in message.get("tool_calls") or ():
                if not isinstance(call["function"]["arguments"], str):
                    call["function"]["arguments"] = json.dumps(call["function"]["arguments"])
        body.update((name, value) for name, value in values.items() if value not in (None, []) and name != "top_k")
        if stream:
            body["stream_options"] = {"include_usage": True}
        return json.dumps(body, allow_nan=False, ensure_ascii=False).encode("utf-8")

    def stream(self, messages, *, max_tokens=512, temperature=None, top_k=None, top_p=None, presence_penalty=None, stop=None, stats=None):
        given = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "presence_penalty": presence_penalty}
        values = {"temperature": 1.0, "top_p": 0.95, **self.sampling, **{k: v for k, v in given.items() if v is not None}}
        return Pieces(self, self._body(messages, True, {"max_tokens": max_tokens, "stop": stop, **values}), stats)

    async def complete(self, messages, *, max_tokens=1024, temperature=None, top_k=None, top_p=None, presence_penalty=None,
                       tools=None, stop=None, stats=None):  # fmt: skip
        given = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "presence_penalty": presence_penalty}
        values = {"temperature": 0.0, **self.sampling, **{k: v for k, v in given.items() if v is not None}}
        body = self._body(messages, False, {"max_tokens": max_tokens, "stop": stop, "tools": tools, **values})
        status, text = await self._ask("POST", "/chat/completions", body)
        if status != 200:
            raise Failure(f"HTTP {status}: {self._mask(text[:4000])}")
        try:
            reply = json.loads(text)
        except ValueError:
            raise Failure(f"the reply is not JSON: {self._mask(text[:4000])}") from None
        choices = reply.get("choices") if isinstance(reply, dict) else None
        choice = next((one for one in choices or () if one.get("index") in (None, 0)), {})
        message = choice.get("message")
        if not message or reply.get("error") or choice.get("error") or message.get("refusal"):
            raise Failure(f"the provider did not reply: {self._mask(text[:4000])}")
        prompt, completion = counted(reply.get("usage"))
        if stats is not None and prompt:
            stats.update(prompt_tokens=prompt, completion_tokens=completion, ctx_used=prompt + (completion or 0))
        return {
            "content": joined(message.get("content")),
            "tool_calls": [self._call(one) for one in message.get("tool_calls") or ()],
            "usage": {"prompt": prompt, "completion": completion, "ctx_used": (prompt or 0) + (completion or 0), "ctx_max": None},
            "done_reason": choice.get("finish_reason"),
        }

    def _call(self, call):
        name, arguments = call["function"]["name"], call["function"].get("arguments")
        if not isinstance(arguments, dict):
            try:
                arguments = json.loads(arguments or "{}")
            except ValueError:
                return {"id": call["id"], "type": "function", "function": {"name": name, "arguments": arguments}, "invalid": True}
        if not isinstance(arguments, dict):
            raise Failure(f"{name}: the arguments are {arguments!r}")
        return {"id": call["id"], "type": "function", "function": {"name": name, "arguments": arguments}}

    async def prefill(self, messages):
        if self.metered:
            return
        body = self._body(messages, False, {"max_tokens": 1, "temperature": 0.0})
        await self._ask("POST", "/chat/completions", body)

    async def list_models(self):
        try:
            status, text = await self._ask("GET", "/models")
            ids = [one.get("id") for one in json.loads(text)["data"] if isinstance(one, dict)] if status == 200 else []
        except (OSError, ValueError, LookupError, TypeError):
            ids = []
        return list(filter(None, ids)) or [self.model]

    async def set_model(self, name):
        self.model = name

    def close(self):
        self._pool.close()
        if self._threads is not None:
            self._threads.shutdown(wait=False)
            self._threads = None


class VLLMOnStdlib(StdlibBackend):
    """For a vLLM server: no key, `top_k` and a real prefill."""

    metered = False

    def _read_key(self):
        return ""

    def _body(self, messages, stream, values):
        body = json.loads(super()._body(messages, stream, values))
        if values.get("top_k") is not None:
            body["top_k"] = values["top_k"]
        body["chat_template_kwargs"] = {"enable_thinking": False}
        return json.dumps(body, allow_nan=False, ensure_ascii=False).encode("utf-8")

    async def set_model(self, name):
        raise NotImplementedError("vLLM serves one model")


class Pieces:
    """The pieces of a reply, one for each read that brought text. Closed when read, by aclose(), or with its last reference."""

    def __init__(self, backend, body, stats):
        self._backend, self._body, self._stats = backend, body, stats
        self._box, self._response = [], None
        self._decode = codecs.getincrementaldecoder("utf-8-sig")("replace").decode
        self._rest, self._after_cr, self._data, self._kind = [], False, [], ""
        self._usage, self._finish, self._over = None, None, False

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            while not self._over:
                if self._response is None:
                    self._response = await self._backend._in_thread(self._start)
                data = await self._backend._in_thread(self._read)
                text = "".join(self._event(*event) for event in self._lines(self._decode(data, not data)))
                if self._over or not data:
                    await self._end()
                if text:
                    return text
        except BaseException:
            self._break()
            raise
        raise StopAsyncIteration

    def _start(self):
        response = self._backend._open("POST", "/chat/completions", self._body, self._box)
        if response.status == 200 and "event-stream" in response.headers.get("content-type", ""):
            return response
        limited(self._box[0], 5)
        said = self._backend._mask(response.read(1 << 20).decode("utf-8", "replace")[:4000])
        limited(self._box[0], 60)
        self._backend._keep(self._box.pop(), response)
        raise Failure(f"HTTP {response.status}: {said}")

    def _read(self):
        try:
            return self._response.read1(65536)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Failure(f"the stream was cut off: {type(error).__name__}") from None

    def _lines(self, text):
        """Events that end in this text; CR, LF and CRLF end a line."""
        half = self._after_cr and text.startswith("\n")  # of a CRLF that was cut in two
        self._after_cr = text.endswith("\r") if text else self._after_cr
        text = text[1:] if half else text
        *lines, rest = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for line in lines:
            self._rest.append(line)
            line, self._rest = "".join(self._rest), []
            if line:
                name, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if name == "data":
                    self._data.append(value)
                if name == "event":
                    self._kind = value
                continue
            if self._data and not self._over:
                yield "\n".join(self._data), self._kind
            self._data, self._kind = [], ""
        self._rest.append(rest)

    def _event(self, data, kind):
        if data.strip() == "[DONE]":
            self._over = True
            return ""
        shown = self._backend._mask(data[:4000])
        try:
            chunk = json.loads(data)
        except ValueError:
            raise Failure(f"not JSON: {shown}") from None
        if kind == "error" or not isinstance(chunk, dict) or chunk.get("error"):
            raise Failure(shown)
        self._usage = chunk.get("usage") or self._usage
        text = ""
        for choice in chunk.get("choices") or ():
            if choice.get("index"):
                continue
            if choice.get("error"):
                raise Failure(shown)
            self._usage = choice.get("usage") or self._usage
            self._finish = choice.get("finish_reason") or self._finish
            delta = choice.get("delta") or {}
            if delta.get("tool_calls") or delta.get("refusal"):
                raise Failure(f"something else than text: {shown}")
            text += joined(delta.get("content"))
        return text

    async def _end(self):
        if not self._over and not self._finish:
            raise Failure("the stream ended before the reply did")
        if self._over:
            limited(self._box[0], 0.4)
            await self._backend._in_thread(self._drain)
        self._over = True
        self._backend._keep(self._box.pop(), self._response)
        prompt, completion = counted(self._usage)
        if self._stats is not None:
            self._stats.update({k: v for k, v in (("prompt_tokens", prompt), ("completion_tokens", completion)) if v is not None})
            if prompt is not None and completion is not None:
                self._stats["ctx_used"] = prompt + completion

    def _drain(self):
        connection = self._box[0]
        try:
            while self._response.read1(65536):
                pass
            limited(connection, 60)
        except (OSError, ValueError, http.client.HTTPException):
            connection.close()

    def _break(self):
        self._over = True
        for connection in self._box:
            break_off(connection)
        if self._response is not None and self._box:
            self._response.close()
        self._box.clear()

    async def aclose(self):
        self._break()

    def __del__(self):
        self._break()


def break_off(connection):
    """Close a connection, also while another thread waits for it."""
    if connection.sock:
        try:
            connection.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
    connection.close()


def counted(usage):
    """Prompt and completion count, None where there is none."""
    values = [usage.get(name) if isinstance(usage, dict) else None for name in ("prompt_tokens", "completion_tokens")]
    return [value if type(value) is int and value >= 0 else None for value in values]


def joined(content):
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content if part.get("type") == "text")
    return content or ""
