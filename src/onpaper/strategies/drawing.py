"""Ways to draw that cost little, spread well and shrink to something small.

Hypothesis looks through each strategy the first time it is drawn from, so what can be built before is not built
while drawing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from hypothesis import reject
from hypothesis import strategies as st

T = TypeVar("T")


def anew(drawn: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    """The same values, each drawn anew.

    Hypothesis follows each case that it draws by five copies in which one part replaces another like it. For
    values as large as ours these find less than new ones do. It leaves the elements of unique lists alone.
    """
    return st.lists(drawn, min_size=1, max_size=1, unique_by=id).map(_first)


def _first(one: list[T]) -> T:
    return one[0]


def mostly(pool: Sequence[Any], others: st.SearchStrategy[Any], share: int = 3) -> st.SearchStrategy[Any]:
    """Values of a pool, and one time in `share` any others. Shrinks to the first of the pool.

    As `sampled_from(pool) | others`, but a value of the pool is a single choice, so that Hypothesis has less
    to take away with it when it shrinks.
    """
    places = st.sampled_from(tuple(range(len(pool))) + (len(pool),) * max(1, len(pool) // (share - 1)))

    @st.composite
    def one(draw: st.DrawFn) -> Any:
        place = draw(places)
        return pool[place] if place < len(pool) else draw(others)

    return one()


def some_of(
    values: Mapping[str, st.SearchStrategy[Any]], most: int = 8, alias: Callable[[str], Any] = str
) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with some of the keys, at most one of each `alias`. Shrinks key by key to the empty object.

    Each key is drawn with its value, so that Hypothesis can take it away without touching the others.
    """
    if not values:
        return st.builds(dict)
    names = st.sampled_from(tuple(values))

    @st.composite
    def entry(draw: st.DrawFn) -> tuple[str, Any]:
        name = draw(names)
        return name, draw(values[name])

    return st.lists(entry(), unique_by=lambda one: alias(one[0]), max_size=most).map(dict)


def one_of_many(strategies: Iterable[st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """As `one_of`, each equally likely however many, and without printing all when something goes wrong."""
    choices = list(strategies)
    numbers = st.integers(0, len(choices) - 1)

    @st.composite
    def one(draw: st.DrawFn) -> Any:
        return draw(choices[draw(numbers)])

    return one()


def kept(drawn: st.SearchStrategy[Any], judge: Callable[[Any], Any]) -> st.SearchStrategy[Any]:
    """What `judge` makes of what is drawn, drawn again where that is None.

    As `filter`, whose message would print the whole tree of strategies.
    """

    @st.composite
    def judged(draw: st.DrawFn) -> Any:
        for _ in range(5):
            found = judge(draw(drawn))
            if found is not None:
                return found
        return reject()

    return judged()
