"""What a provider answers to a request: contract × mock × request → script. No I/O; both faces of the gateway ask it.

Played strictly it refuses what the real provider refuses, with that provider's status and words: a missing or wrong
key, a body that breaks the contract, an unknown model. With refusals off it answers all the same and the journal is
judged afterwards, so that one mistake of a client breaks one clause and not every other.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from onpaper.contract import Contract, Violation
from onpaper.errors import nearest
from onpaper.exchange import Request, header_values
from onpaper.mock import Mock, Say, Trouble
from onpaper.script import Script, Write
from onpaper.shape import shape
from onpaper.wire.dialect import Asked, Speaker, compact
from onpaper.wire.template import fill

UNKNOWN_MODEL = "no-such-model"
"""The one model that a strict gateway does not know, so that anyone can provoke the provider's answer to it."""

MODELS = ("gpt-4o-mini", "openai/gpt-4o-mini", "Qwen/Qwen3.5-4B", "qwen3.5:4b")


class Provider:
    """A provider played by the gateway; call it with a request to get the script of its answer.

    `key` is the one right key (None: any that is not empty). `faults` turns a mock's list of faults into changes of
    the script. Safe to call from several threads.
    """

    def __init__(
        self,
        contract: Contract,
        mock: Mock | None = None,
        *,
        strict: bool = True,
        key: str | None = None,
        models: Sequence[str] = (),
        faults: Callable[[Script, Sequence[Mapping[str, Any]]], Script] | None = None,
    ) -> None:
        self.contract = contract
        self.mock = mock or Mock.load("hello")
        self.strict = strict
        self.key = key
        self.models = tuple(models) or self.mock.models or MODELS
        self._faults = faults
        self._given = [0] * len(self.mock.replies)
        self._number = 0
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Script:
        with self._lock:
            self._number += 1
            number = self._number
        kind = self.kind_of(request)
        speaker = Speaker(self.contract, Asked(number=number))
        if kind is None:
            wrong = self.contract.get("errors.method_not_allowed") and self._serves(request.path)
            situation = "method_not_allowed" if wrong else "unknown_path"
            return self._refuse(speaker, situation, method=request.method, path=request.path)
        if self.strict and not (kind == "models" and self.contract.get("auth.models_open")):
            refused = self._check_key(speaker, request)
            if refused is not None:
                return refused
        if kind == "models":
            return self._list_models(speaker, request)
        return self._chat(request, number)

    # ---- routes --------------------------------------------------------------------------------------------------

    def kind_of(self, request: Request) -> str | None:
        """`chat` or `models`, or None for a path or method that the provider does not serve."""
        path = request.path.rstrip("/") or "/"
        chat, models = self.contract.get("endpoint.chat", "/chat/completions"), self.contract.get("endpoint.models", "/models")
        prefixes = {self.contract.get("endpoint.prefix", ""), "", "/v1"}
        if request.method == "POST" and (path in {p + chat for p in prefixes} or self._deployment(path, chat)):
            return "chat"
        if request.method in ("GET", "HEAD") and self.contract.get("models.list") is not None:
            also = self.contract.get("models.also", {})
            if path in also or any(path == p + models or path.startswith(p + models + "/") for p in prefixes):
                return "models"
        return None

    def _serves(self, path: str) -> bool:
        """Whether the provider serves that path with any method."""
        requests = (Request(method, path) for method in ("GET", "POST"))
        return any(self.kind_of(request) is not None for request in requests)

    def _deployment(self, path: str, chat: str) -> bool:
        """Whether a path matches a prefix with a variable part, such as `/openai/deployments/{model}`."""
        parts = (self.contract.get("endpoint.prefix", "") + chat).split("/")
        given = path.split("/")
        return len(parts) == len(given) and all(
            part == other or (part.startswith("{") and other) for part, other in zip(parts, given, strict=True)
        )

    def _list_models(self, speaker: Speaker, request: Request) -> Script:
        models = self.contract.get("models", {})
        path = request.path.rstrip("/")
        entries = [fill(models.get("entry", {"id": "{model}"}), speaker.values | {"model": m}) for m in self.models]
        template = models.get("also", {}).get(path)
        listing = self.contract.get("endpoint.models", "/models")
        if template is None and not path.endswith(listing):
            wanted, one = path.partition(f"{listing}/")[2], models.get("one", "entry")
            if one == "missing":
                return self._refuse(speaker, "unknown_path", method=request.method, path=request.path)
            if one == "list":
                return self._listing(speaker, fill(models.get("list", {}), {"entries": entries}))
            if wanted not in self.models:
                return self._refuse(speaker, "unknown_model", model=wanted, param="model")
            value: Any = entries[self.models.index(wanted)]
        else:
            value = fill(template or models.get("list", {}), {"entries": entries})
        return self._listing(speaker, value)

    def _listing(self, speaker: Speaker, value: Any) -> Script:
        headers = speaker.headers(Say(), self.contract.get("models.content_type", "application/json"))
        return Script(200, headers, (Write(compact(value).encode()),), transfer="length")

    # ---- refusals ------------------------------------------------------------------------------------------------

    def _refuse(self, speaker: Speaker, situation: str, **quoted: Any) -> Script:
        status, headers, body = speaker.trouble(Trouble(situation), **quoted)
        return Script(status, headers, (Write(body),), transfer="length")

    def _check_key(self, speaker: Speaker, request: Request) -> Script | None:
        checked = self.contract.get("auth.checked", True)
        if not checked or (self.key is None and not self.contract.get("auth.required", False)):
            return None
        ways = [{"header": self.contract.auth_header, "form": self.contract.get("auth.form", "Bearer {key}")}]
        given = ""
        for way in [*ways, *self.contract.get("auth.also", ())]:
            before, _, after = way["form"].partition("{key}")
            for value in header_values(request.headers, way["header"]):
                value = value.strip()
                if value[: len(before)].lower() == before.lower() and value.endswith(after):
                    given = given or value[len(before) : len(value) - len(after)].strip()
        if not given:
            return self._refuse(speaker, "missing_key")
        if self.key is not None and given != self.key:
            return self._refuse(speaker, "wrong_key", key=f"{given[:3]}{'*' * 8}")
        return None

    def _check_body(self, speaker: Speaker, body: Any) -> Script | None:
        for violation in sorted(self.contract.violations(body), key=_refusal_order):
            if violation.situation == "unknown_parameter":
                nested = "/" in violation.pointer[1:]
                policy = self.contract.get("body.unknown_nested") if nested else None
                if (policy or self.contract.get("body.unknown", "refuse")) != "refuse":
                    continue
            elif self._tolerates(violation):
                continue
            name = violation.param.rpartition(".")[2]
            return self._refuse(
                speaker,
                self._situation(violation),
                param=violation.param,
                value=_shown(violation.value),
                json_value=violation.value,
                reason=violation.message,
                limit=violation.limit,
                nearest=nearest(name, self.contract.keys).partition("'")[2].partition("'")[0] or "stop",
            )
        return None

    def _tolerates(self, violation: Violation) -> bool:
        """Whether a value outside its range or type is taken all the same: `clamp` means its range only."""
        policy = self.contract.get("body.values", "refuse")
        if violation.situation in ("above_maximum", "below_minimum"):
            return policy in ("clamp", "ignore")
        return policy == "ignore" and violation.situation != "missing_parameter"

    def _situation(self, violation: Violation) -> str:
        """The situation of the contract that a violation is: the closest one that it has words for."""
        missing = violation.situation == "missing_parameter"
        if missing and violation.param == "model" and self.contract.get("errors.missing_model"):
            return "missing_model"
        return violation.situation if self.contract.get(f"errors.{violation.situation}") else "invalid_value"

    # ---- the chat call -------------------------------------------------------------------------------------------

    def _chat(self, request: Request, number: int) -> Script:
        try:
            body = request.json()
        except ValueError:
            body = None
        speaker = Speaker(self.contract, asked(body, number, self.contract))
        if self.strict:
            if body is None:
                return self._refuse(speaker, "malformed_json")
            refused = self._check_body(speaker, body)
            if refused is not None:
                return refused
            named = body.get("model") if isinstance(body, dict) else None
            if named == UNKNOWN_MODEL and self.contract.get("models.unknown") == "refuse":
                return self._refuse(speaker, "unknown_model", model=named, param="model")
        say = self._next(request, body if isinstance(body, dict) else {})
        if say is None:
            return self._no_match(speaker, request, body)
        say = shape(say, body if isinstance(body, dict) else {}, self.contract)
        script = speaker.script(say)
        if say.faults and self._faults is not None:
            script = self._faults(script, say.faults)
        return script

    def _next(self, request: Request, body: Mapping[str, Any]) -> Say | None:
        """The reply whose turn it is: the first that matches and has not been given often enough, or the last match."""
        with self._lock:
            matching = [n for n, say in enumerate(self.mock.replies) if not mismatches(say, request, body)]
            for number in matching:
                if number == matching[-1] or self._given[number] < (self.mock.replies[number].times or 1):
                    self._given[number] += 1
                    return self.mock.replies[number]
        return None

    def _no_match(self, speaker: Speaker, request: Request, body: Any) -> Script:
        misses = [mismatches(say, request, body if isinstance(body, dict) else {}) for say in self.mock.replies]
        closest = min(misses, key=len)
        problem = f"no reply of mock {self.mock.name!r} is for this request; the nearest one wants {'; '.join(closest)}"
        status, headers, raw = speaker.trouble(Trouble("server_error", status=500, message=f"onpaper: {problem}"))
        return Script(status, headers, (Write(raw),), transfer="length", problem=problem)


