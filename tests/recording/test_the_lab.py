"""The lab's command line, without a server: what it names, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LAB = Path(__file__).parents[2] / "recipes" / "lab.py"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("record", "litelm"), "there is no server 'litelm'; did you mean 'litellm'? Known: "), (("serve",), "name a server, or --all. Known: ")],
)
def test_a_server_that_is_not_known_is_bad_input(arguments: tuple[str, ...], words: str) -> None:
    done = subprocess.run([sys.executable, LAB, *arguments], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"lab: {words}") and len(done.stderr.splitlines()) == 1
