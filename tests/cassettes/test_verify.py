"""A folder of cassettes is looked through before it is published."""

import datetime
from pathlib import Path

import pytest

from onpaper.cassettes import Cassette, CassetteError, Provenance, save
from onpaper.cassettes.verify import verify
from onpaper.exchange import Chunk, Exchange, Headers, Reply, Request

PROVENANCE = Provenance(
    "demo", "chat", "onpaper 0.1.0", "2026-11-20", "demo 1.0", "in a test", "tiny", "loopback"
)


def put(
    folder: Path,
    body: bytes = b"{}",
    headers: Headers = (("Content-Type", "application/json"),),
    provenance: Provenance | None = PROVENANCE,
    name: str = "chat",
) -> Path:
    exchange = Exchange(Request("GET", "/v1"), Reply(200, headers, (Chunk(0.0, body),)))
    return save(Cassette(f"demo/{name}", (exchange,), provenance), folder / "demo" / f"{name}.yaml")


def test_a_clean_folder_has_no_problem(tmp_path: Path) -> None:
    put(tmp_path)
    (tmp_path / "README.md").touch()
    assert verify(tmp_path) == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"see http://127.0.0.1:80", "the reply body holds something shaped like a local address"),
        (b'{"file": "/srv/anna/x"}', "the reply body holds something shaped like a local path"),
        (b'{"user_id": "12345"}', "the reply body holds something shaped like an account id"),
    ],
)
def test_private_things_are_found(tmp_path: Path, body: bytes, problem: str) -> None:
    path = put(tmp_path, body)
    assert f"{path}: {problem}; record it again" in verify(tmp_path)


def test_a_key_that_was_put_in_by_hand_is_found_and_not_repeated(tmp_path: Path) -> None:
    path = put(tmp_path)
    path.write_text("# sk-" + "0123456789abcdef\n" + path.read_text())
    (problem,) = verify(tmp_path)
    assert problem == f"{path}: its text holds something shaped like a key (sk-…); record it again"


def test_a_header_that_shows_a_value_off_the_list_is_found(tmp_path: Path) -> None:
    path = put(tmp_path, headers=(("X-Request-Id", "1"), ("X-Other", "REDACTED")))
    assert verify(tmp_path) == [
        f"{path}: the header 'X-Request-Id' is not on the allow-list and shows a value; record it again"
    ]


def test_a_missing_or_wrong_provenance_is_found(tmp_path: Path) -> None:
    put(tmp_path, provenance=None)
    put(tmp_path, provenance=Provenance(contract="demo", case="other", recorded="today"), name="tools")
    assert [problem.partition(": ")[2] for problem in verify(tmp_path)] == [
        "has no provenance (the mapping 'onpaper'); record it with onpaper",
        "onpaper.recorder is missing; record it again",
        "onpaper.server is missing; record it again",
        "onpaper.case is 'other', the file is called otherwise; rename it back",
        "onpaper.recorded is 'today' and no day like 2026-11-20; record it again",
    ]


def test_an_old_recording_is_found_when_a_limit_is_given(tmp_path: Path) -> None:
    path = put(tmp_path)
    assert verify(tmp_path, oldest=datetime.date(2026, 11, 20)) == []
    (problem,) = verify(tmp_path, oldest=datetime.date(2026, 11, 21))
    assert problem == f"{path}: was recorded on 2026-11-20, before 2026-11-21; record it again"


def test_whatever_is_no_cassette_is_found(tmp_path: Path) -> None:
    put(tmp_path)
    for name in (".chat.yaml.12ab.draft", "notes.txt", "Broken.yaml"):
        (tmp_path / "demo" / name).touch()
    (tmp_path / "demo" / "broken.yaml").write_text("a: [")
    problems = verify(tmp_path)
    assert len(problems) == 4
    assert (
        sum("is not a cassette (those are <provider>/<case>.yaml); remove it" in text for text in problems)
        == 3
    )
    assert sum("broken.yaml: is not readable as YAML" in text for text in problems) == 1


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(CassetteError, match="none: is not a folder"):
        verify(tmp_path / "none")
