"""What a provider answers to a request: contract × mock × request → script. No I/O; both faces of the
gateway ask it.

Played strictly it refuses what the real provider refuses, with that provider's status and words: a missing
or wrong key, a body that breaks the contract, an unknown model. With refusals off it answers all the same
and the journal is judged afterwards, so that one mistake of a client breaks one clause and not every other.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

from onpaper.contract import Contract
from onpaper.exchange import Request, header_values
from onpaper.mock import Mock, Say, Trouble
from onpaper.paths import Call
from onpaper.refusal import Refusal, column, refusal, unparsed
from onpaper.script import Script, Write
from onpaper.shape import shape
from onpaper.upstream import Upstream
from onpaper.wire.dialect import Asked, Speaker, compact
from onpaper.wire.template import fill

UNKNOWN_MODEL = "no-such-model"
"""The one model that a strict gateway does not know, so that anyone can provoke the provider's answer to
it."""

TURNS = 16
"""After how many requests the ids of replies come round again, where nothing else tells requests apart."""
REMEMBERED = 64
"""How many different requests, and how many different replies, a provider remembers its answers to."""
LARGEST = 32 * 1024
"""The largest request body that is remembered, in bytes."""

MODELS = ("gpt-4o-mini", "openai/gpt-4o-mini", "Qwen/Qwen3.5-4B", "qwen3.5:4b")


class Provider:
    """A provider played by the gateway; call it with a request to get the script of its answer.

    `key` is the one right key (None: any that is not empty). `faults` turns a mock's list of faults into
    changes of the script. `upstream` is the contract behind a gateway, and `drop_params` whether the
    gateway drops what that one does not take instead of refusing it; BadInput when the gateway's contract
    does not know the upstream. Safe to call from several threads.
    """

    def __init__(
        self,
        contract: Contract,
        mock: Mock | None = None,
        *,
        strict: bool = True,
        key: str | None = None,
        models: Sequence[str] = (),
        upstream: Contract | None = None,
        drop_params: bool = False,
        faults: Callable[[Script, Sequence[Mapping[str, Any]]], Script] | None = None,
    ) -> None:
        self.contract = contract
        self.mock = mock or Mock.load("hello")
        self.strict = strict
        self.key = key
        self.models = tuple(models) or self.mock.models or MODELS
        self.upstream = None if upstream is None else Upstream(contract, upstream, drop_params)
        self._faults = faults
        self._given = [0] * len(self.mock.replies)
        self._number = 0
        self._lock = threading.Lock()
        self._listened = self._headers_that_matter()
        self._answers: dict[Any, Script] = {}
        self._spoken: dict[Any, Script] = {}

    def afresh(self) -> Provider:
        """This provider as it was before its first request, except that it remembers what it has put into words."""
        other = copy(self)
        other._answers = {}
        other._given = [0] * len(self.mock.replies)
        other._number = 0
        other._lock = threading.Lock()
        return other

    def _headers_that_matter(self) -> tuple[str, ...] | None:
        """The headers that an answer depends on, in lower case; None when it depends on its turn as well."""
        if len(self.mock.replies) > 1:
            return None
        keys = [name for name, _ in self.contract.auth_ways]
        unknown = self.contract.get("body.unknown_header")
        names = [*keys, *self.mock.replies[0].match.headers, *([unknown] if unknown else [])]
        if self.contract.get("errors.wrong_content_type"):
            names.append("content-type")
        return tuple(dict.fromkeys(name.lower() for name in names))

    def __call__(self, request: Request) -> Script:
        """The script of the answer. Equal requests get the same `TURNS` scripts in turn, so that a load test
        measures the client and not the templates.
        """
        with self._lock:
            self._number += 1
            number = self._number
        if self._listened is None or len(request.body) > LARGEST:
            return self._answer(request, number)
        heard = tuple((name.lower(), value) for name, value in request.headers if name.lower() in self._listened)
        asked_before = (request.method, request.target, heard, request.body, number % TURNS)
        script = self._answers.get(asked_before)
        if script is None:
            script = _remember(self._answers, asked_before, self._answer(request, number % TURNS))
        return script

    def _answer(self, request: Request, number: int) -> Script:
        paths = self.contract.paths
        call = paths.call(request.method, request.path)
        speaker = Speaker(self.contract, Asked(number=number))
        if call is None:
            wrong = self.contract.get("errors.method_not_allowed") and paths.serves(request.path)
            situation = "method_not_allowed" if wrong else "unknown_path"
            return self._refuse(speaker, situation, method=request.method, path=request.path)
        if self.strict and not (call.kind == "models" and self.contract.get("auth.models_open")):
            refused = self._check_key(speaker, request)
            if refused is not None:
                return refused
        if call.kind == "models":
            return self._list_models(speaker, request, call.model)
        return self._chat(request, number, call)

    # ---- routes --------------------------------------------------------------------------------------------

    def kind_of(self, request: Request) -> str | None:
        """`chat` or `models`, or None for a path or method that the provider does not serve."""
        call = self.contract.paths.call(request.method, request.path)
        return call and call.kind

    def _list_models(self, speaker: Speaker, request: Request, wanted: str | None) -> Script:
        models = self.contract.get("models", {})
        named = {"first": self.models[0], "last": self.models[-1], "model": self.models[0]}
        entries = [
            fill(models.get("entry", {"id": "{model}"}), speaker.values | {"model": m}) for m in self.models
        ]
        template = models.get("also", {}).get(request.path, models.get("list", {}))
        one = "list" if wanted is None else models.get("one", "entry")
        if one == "missing":
            return self._refuse(speaker, "unknown_path", method=request.method, path=request.path)
        if one == "list":
            return self._listing(speaker, fill(template, named | {"entries": entries}))
        if wanted not in self.models:
            return self._refuse(speaker, "unknown_model", model=wanted, param="model")
        return self._listing(speaker, entries[self.models.index(wanted)])

    def _listing(self, speaker: Speaker, value: Any) -> Script:
        headers = speaker.headers(Say(), self.contract.get("models.content_type", "application/json"))
        return Script(200, headers, (Write(compact(value).encode()),), transfer="length")

    # ---- refusals ------------------------------------------------------------------------------------------

    def _refuse(self, speaker: Speaker, situation: str, **quoted: Any) -> Script:
        status, headers, body = speaker.trouble(Trouble(situation), **quoted)
        return Script(status, headers, (Write(body),), transfer="length")

    def _check_key(self, speaker: Speaker, request: Request) -> Script | None:
        checked = self.contract.get("auth.checked", True)
        if not checked or (self.key is None and not self.contract.get("auth.required", False)):
            return None
        given = ""
        for header, form in self.contract.auth_ways:
            before, _, after = form.partition("{key}")
            for value in header_values(request.headers, header):
                value = value.strip()
                if value[: len(before)].lower() == before.lower() and value.endswith(after):
                    given = given or value[len(before) : len(value) - len(after)].strip()
        if not given:
            return self._refuse(speaker, "missing_key")
        if self.key is not None and given != self.key:
            return self._refuse(speaker, "wrong_key", key=f"{given[:3]}{'*' * 8}", key_end=given[-4:])
        return None

    def _check_body(self, speaker: Speaker, request: Request, body: Any) -> Script | None:
        """The refusal of a body, if it is refused: the provider's own, or its upstream's in its envelope."""
        if self.upstream is None:
            header_name = self.contract.get("body.unknown_header")
            policy = (request.header(header_name) or "").strip().lower() if header_name else ""
            refused = refusal(self.contract, body, policy, request.body)
            return None if refused is None else self._refuse(speaker, refused.situation, **refused.quoted)
        own = self.upstream.refusal(body) or self._missing(request, body)
        if own is not None:
            return self._refuse(speaker, own.situation, **own.quoted)
        behind = self.upstream.refused(body)
        if behind is None:
            return None
        trouble, quoted = self.upstream.relayed(Trouble(behind.situation), speaker.asked, behind.quoted)
        status, headers, raw = speaker.trouble(trouble, **quoted)
        return Script(status, headers, (Write(raw),), transfer="length")

    def _missing(self, request: Request, body: Any) -> Refusal | None:
        """A gateway looks itself for what it needs to choose an upstream; all else it passes on."""
        refused = refusal(self.contract, body, raw=request.body)
        missing = refused is not None and refused.situation.startswith("missing_")
        return refused if missing else None

    # ---- the chat call -------------------------------------------------------------------------------------

    def _chat(self, request: Request, number: int, call: Call) -> Script:
        try:
            body = call.completed(request.json())
        except ValueError:
            body = None
        speaker = Speaker(self.contract, asked(body, number, self.contract))
        if self.strict:
            if self.contract.get("errors.wrong_content_type") and _is_mislabelled(request):
                sent = request.body.decode("utf-8", "replace")
                return self._refuse(speaker, "wrong_content_type", json_body=sent)
            if body is None:
                return self._refuse(speaker, unparsed(self.contract, request.body), column=column(request.body))
            refused = self._check_body(speaker, request, body)
            if refused is not None:
                return refused
            named = body.get("model") if isinstance(body, dict) else None
            if named == UNKNOWN_MODEL and self.contract.get("models.unknown") == "refuse":
                return self._refuse(speaker, "unknown_model", model=named, param="model")
        said = self._next(request, body if isinstance(body, dict) else {})
        if said is None:
            return self._no_match(speaker, request, body)
        say = shape(said, body if isinstance(body, dict) else {}, self.contract)
        said_before = (id(said), replace(speaker.asked, number=number % TURNS)) if say is said else None
        script = self._spoken.get(said_before)
        if script is None:
            script = self._relayed(speaker, say) or speaker.script(say)
            if say.faults and self._faults is not None:
                script = self._faults(script, say.faults)
            if said_before is not None:
                _remember(self._spoken, said_before, script)
        return script

    def _relayed(self, speaker: Speaker, say: Say) -> Script | None:
        """An error of the mock, when it comes from behind a gateway and is the whole answer."""
        if (
            self.upstream is None
            or say.error is None
            or not say.error.situation
            or say.error.pieces is not None
        ):
            return None
        trouble, quoted = self.upstream.relayed(say.error, speaker.asked, {})
        status, headers, raw = speaker.trouble(trouble, **quoted)
        return Script(status, (*headers, *say.headers.items()), (Write(raw),), transfer="length")

    def _next(self, request: Request, body: Mapping[str, Any]) -> Say | None:
        """The reply whose turn it is: the first that matches and has not been given often enough, or the
        last match."""
        with self._lock:
            matching = [n for n, say in enumerate(self.mock.replies) if not mismatches(say, request, body)]
            for number in matching:
                if number == matching[-1] or self._given[number] < (self.mock.replies[number].times or 1):
                    self._given[number] += 1
                    return self.mock.replies[number]
        return None

    def _no_match(self, speaker: Speaker, request: Request, body: Any) -> Script:
        misses = [
            mismatches(say, request, body if isinstance(body, dict) else {}) for say in self.mock.replies
        ]
        closest = min(misses, key=len)
        wanted = "; ".join(closest)
        problem = f"no reply of mock {self.mock.name!r} is for this request; the nearest one wants {wanted}"
        status, headers, raw = speaker.trouble(
            Trouble("server_error", status=500, message=f"onpaper: {problem}")
        )
        return Script(status, headers, (Write(raw),), transfer="length", problem=problem)


def _is_mislabelled(request: Request) -> bool:
    """Whether a request calls its body anything but JSON; one without a label is not."""
    label = request.header("content-type")
    return label is not None and label.partition(";")[0].strip().lower() != "application/json"


def _remember(scripts: dict[Any, Script], key: Any, script: Script) -> Script:
    if len(scripts) >= REMEMBERED * TURNS:
        scripts.clear()
    scripts[key] = script
    return script


def mismatches(say: Say, request: Request, body: Mapping[str, Any]) -> list[str]:
    """What keeps a reply from being for a request, in words; empty when it is for it."""
    match, wrong = say.match, []
    if match.model is not None and body.get("model") != match.model:
        wrong.append(f"model {match.model!r}, found {body.get('model')!r}")
    if match.contains is not None and match.contains not in json.dumps(
        body.get("messages"), ensure_ascii=False
    ):
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
    # lines of JSON stream unless told not to (Ollama's docs/api.md)
    streams = body.get("stream", contract.protocol == "ndjson")
    return Asked(
        model=body["model"] if isinstance(body.get("model"), str) else "",
        stream=streams is True,
        usage=isinstance(options, dict) and options.get("include_usage") is True,
        continuous=isinstance(options, dict) and options.get("continuous_usage_stats") is True,
        obfuscated=not isinstance(options, dict) or options.get("include_obfuscation") is not False,
        named_tool=isinstance(body.get("tool_choice"), dict),
        choices=choices if type(choices) is int and 1 <= choices <= 128 and "n" in contract.honoured else 1,
        number=number,
    )
