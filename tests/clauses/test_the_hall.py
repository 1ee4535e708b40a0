"""A clause is driven to its end, however close to a look of the clock that end is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from onpaper.driving.hall import Hall, LoopThread


@pytest.fixture
def hall() -> Iterator[Hall]:
    hall = Hall()
    yield hall
    hall.close()


async def slow(value: str) -> str:
    await asyncio.sleep(0.11)  # past the first look
    return value


async def late() -> None:
    raise TimeoutError("the gateway did not stop")


def test_what_ends_between_two_looks_has_ended(hall: Hall) -> None:
    assert hall.drive(slow("done"), 60) == "done"


def test_a_time_out_inside_is_not_taken_for_the_limit(hall: Hall) -> None:
    with pytest.raises(RuntimeError, match="something in it took too long: the gateway did not stop"):
        hall.drive(late(), 60)


def test_the_limit_says_how_long_it_was(hall: Hall) -> None:
    with pytest.raises(TimeoutError, match=r"not done in 0\.05 s"):
        hall.drive(asyncio.sleep(30), 0.05)


class SlowToClose(asyncio.SelectorEventLoop):
    """A loop whose closing takes longer than the first word to end it."""

    def close(self) -> None:
        until = time.monotonic() + 0.4
        while time.monotonic() < until:
            pass
        super().close()


def test_a_thread_that_is_given_up_while_it_closes_its_loop_raises_nothing() -> None:
    thread = LoopThread("slow", SlowToClose)
    thread.leave()
    thread._thread.join(5)
    assert thread.loop.is_closed()  # and what a thread raises is an error of the test