def mismatches(say: Say, request: Request, body: Mapping[str, Any]) -> list[str]:
    """What keeps a reply from being for a request, in words; empty when it is for it."""
    match, wrong = say.match, []
    if match.model is not None and body.get("model") != match.model:
        wrong.append(f"model {match.model!r}, found {body.get('model')!r}")
    if match.contains is not None and match.contains not in json.dumps(body.get("messages"), ensure_ascii=False):
        wrong.append(f"a message that contains {match.contains!r}")
    if match.path is not None and request.path != match.path:
        wrong.append(f"path {match.path!r}, found {request.path!r}")
    if match.stream is not None and bool(body.get("stream")) != match.stream:
        wrong.append(f"stream {match.stream}, found {body.get('stream')!r}")
    if match.tools is not None and bool(body.get("tools")) != match.tools:
        wrong.append("tools" if match.tools else "no tools")
    for name, value in match.headers.items():
        if value not in header_values(request.headers, name):
            wrong.append(f"header {name}: {value!r}, found {request.header(name)!r}")
    return wrong


def asked(body: Any, number: int, contract: Contract) -> Asked:
    """What of a request body shapes the reply."""
    if not isinstance(body, dict):
        return Asked(number=number)
    options = body.get("stream_options")
    choices = body.get("n")
    streams = body.get("stream", contract.protocol == "ndjson")  # Ollama's own protocol streams unless told not to
    counted = isinstance(choices, int) and not isinstance(choices, bool) and 1 <= choices <= 128 and "n" in contract.honoured
    return Asked(
        model=body["model"] if isinstance(body.get("model"), str) else "",
        stream=streams is True,
        usage=isinstance(options, dict) and options.get("include_usage") is True,
        obfuscated=not isinstance(options, dict) or options.get("include_obfuscation") is not False,
        named_tool=isinstance(body.get("tool_choice"), dict),
        choices=choices if counted else 1,
        number=number,
    )


def _refusal_order(violation: Violation) -> tuple[int, str]:
    """Providers look for missing keys first, then for unknown ones, then at values."""
    order = {"missing_parameter": 0, "unknown_parameter": 1}
    return order.get(violation.situation, 2), violation.pointer


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

