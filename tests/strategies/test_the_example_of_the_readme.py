"""What the README tells a newcomer to copy runs as it stands."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

README = Path(__file__).resolve().parents[2] / "README.md"


def functions_of(section: str) -> dict[str, Callable[[], None]]:
    """The test functions of the first Python example in a section of the README."""
    (text,) = re.findall(rf"^## {section}$(.*?)(?=^## )", README.read_text("utf-8"), re.M | re.S)
    example = re.search(r"^```python\n(.*?)^```", text, re.M | re.S)
    assert example is not None
    names: dict[str, Any] = {}
    exec(compile(example[1], str(README), "exec"), names)
    return {name: value for name, value in names.items() if name.startswith("test_")}


PROPERTIES = functions_of("Property tests on your own client")


@pytest.mark.parametrize("name", PROPERTIES)
def test_the_property_tests_pass(name: str) -> None:
    PROPERTIES[name]()
