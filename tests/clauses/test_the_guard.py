"""While a backend is driven its environment is onpaper's, and afterwards it is what it was."""

from __future__ import annotations

import os

import pytest

from onpaper.driving.guard import depth_of_guards, guarded, leave_behind


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONPAPER_KEPT", "before")
    monkeypatch.setenv("SOMEBODYS_API_KEY", "sk-foreign")
    monkeypatch.delenv("ONPAPER_NEW", raising=False)


def test_variables_are_set_unset_and_put_back() -> None:
    with guarded({"ONPAPER_NEW": "x", "ONPAPER_KEPT": None}):
        assert (os.environ.get("ONPAPER_NEW"), os.environ.get("ONPAPER_KEPT")) == ("x", None)
    assert (os.environ.get("ONPAPER_NEW"), os.environ.get("ONPAPER_KEPT")) == (None, "before")


def test_a_foreign_key_is_out_of_sight() -> None:
    with guarded({}):
        assert "SOMEBODYS_API_KEY" not in os.environ
    assert os.environ["SOMEBODYS_API_KEY"] == "sk-foreign"


def test_what_the_subject_changes_is_put_back() -> None:
    with guarded({}):
        os.environ["ONPAPER_NEW"] = "left behind"
        os.environ["ONPAPER_KEPT"] = "changed"
        os.environ["ONPAPER_KEPT"] = "changed again"
        del os.environ["ONPAPER_KEPT"]
    assert (os.environ.get("ONPAPER_NEW"), os.environ.get("ONPAPER_KEPT")) == (None, "before")


def test_a_subject_that_empties_its_environment_empties_nobody_elses() -> None:
    before = dict(os.environ)
    with guarded({}):
        os.environ.clear()
    assert dict(os.environ) == before


def test_each_guard_puts_back_its_own() -> None:
    with guarded({"ONPAPER_NEW": "outer"}):
        with guarded({"ONPAPER_NEW": "inner"}):
            assert os.environ["ONPAPER_NEW"] == "inner"
        assert os.environ["ONPAPER_NEW"] == "outer"
    assert "ONPAPER_NEW" not in os.environ


def test_guards_that_were_left_open_are_ended_by_who_comes_after() -> None:
    depth = depth_of_guards()
    left = guarded({"ONPAPER_NEW": "x"})
    left.__enter__()
    leave_behind(depth)
    assert (depth_of_guards(), "ONPAPER_NEW" in os.environ) == (depth, False)
    left.__exit__(None, None, None)
    assert (depth_of_guards(), "ONPAPER_NEW" in os.environ) == (depth, False)
