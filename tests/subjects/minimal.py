"""The least that keeps the promises: httpx, RuntimeError for all that goes wrong, no optional result, no stats in complete().

`set_model` is not a coroutine, unknown arguments are TypeErrors of Python's own, and there is no context window.
"""

import asyncio
import json
import os

import httpx


class Minimal:
    def __init__(self, model, base_url, sampling=None):
        self.model = model
        self.url = base_url.rstrip("/").removesuffix("/v1") + "/v1"
        self.sampling = sampling or {}
        scheme, _, rest = self.url.partition("://")
        self.url = f"{scheme}://{rest.rpartition('@')[2]}"  # httpx would send a user name in place of the key
        self.loop = None
        key = os.getenv("LITELLM_KEY", "").strip()
        if not key.isascii() or not key.isprintable():
            raise RuntimeError("the key is malformed")
        self.http = httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"} if key else {}, timeout=60)

    async def _ask(self, stream, messages, options):
        if self.loop not in (None, asyncio.get_running_loop()):
            raise RuntimeError("this client belongs to another event loop; make one for each")
        self.loop = asyncio.get_running_loop()
        for message in messages:
            for call in message.get("tool_calls", ()):
                if isinstance(call["function"]["arguments"], dict):
                    messages = json.loads(json.dumps(messages))
        for message in messages:
            for call in message.get("tool_calls", ()):
                if isinstance(call["function"]["arguments"], dict):
                    call["function"]["arguments"] = json.dumps(call["function"]["arguments"])
        body = {"model": self.model, "messages": messages, "stream": stream, **self.sampling}
        body.update({name: value for name, value in options.items() if value is not None})
        body = {name: value for name, value in body.items() if value is not None and value != [] and name != "top_k"}
        if "max_completion_tokens" not in body:
            body.setdefault("max_tokens", 512)
        if stream:
            body["stream_options"] = {"include_usage": True}
        request = self.http.build_request("POST", self.url + "/chat/completions", json=body)
        response = await self.http.send(request, stream=True)
        if response.status_code != 200:
            try:
                words = (await asyncio.wait_for(response.aread(), 10)).decode(errors="replace")[:1000]
            finally:
                await response.aclose()
            raise RuntimeError(f"{response.status_code}: {self._hide(words)}")
        return response

    def _hide(self, words):
        key = self.http.headers.get("authorization", "").removeprefix("Bearer ")
        return words.replace(key, "…") if key else words

    async def stream(self, messages, max_tokens=None, temperature=None, top_p=None, presence_penalty=None, stop=None, stats=None):
        options = {"max_tokens": max_tokens, "temperature": temperature, "top_p": top_p, "presence_penalty": presence_penalty, "stop": stop}
        response = await self._ask(True, messages, options)
        ended = finished = False
        usage = {}
        try:
            pending = bytearray()
            async for data in response.aiter_bytes():
                pending += data
                if b"\n" not in data and b"\r" not in data:
                    continue  # a long line: look again when there is something to see
                whole, pending = blocks(bytes(pending))
                for event in whole:
                    data = data_of(event)
                    if data is None:
                        continue
                    if data.strip() == "[DONE]":
                        ended = True
                        break
                    chunk = self._parse(data)
                    if is_error(event):
                        raise RuntimeError(self._hide(data))
                    usage = chunk.get("usage") or usage
                    for choice in chunk.get("choices") or []:
                        if choice.get("index", 0) != 0:
                            continue
                        if choice.get("error"):
                            raise RuntimeError(self._hide(data))
                        usage = choice.get("usage") or usage
                        finished = finished or bool(choice.get("finish_reason"))
                        delta = choice.get("delta") or {}
                        if delta.get("tool_calls") or delta.get("refusal"):
                            raise RuntimeError(f"not a text: {data}")
                        text = plain(delta.get("content"))
                        if text:
                            yield text
                if ended:
                    break
            if ended:
                await self._drain(response)
            elif not finished:
                raise RuntimeError("the reply is not complete")
        finally:
            await response.aclose()
        if stats is not None:
            for name in ("prompt_tokens", "completion_tokens"):
                if type(usage.get(name)) is int and usage[name] >= 0:
                    stats[name] = usage[name]
            if len(stats) == 2:
                stats["ctx_used"] = stats["prompt_tokens"] + stats["completion_tokens"]

    async def _drain(self, response):
        async def rest():
            async for _ in response.stream:
                pass

        try:
            await asyncio.wait_for(rest(), 0.3)
        except (TimeoutError, httpx.HTTPError):
            pass

    def _parse(self, data):
        try:
            chunk = json.loads(data)
        except ValueError:
            raise RuntimeError(f"not JSON: {self._hide(data[:1000])}") from None
        if not isinstance(chunk, dict) or chunk.get("error"):
            raise RuntimeError(self._hide(data[:1000]))
        return chunk

    async def complete(self, messages, max_tokens=None, temperature=None, top_p=None, presence_penalty=None, tools=None, stop=None):
        options = {"max_tokens": max_tokens, "top_p": top_p, "presence_penalty": presence_penalty, "stop": stop, "tools": tools}
        options["temperature"] = self.sampling.get("temperature", 0.0) if temperature is None else temperature
        response = await self._ask(False, messages, options)
        try:
            data = (await response.aread()).decode(errors="replace")
        finally:
            await response.aclose()
        reply = self._parse(data)
        found = [choice for choice in reply.get("choices") or [] if choice.get("index", 0) == 0]
        if not found or found[0].get("error") or found[0]["message"].get("refusal"):
            raise RuntimeError(f"no usable reply: {self._hide(data[:1000])}")
        calls = []
        for call in found[0]["message"].get("tool_calls") or []:
            arguments = call["function"].get("arguments") or "{}"
            arguments = arguments if isinstance(arguments, dict) else self._parse(arguments)
            calls.append({"id": call["id"], "name": call["function"]["name"], "arguments": arguments})
        usage = reply.get("usage") or {}
        counts = [usage.get(name) if type(usage.get(name)) is int and usage[name] >= 0 else 0 for name in ("prompt_tokens", "completion_tokens")]
        return {
            "content": plain(found[0]["message"].get("content")),
            "tool_calls": calls or None,
            "usage": {"prompt": counts[0], "completion": counts[1], "ctx_used": sum(counts), "ctx_max": None},
            "done_reason": found[0].get("finish_reason"),
        }

    async def prefill(self, messages):
        return None

    async def list_models(self):
        try:
            reply = await self.http.get(self.url + "/models", timeout=5)
            names = [one["id"] for one in reply.raise_for_status().json()["data"] if one and "id" in one]
        except Exception:
            return [self.model]
        return names or [self.model]

    def set_model(self, name):
        self.model = name

    async def aclose(self):
        await self.http.aclose()


def blocks(pending):
    """The whole events in some bytes, and the rest."""
    whole = pending.replace(b"\r\n", b"\n")
    if whole.endswith(b"\r"):
        whole, cr = whole[:-1], b"\r"
    else:
        cr = b""
    *events, rest = whole.replace(b"\r", b"\n").split(b"\n\n")
    return events, bytearray(rest + cr)


def data_of(event):
    """The data of an event, or None."""
    lines = event.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    data = [line[5:].removeprefix(b":").removeprefix(b" ") for line in lines if line == b"data" or line.startswith(b"data:")]
    return b"\n".join(data).decode(errors="replace") if data else None


def is_error(event):
    """Whether an event's type is error."""
    return any(line in (b"event: error", b"event:error") for line in event.split(b"\n"))


def plain(content):
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part.get("type") == "text")
    return content or ""
