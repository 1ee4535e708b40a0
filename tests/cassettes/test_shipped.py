"""The recordings that come with onpaper: from enough servers, complete and clean."""

from pathlib import Path

import pytest

from onpaper.cassettes import find, load, script_of
from onpaper.cassettes.verify import verify

FOLDER = Path(__file__).resolve().parents[2] / "cassettes"
SHIPPED = find([FOLDER])
PROVIDERS = sorted({name.partition("/")[0] for name in SHIPPED})
EVERYWHERE = {
    "chat",
    "chat-stream",
    "stream-usage",
    "tools",
    "tool-stream",
    "bad-key",
    "unknown-model",
    "max-tokens",
}


def test_at_least_eight_servers_were_recorded() -> None:
    assert len({load(path).contract for path in SHIPPED.values()}) >= 8


def test_the_folder_is_clean() -> None:
    assert verify(FOLDER) == []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_provider_has_every_common_case(provider: str) -> None:
    assert {name.partition("/")[2] for name in SHIPPED if name.startswith(f"{provider}/")} >= EVERYWHERE


@pytest.mark.parametrize("provider", PROVIDERS)
def test_only_provoked_requests_were_refused_and_all_replies_are_whole(provider: str) -> None:
    for name, path in SHIPPED.items():
        if name.startswith(f"{provider}/"):
            for exchange in load(path).exchanges:
                assert exchange.reply, name
                assert exchange.reply.end == "clean", name
                assert exchange.provoked or exchange.reply.status == 200, name
                assert script_of(exchange, speed=1).body == exchange.reply.body, name
