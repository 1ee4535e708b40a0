"""Clients that break a promise where nobody would look: the clause that is about it has to blame them all the same."""

from __future__ import annotations

import pytest

from onpaper.driving.declaration import declare
from onpaper.suite.judge import Judge, plan

from .adversarial import AIMS, REAL_KEY

pytestmark = pytest.mark.filterwarnings("ignore")  # what they leave behind is theirs


@pytest.mark.parametrize("name", AIMS)
def test_the_clause_that_is_about_it_blames_the_client(name: str) -> None:
    module = "at_import" if name == "CallsHomeAtImport" else "adversarial"
    factory = f"tests.subjects.{module}:{name}"
    one = declare(name, {"factory": factory, "contract": "litellm", "env": {"LITELLM_KEY": "{key}"}})
    with Judge() as judge:
        verdicts = [judge.verdict(item) for item in plan(one, AIMS[name])]
    blaming = {verdict.clause: verdict.message for verdict in verdicts if verdict.verdict == "broken"}
    assert blaming.keys() == set(AIMS[name])
    assert not any("onpaper itself failed" in message for message in blaming.values())


def test_a_real_key_that_a_client_found_is_in_no_message() -> None:
    factory = "tests.subjects.adversarial:FindsAKeyOfItsOwn"
    one = declare("finds", {"factory": factory, "contract": "litellm", "env": {"LITELLM_KEY": "{key}"}})
    with Judge() as judge:
        messages = [judge.verdict(item).message for item in plan(one, ["auth"])]
    assert any("carries 'Bearer ***' though there is no key" in message for message in messages)
    assert not [message for message in messages if REAL_KEY in message]
