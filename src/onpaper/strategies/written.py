"""A counterexample written down: as a mock file, and as a pytest test that is ready to be committed."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from onpaper.script import Script
from onpaper.strategies.on_replies import Cut, Faulty
from onpaper.strategies.on_requests import Call, Given
from onpaper.strategies.search import Counterexample
from onpaper.strategies.subject import MESSAGES
from onpaper.wire import sse


def name_of(found: Counterexample) -> str:
    """A name for the mock and the test: the property's, without its topic."""
    return "found-" + found.property.id.rpartition("/")[2]


def as_mock(found: Counterexample) -> str:
    """The reply of the case as a mock file (TOML), byte for byte; empty when the case is not about a reply."""
    case = found.case
    if not isinstance(case, (Cut, Faulty)):
        return ""
    script = case.reply.script
    faults = list(case.schedule) if isinstance(case, Faulty) else []
    if isinstance(case, Cut) and case.offsets:
        faults = [{"fault": "split", "at": list(case.offsets)}]
    lines = [f"about = {json.dumps('Found by ' + found.property.id)}", "", "[[reply]]", *_body(script)]
    if faults:
        lines.append("faults = [" + ", ".join(_inline(one) for one in faults) + "]")
    return "\n".join(lines) + "\n"


def _body(script: Script) -> list[str]:
    kind = next((value for name, value in script.headers if name.lower() == "content-type"), "")
    raw = b"".join(write.data for write in script.writes)
    if script.transfer == "length":
        return [f"status = {script.status}", f"content_type = {json.dumps(kind)}", f"body = {_text(raw)}"]
    events, pending = sse.decode([raw])
    if not pending and b"".join(sse.encode(event) for event in events) == raw:
        return ["events = [", *(f"  {json.dumps(event.data, ensure_ascii=False)}," for event in events), "]"]
    return ["events = []", f"inject = [{{ at = 0, hex = {json.dumps(raw.hex())} }}]  # {_comment(raw)}"]


def _text(raw: bytes) -> str:
    return json.dumps(raw.decode("utf-8", "replace"), ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(raw: bytes) -> str:
    """The bytes as a person reads them, on one line."""
    shown = repr(raw)[2:-1]
    return shown if len(shown) <= 600 else f"{shown[:300]} … {shown[-300:]}"


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_inline(item)}" for key, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_inline(item) for item in value) + "]"
    return json.dumps(value)


def as_test(found: Counterexample, factory: str, contract: str, model: str, env: Mapping[str, str]) -> str:
    """The case as a pytest test over the fixture `gateway`.

    `factory` is `package.module:Class`, `contract` a name; `env` are the variables of the declaration. A case that is
    a sequence of calls becomes a test that runs the property again.
    """
    module, _, attribute = factory.partition(":")
    title = re.sub(r"\W", "_", name_of(found))
    case = found.case
    lines = [
        "import pytest",
        "",
        *(["from onpaper import Contract"] if found.property.id == "property/body-accepted" else []),
        f"from {module} import {attribute.partition('.')[0]}",
        "",
        "",
        f"async def test_{title}(gateway, monkeypatch):",
        f'    """{found.property.rule}"""',
    ]
    lines += [
        f"    monkeypatch.setenv({name!r}, {value.replace('{key}', 'sk-test')!r})"
        for name, value in env.items()
        if "{base_url}" not in value
    ]
    if isinstance(case, (Cut, Faulty)):
        lines += _reply_test(found, case, attribute, model, contract)
    elif isinstance(case, (Given, Call)):
        lines += _request_test(found, case, attribute, model, contract)
    else:
        steps = case if isinstance(case, tuple) else (repr(case),)
        lines += [f"    # {line}" for step in steps for line in str(step).splitlines()]
        lines += [f'    pytest.fail("run it again: onpaper check {factory} --clause {found.property.id}")']
    return "\n".join(lines) + "\n"


def _made(attribute: str, model: str, constructor: Mapping[str, Any]) -> str:
    sampling = f", sampling={dict(constructor)!r}" if constructor else ""
    return f"    backend = {attribute}(model={model!r}, base_url=gateway.url{sampling})"


def _reply_test(
    found: Counterexample, case: Cut | Faulty, attribute: str, model: str, contract: str
) -> list[str]:
    said = case.reply.reading
    call = (
        '"".join([piece async for piece in backend.stream([{"role": "user", "content": "hi"}])])'
        if case.reply.asked.stream
        else '(await backend.complete([{"role": "user", "content": "hi"}]))["content"]'
    )
    lines = [
        f"    gateway.play({name_of(found)!r}, provider={contract!r}, strict=False)",
        _made(attribute, model, {}),
    ]
    if isinstance(case, Faulty):
        whole = f"    assert text == {said.text!r}"
        return [
            *lines,
            "    try:",
            f"        text = {call}",
            "    except Exception:",
            "        return  # an error is right",
            whole,
        ]
    if said.error is not None or said.problems:
        return [*lines, "    with pytest.raises(Exception):", f"        {call}"]
    return [*lines, f"    assert {call} == {said.text!r}"]


def _request_test(
    found: Counterexample, case: Given | Call, attribute: str, model: str, contract: str
) -> list[str]:
    given = case if isinstance(case, Given) else case.given
    arguments = given.kwargs if isinstance(case, Given) else case.arguments
    messages = MESSAGES if isinstance(case, Given) else case.messages
    shown = "".join(f", {name}={_literal(value)}" for name, value in arguments.items())
    lines = [
        f"    gateway.play(provider={contract!r}, strict=False)",
        _made(attribute, model, given.constructor),
    ]
    if found.property.id == "property/not-a-number":
        call = f"backend.{given.method}({messages!r}{shown})"
        ask = f"[piece async for piece in {call}]" if given.method == "stream" else f"await {call}"
        return [
            *lines,
            "    with pytest.raises(Exception):",
            f"        {ask}",
            "    assert len(gateway.journal) == 0",
        ]
    if given.method == "stream":
        lines += [f"    async for _ in backend.stream({messages!r}{shown}):", "        pass"]
    else:
        lines.append(f"    await backend.complete({messages!r}{shown})")
    lines.append("    body = gateway.journal[-1].request.json()")
    wanted = {**given.constructor, **{name: value for name, value in given.call.items() if value is not None}}
    lines += [
        f"    assert body[{name!r}] == {value!r}" for name, value in wanted.items() if value is not None
    ]
    if found.property.id == "property/body-accepted":
        lines.append(f"    assert Contract.load({contract!r}).violations(body) == []")
    return lines


def _literal(value: Any) -> str:
    """A value as Python source: `repr` gives names that are not there for what is no finite number."""
    return f"float({str(value)!r})" if isinstance(value, float) and not math.isfinite(value) else repr(value)
