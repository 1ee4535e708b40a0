"""Where data is found: the project's own folder first, by names that cannot leave it."""

from __future__ import annotations

import pytest

from onpaper import folders
from onpaper.contract import Contract
from onpaper.errors import BadInput
from onpaper.mock import Mock

MOCK = 'about = "mine"\n[[reply]]\ntext = "a"\n'


@pytest.fixture
def project(tmp_path, monkeypatch):
    for kind in ("contracts", "mocks"):
        (tmp_path / kind).mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_project_s_own_file_comes_first(project):
    (project / "mocks" / "hello.toml").write_text(MOCK)
    assert Mock.load("hello").about == "mine"
    assert Mock.load("hello", project=project.parent).about != "mine"


def test_what_the_project_does_not_have_comes_with_onpaper(project):
    assert Mock.load("hello").path.parent == folders.bundled("mocks")


def test_names_are_those_of_both_sorted_without_what_cannot_be_one(project):
    for name in ("a-mine", "Bad", "_x", ".hidden", "z.y"):
        (project / "mocks" / f"{name}.toml").write_text(MOCK)
    (project / "mocks" / "notes.txt").write_text("no")
    found = folders.names("mocks")
    assert found == sorted(found) and {"a-mine", "z.y", "hello"} <= set(found)
    assert not {"Bad", "_x", ".hidden", "notes"} & set(found)


def test_a_project_without_folders_has_those_of_onpaper(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert folders.search_path("contracts") == [folders.bundled("contracts")]


def test_a_file_for_a_folder_is_no_folder(tmp_path):
    (tmp_path / "mocks").write_text("")
    assert folders.search_path("mocks", tmp_path) == [folders.bundled("mocks")]


def test_the_checkout_is_not_looked_through_twice(monkeypatch):
    monkeypatch.chdir(folders.bundled("mocks").parent)
    assert len(folders.search_path("mocks")) == 1


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../hello",
        "a/b",
        "/etc/passwd",
        "a\\b",
        "Hello",
        "-x",
        ".x",
        "a b",
        "a\n",
        "a\0",
        "ü",
        "~",
        "a*",
    ],
)
def test_a_name_that_is_no_file_s_is_refused(name):
    with pytest.raises(BadInput, match="cannot be the name of a mock"):
        folders.find("mocks", name)


@pytest.mark.parametrize("name", ["a", "0", "a.b", "a-b", "gpt-4.1", "a..b"])
def test_a_name_may_have_digits_points_and_dashes(project, name):
    (project / "mocks" / f"{name}.toml").write_text(MOCK)
    assert folders.find("mocks", name) == project / "mocks" / f"{name}.toml"


def test_a_missing_one_is_named_with_the_nearest_and_the_known():
    with pytest.raises(
        BadInput, match=r"there is no contract 'grok'; did you mean 'groq'\? Known: .* more \(`onpaper list contracts`\)"
    ):
        Contract.load("grok")


def test_nothing_near_is_not_guessed():
    with pytest.raises(BadInput, match=r"there is no contract 'qqqqqqq'\. Known: "):
        Contract.load("qqqqqqq")


def test_an_installation_without_its_data_says_so():
    with pytest.raises(
        BadInput, match="this installation of onpaper has no melodies/ folder: install it again"
    ):
        folders.bundled("melodies")


def test_a_folder_that_may_not_be_read_is_one_sentence(project, monkeypatch):
    monkeypatch.setattr(folders.os, "access", lambda path, mode: False)
    with pytest.raises(BadInput, match=r"contracts: cannot be looked into: you may not read this folder"):
        Contract.load("groq")
