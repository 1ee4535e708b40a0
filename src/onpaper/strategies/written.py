"""A counterexample written down: as a mock file, and as a pytest test that is ready to be committed."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Mapping
from typing import Any

from onpaper import tomltext
from onpaper.contract import Contract
from onpaper.script import Script
from onpaper.strategies.calls import Call, Given, Sequence
from onpaper.strategies.on_replies import Cut, Faulty
from onpaper.strategies.sampling import named_by, place
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
        lines.append("faults = [" + ", ".join(tomltext.inline(one) for one in faults) + "]")
    return "\n".join(lines) + "\n"


def _body(script: Script) -> list[str]:
    kind = next((value for name, value in script.headers if name.lower() == "content-type"), "")
    raw = b"".join(write.data for write in script.writes)
    if script.transfer == "length":
        return [f"status = {script.status}", f"content_type = {json.dumps(kind)}", f"body = {_text(raw)}"]
    events, pending = sse.decode([raw])
    if not pending and b"".join(sse.encode(event) for event in events) == raw:
        return ["events = [", *(f"  {tomltext.text(event.data)}," for event in events), "]"]
    return ["events = []", f"inject = [{{ at = 0, hex = {json.dumps(raw.hex())} }}]  # {_comment(raw)}"]


def _text(raw: bytes) -> str:
    return tomltext.text(raw.decode("utf-8", "replace"))


def _comment(raw: bytes) -> str:
    """The bytes as a person reads them, on one line."""
    shown = repr(raw)[2:-1]
    return shown if len(shown) <= 600 else f"{shown[:300]} … {shown[-300:]}"


def as_test(
    found: Counterexample,
    factory: str,
    contract: str,
    model: str,
    env: Mapping[str, str],
    *,
    name: str = "",
    again: str = "",
) -> str:
    """The case as a pytest test over the fixture `gateway`.

    `factory` is `package.module:Class`, `contract` a name; `env` are the variables of the declaration. `name`
    is what the mock is called, if not `name_of(found)`. The steps of a state machine become a test that says
    how to look for them `again`: with which command.
    """
    module, _, attribute = factory.partition(":")
    name = name or name_of(found)
    title = re.sub(r"\W", "_", name)
    case = found.case
    if isinstance(case, (Cut, Faulty)):
        body = _reply_test(name, case, attribute, model, contract)
    elif isinstance(case, (Given, Call)):
        body = _request_test(found, case, attribute, model, contract)
    elif isinstance(case, Sequence):
        body = _sequence_test(case, attribute, model, contract)
    else:
        steps = case if isinstance(case, tuple) else (repr(case),)
        body = [f"# {line}" for step in steps for line in str(step).splitlines()]
        command = again or _command(found, factory, contract, model, env)
        body.append(f"pytest.fail({'run it again: ' + command!r})")
    variables = {name: value for name, value in env.items() if "{base_url}" not in value}
    setting = [
        f"monkeypatch.setenv({name!r}, {value.replace('{key}', 'sk-test')!r})"
        for name, value in variables.items()
    ]
    text = "\n".join(f"    {line}" for line in [*setting, *body])
    imports = ["import copy"] * ("copy." in text) + ["", "import pytest", ""]
    imports += ["from onpaper import Contract"] * ("Contract." in text)
    imports.append(f"from {module} import {attribute.partition('.')[0]}")
    head = "\n".join(imports).strip("\n").replace("\n\n\n", "\n\n")
    arguments = "gateway, monkeypatch" if setting else "gateway"
    return f'{head}\n\n\n@pytest.mark.asyncio\nasync def test_{title}({arguments}):\n    """{found.property.rule}"""\n{text}\n'


def _command(
    found: Counterexample, factory: str, contract: str, model: str, env: Mapping[str, str]
) -> str:
    """The command that judges the property again."""
    given = ["onpaper", "check", factory, "--contract", contract, "--model", model]
    given += [part for name, value in env.items() for part in ("--env", f"{name}={value}")]
    return shlex.join([*given, "--clause", found.property.id])


def _made(attribute: str, model: str, constructor: Mapping[str, Any]) -> str:
    sampling = f", sampling={_literal(constructor)}" if constructor else ""
    return f"backend = {attribute}(model={model!r}, base_url=gateway.url{sampling})"


def _call(given: Given, messages: str, arguments: Mapping[str, Any]) -> str:
    """A call to its end, as an expression."""
    shown = "".join(f", {name}={_literal(value)}" for name, value in arguments.items())
    call = f"backend.{given.method}({messages}{shown})"
    return f"[piece async for piece in {call}]" if given.method == "stream" else f"await {call}"


def _reply_test(
    name: str, case: Cut | Faulty, attribute: str, model: str, contract: str
) -> list[str]:
    said = case.reply.reading
    ask = _call(Given("stream" if case.reply.asked.stream else "complete"), repr(MESSAGES), {})
    text = f'"".join({ask})' if case.reply.asked.stream else f'({ask})["content"]'
    lines = [
        f"gateway.play({name!r}, provider={contract!r}, strict=False)",
        _made(attribute, model, {}),
    ]
    if isinstance(case, Faulty):
        whole = f"assert text == {said.text!r}"
        return [
            *lines,
            "try:",
            f"    text = {text}",
            "except Exception:",
            "    return  # an error is right",
            whole,
        ]
    if said.error is not None or said.problems:
        return [*lines, "with pytest.raises(Exception):", f"    {ask}"]
    return [*lines, f"assert {text} == {said.text!r}"]


def _request_test(
    found: Counterexample, case: Given | Call, attribute: str, model: str, contract: str
) -> list[str]:
    given = case if isinstance(case, Given) else case.given
    arguments = given.kwargs if isinstance(case, Given) else case.arguments
    messages = MESSAGES if isinstance(case, Given) else case.messages
    lines = [
        f"gateway.play(provider={contract!r}, strict=False)",
        _made(attribute, model, given.constructor),
        f"messages = {messages!r}",
    ]
    ask = _call(given, "messages", arguments)
    if found.property.id == "property/not-a-number":
        play, make, say = lines
        refused = ["with pytest.raises(Exception):", f"    {make}", f"    {ask}"]
        return [play, say, *refused, "assert len(gateway.journal) == 0"]
    if found.property.id == "property/arguments-untouched":
        return [*lines, "before = copy.deepcopy(messages)", ask, "assert messages == before"]
    lines += [ask, "body = gateway.journal[-1].request.json()"]
    if found.property.id == "property/body-accepted":
        return [*lines, f"assert Contract.load({contract!r}).violations(body) == []"]
    called = {name: value for name, value in given.call.items() if value is not None}
    wanted = {**{name: value for name, value in given.constructor.items() if value is not None}, **called}
    return lines + [
        f"assert body{_place(contract, name)} == {_literal(value)}" for name, value in wanted.items()
    ]


def _place(contract: str, name: str) -> str:
    """Where a parameter stands in a body, as subscripts."""
    provider = Contract.load(contract)
    where = place(provider, next(iter(named_by(provider, name)), name)) or (name,)
    return "".join(f"[{key!r}]" for key in where)


def _sequence_test(case: Sequence, attribute: str, model: str, contract: str) -> list[str]:
    first, between = (_call(one, repr(MESSAGES), one.kwargs) for one in (case.first, case.between))
    return [
        f"gateway.play(provider={contract!r}, strict=False)",
        _made(attribute, model, case.first.constructor),
        first,
        between,
        first,
        "before, _, after = [one.request.body for one in gateway.journal]",
        "assert after == before",
    ]


def _literal(value: Any) -> str:
    """A value as Python source: `repr` gives names that are not there for what is no finite number."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_literal(item)}" for key, item in value.items()) + "}"
    return f"float({str(value)!r})" if isinstance(value, float) and not math.isfinite(value) else repr(value)
