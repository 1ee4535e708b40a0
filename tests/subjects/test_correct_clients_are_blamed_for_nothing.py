"""Clients that keep the promises, each written in another way: whoever is blamed here is blamed falsely.

A library can break a promise that its user cannot mend. Those are listed as known failures, with the bytes.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from onpaper.clauses.leaving import works_in_a_thread
from onpaper.driving.declaration import Declared, declare
from onpaper.driving.verdict import Verdict
from onpaper.suite.judge import Judge, plan

# A client that is dropped in the middle of a reply closes its socket when it is collected, and Python says so.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

KEY = {"LITELLM_KEY": "{key}"}

OPENAI_SDK = {
    "sse/bom": r"b'\xef\xbb\xbfdata: {…}': the first chunk is lost, and no error says so",
    "sse/events-without-data": r"b'event: ping\n\n': an event without data is parsed as JSON",
    "sse/sentinel-with-blanks": r"b'data:  [DONE]\n\n': only the sentinel without blanks before it is known",
    "stream/done-without-finish": r"b'data: [DONE]\n\n': the sentinel is not shown to the caller, who takes the stream for cut",
    "property/any-framing-any-cut": r"b'id: 7\n\n': the same as in sse/events-without-data",
}
"""What openai 3.52 does, whoever uses it."""
MEASURED = {"openai": "3.52"}
"""The first version for which the list holds: openai 2 also opens a connection for each stream."""
HTTPX2_EVENTS = {
    "sse/bom": r"b'\xef\xbb\xbfdata: {…}': the first event is lost, and no error says so",
    "sse/content-type": r"charset=iso-8859-1: the text is decoded by it, which is UTF-8 whatever the charset says",
    "property/any-framing-any-cut": "the same",
}
"""What the event source of httpx2 2.16 does."""


def declared(factory: str, contract: str, **more: Any) -> Declared:
    return declare(factory, {"factory": f"tests.subjects.{factory}", "contract": contract, **more})


def blamed(one: Declared, *topics: str, properties: bool = True) -> list[str]:
    """What a client is blamed for, in words; at least something has been judged."""
    with Judge() as judge:
        verdicts: list[Verdict] = [
            judge.verdict(item)
            for item in plan(one, topics)
            if properties or item.clause.kind != "property"
        ]
    assert sum(verdict.verdict == "kept" for verdict in verdicts) > 20
    return [f"{verdict.id}: {verdict.message}" for verdict in verdicts if verdict.verdict == "broken"]


def known(failures: dict[str, str]) -> list[dict[str, str]]:
    return [{"clause": clause, "reason": reason} for clause, reason in failures.items()]


@pytest.mark.parametrize(
    ("factory", "contract", "env"),
    [
        ("on_httpx:LiteLLMClient", "litellm", KEY),
        ("minimal:Minimal", "litellm", KEY),
        ("on_stdlib:StdlibBackend", "litellm", KEY),
        ("on_stdlib:VLLMOnStdlib", "vllm", {}),
        ("ollama_on_httpx:OllamaOnHttpx", "ollama", {}),
    ],
)
def test_a_client_on_httpx_or_the_standard_library_is_blamed_for_nothing(
    factory: str, contract: str, env: dict[str, str]
) -> None:
    assert blamed(declared(factory, contract, env=env)) == []


@pytest.mark.parametrize(
    ("package", "factory", "breaks"),
    [
        ("aiohttp", "on_aiohttp:AiohttpBackend", {}),
        ("openai", "on_openai_sdk:OpenAISDKBackend", OPENAI_SDK),
        ("httpx2", "on_httpx2:client", HTTPX2_EVENTS),
    ],
)
def test_a_client_on_another_library_is_blamed_for_that_library_alone(
    package: str, factory: str, breaks: dict[str, str]
) -> None:
    pytest.importorskip(package, minversion=MEASURED.get(package))
    one = declared(factory, "litellm", env=KEY, **{"known-failures": known(breaks)})
    assert blamed(one, properties=False) == []


@pytest.mark.parametrize("factory", ["minimal:Minimal", "on_stdlib:StdlibBackend"])
def test_a_client_whose_key_is_not_declared_is_blamed_for_nothing(factory: str) -> None:
    assert blamed(declared(factory, "litellm"), "auth", "body", "config", "models", "prefill") == []


STYLES = (
    "AwaitedForItsStream", "BareIterator", "Inner", "MadeLate", "Rechunked", "SyncSwitch", "WithoutTheRest",
    "made_by_a_function", "wants_more",
)  # fmt: skip


@pytest.mark.parametrize("style", STYLES)
def test_the_shape_of_a_client_is_blamed_for_nothing(style: str) -> None:
    topics = ("connection", "models", "prefill", "sampling", "usage/early-close", "body/caller-objects")
    assert blamed(declared(f"styles:{style}", "litellm", env=KEY), *topics) == []


REQUESTS = ("body", "sampling", *(f"property/{name}" for name in ("precedence", "zeros-kept", "none-not-sent", "same-body", "not-a-number", "body-accepted")))
REPLIES = ("reply", "stream", "tools", "property/any-framing-any-cut", "property/any-fault")


@pytest.mark.parametrize(
    ("style", "topics"),
    [
        ("CallsAsObjects", REPLIES),
        ("CallsWithArgs", REPLIES),
        ("Careful", REQUESTS),
        ("EmptyStopIsNone", REQUESTS),
        ("FewParameters", REQUESTS),
        ("TextAlone", ("body", *REPLIES)),
        ("Timed", ("auth", "sampling", "stream", *REQUESTS)),
    ],
)
def test_a_habit_of_a_client_is_blamed_for_nothing(style: str, topics: tuple[str, ...]) -> None:
    assert blamed(declared(f"styles:{style}", "litellm", env=KEY), *topics) == []


def test_a_complete_that_puts_a_stream_together_is_blamed_for_that_and_not_for_how_it_reads_it() -> None:
    one = declared("styles:PutTogether", "litellm", env=KEY, capabilities={"tools": "ignores"})
    topics = ("body", "reply/content-type", "reply/text", "reply/recorded", "property/any-framing-any-cut", "property/any-fault")
    found = blamed(one, *topics)
    assert {line.partition("[")[0] for line in found} == {"styles:PutTogether::body/stream-flag"}, found


@pytest.mark.parametrize("sampling", [{"temperature": 0.7}, {"top_p": 0.5, "temperature": None}])
def test_sampling_that_is_declared_always_is_blamed_for_nothing(sampling: dict[str, Any]) -> None:
    one = declared("on_httpx:LiteLLMClient", "litellm", env=KEY, args={"sampling": sampling})
    assert blamed(one, *REQUESTS) == []


def test_who_asks_for_no_stream_is_blamed_for_that_and_not_for_what_goes_wrong_in_one() -> None:
    one = declared("styles:InOnePiece", "litellm", env=KEY, capabilities={"tools": "ignores"})
    found = blamed(one, "body", "sse", "stream", "usage", *REPLIES)
    assert {line.partition("[")[0] for line in found} == {"styles:InOnePiece::body/stream-flag"}, found


def test_a_parameter_that_is_declared_as_refused_may_be_refused() -> None:
    one = declared("on_httpx:LiteLLMClient", "vllm", capabilities={"top_k": "refuses"})
    assert blamed(one, "sampling", "body/none-left-out", "property/precedence", "property/none-not-sent") == []


def test_a_call_that_waits_in_a_pool_is_seen_whatever_the_pool_is_called() -> None:
    done = threading.Event()
    with ThreadPoolExecutor(1, thread_name_prefix="mine") as pool:
        began = threading.Event()
        pool.submit(lambda: (began.set(), done.wait(10)))
        began.wait(10)
        assert works_in_a_thread()
        done.set()
