"""What a project declares in its pyproject.toml: read as it is meant, or refused in one sentence."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from onpaper.driving import declaration
from onpaper.errors import BadInput

DECLARED = """
[tool.onpaper.backends.mine]
factory = "mine:Mine"
contract = "litellm"

[[tool.onpaper.backends.mine.known-failures]]
clause = "sse/bom"
reason = "issue 41"
"""


@pytest.mark.parametrize("text", ["tool = 3", "tool.onpaper = 0", "tool.onpaper = []", "tool.onpaper.backends = []"])
def test_what_is_no_table_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(BadInput, match=r'pyproject\.toml: tool\.onpaper: .* is not of type "object"'):
        declaration.read(tmp_path)


def test_a_file_that_cannot_be_read_is_not_taken_for_one_that_declares_nothing(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").mkdir()
    with pytest.raises(BadInput, match=r"pyproject\.toml: cannot be read: "):
        declaration.read(tmp_path)


@pytest.mark.parametrize("written", ["2027-03-01", '"2027-03-01"'])
def test_an_expiry_is_a_date_of_toml_or_a_text(written: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(f"{DECLARED}expires = {written}")
    (entry,) = declaration.read(tmp_path)["mine"].known_failures
    assert entry.expires == datetime.date(2027, 3, 1)


@pytest.mark.parametrize("written", ["2027-03-01T00:00:00", "2027-03-01T00:00:00Z", "07:00:00", '"soon"', '"2027-13-01"'])
def test_an_expiry_that_is_no_date_is_told(written: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(f"{DECLARED}expires = {written}")
    with pytest.raises(BadInput, match=r"'mine': expires '.*' is not a date like 2027-03-01"):
        declaration.read(tmp_path)
