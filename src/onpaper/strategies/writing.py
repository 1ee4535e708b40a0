"""A case that was found, written down to be kept: as a mock file, and as a test of one's own."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Any

from onpaper.mock import Say
from onpaper.strategies.on_replies import Cut, Faulty
from onpaper.strategies.replies import Spoken, spoken
from onpaper.strategies.search import Counterexample

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")


@dataclass(frozen=True, slots=True)
class Written:
    """`test` is the source of a pytest module. `mock` is a file for the folder `mocks/`, where the case is a reply."""

    name: str
    test: str
    mock: str | None


def written(
    found: Counterexample,
    factory: str,
    provider: str,
    args: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
) -> Written:
    """The case as files. `factory` is `package.module:Class`, called with `args`, `base_url` and what the case gives.

    The test fails until the backend is put right: it needs onpaper's `gateway` fixture, and asynchronous tests
    to be switched on. The steps of a state machine are not written one by one; the test looks for them again,
    from the same `seed`.
    """
    name = found.property.id.partition("/")[2]
    case = found.case
    mock = None
    if isinstance(case, (Cut, Faulty)):
        mock = mock_file(f"{found.property.rule} Found: {str(found.broken).splitlines()[0]}", case)
    return Written(name, _test(found, factory, provider, args or {}, seed), mock)


# ---- the mock ------------------------------------------------------------------------------------------------------


def mock_file(about: str, case: Cut | Faulty) -> str:
    """The reply of a case as TOML, in the shape of `mocks/<mock>.toml`."""
    faults = [{"fault": "split", "at": list(case.offsets)}] if isinstance(case, Cut) else list(case.schedule)
    lines = ["#:schema ../src/onpaper/schemas/mock.json", f"about = {toml(about)}", "", "[[reply]]"]
    lines += [f"{key} = {toml(value)}" for key, value in reply_table(case.reply.say).items()]
    lines += [f"faults = {toml(faults)}"] if faults else []
    return "\n".join(lines) + "\n"


def reply_table(say: Say) -> dict[str, Any]:
    """What is said, as a mock's `reply` table."""
    table: dict[str, Any] = {
        "text": list(say.text),
        "reasoning": list(say.reasoning),
        "tool_calls": [
            {"name": one.name, "arguments": list(one.arguments), "id": one.id} for one in say.tool_calls
        ],
        "finish": say.finish,
        "framing": {key: _listed(value) for key, value in say.framing.items()},
    }
    table = {key: value for key, value in table.items() if value}
    if say.usage != Say().usage:
        table["usage"] = dict(say.usage) if say.usage is not None else False
    if say.error is not None:
        inside = say.error.pieces is not None
        table["error_after" if inside else "error"] = dict(_unusual(say.error))
    return table


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, tuple) else value


def toml(value: Any) -> str:
    """A value as TOML writes it in one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_toml_key(key)} = {toml(item)}" for key, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(toml, value))}]"
    # TOML's basic strings have JSON's escapes, and want one for DEL, too.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml_key(key: str) -> str:
    return key if BARE_KEY.match(key) else toml(key)


# ---- the test ------------------------------------------------------------------------------------------------------


def _test(found: Counterexample, factory: str, provider: str, args: Mapping[str, Any], seed: int) -> str:
    module, _, attribute = factory.partition(":")
    given = "".join(f"{key}={expression(value)}, " for key, value in args.items())
    rule = found.property
    steps = [
        f'contract = Contract.load("{provider}")',
        f"make = lambda **given: {attribute}({given}base_url=gateway.url, **given)  # noqa: E731",
        "subject = strategies.Subject(make, contract, gateway)",
        f'rule = strategies.properties()["{rule.id}"]',
    ]
    if rule.machine is not None:
        steps += [
            f"# the smallest case found: {'; '.join(found.case)}",
            "with asyncio.Runner() as runner:",
            f"    assert strategies.search(rule, subject, runner.run, seed={seed}) is None",
        ]
    else:
        steps += [f"case = {expression(found.case)}", "await rule.judge(subject, case)"]
    imports = ["import asyncio", ""] if rule.machine is not None else []
    imports += [
        f"from {module} import {attribute.partition('.')[0]}",
        "",
        "from onpaper import Contract, strategies",
    ]
    imports += [
        f"from {one.__module__} import {one.__name__}" for one in sorted(used_types(found.case), key=repr)
    ]
    if isinstance(found.case, (Cut, Faulty)):
        imports.append(f"from {spoken.__module__} import {spoken.__name__}")
    start = "def" if rule.machine is not None else "async def"
    name = rule.id.partition("/")[2].replace("-", "_")
    lines = [*imports, "", "", f"{start} test_{name}(gateway):", f'    """{rule.rule}"""']
    return "\n".join([*lines, *(f"    {step}" for step in steps)]) + "\n"


def expression(value: Any) -> str:
    """A value as Python source."""
    if isinstance(value, Spoken):
        return f"spoken(contract, {expression(value.say)}, stream={value.asked.stream})"
    if is_dataclass(value) and not isinstance(value, type):
        inner = ", ".join(f"{name}={expression(item)}" for name, item in _unusual(value))
        return f"{type(value).__name__}({inner})"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {expression(item)}" for key, item in value.items()) + "}"
    if isinstance(value, tuple):
        return "(" + "".join(f"{expression(item)}, " for item in value).rstrip() + ")"
    if isinstance(value, list):
        return "[" + ", ".join(map(expression, value)) + "]"
    return repr(value)


def _unusual(value: Any) -> Iterator[tuple[str, Any]]:
    """The fields of a dataclass that differ from their defaults."""
    for one in fields(value):
        held = getattr(value, one.name)
        if _default(one) is MISSING or held != _default(one):
            yield one.name, held


def _default(one: Field[Any]) -> Any:
    return one.default if one.default_factory is MISSING else one.default_factory()


def used_types(value: Any) -> set[type]:
    """The dataclasses that the source of a value names."""
    if isinstance(value, Spoken):
        return used_types(value.say)
    if is_dataclass(value) and not isinstance(value, type):
        inner = [used_types(item) for _, item in _unusual(value)]
        return {type(value)}.union(*inner)
    if isinstance(value, (list, tuple)):
        return set().union(*map(used_types, value))
    return set()
