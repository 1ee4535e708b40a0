"""Token counts: taken from the reply, once, or unknown."""

from __future__ import annotations

import json
from typing import Any

from onpaper.clauses import INTERFACE, NDJSON, OPENAI, Case, clause
from onpaper.clauses.conditions import applicable, counts_right, plain_complete, plain_stream
from onpaper.driving.acts import opened
from onpaper.driving.play import Play, plays
from onpaper.driving.run import Run
from onpaper.driving.stage import Stage
from onpaper.driving.verdict import Broken, NotApplicable
from onpaper.wire import sse
from onpaper.wire.reading import find_usage

COUNTED = ("hello", "long-answer", "verbatim")


def counts(run: Run) -> tuple[Any, Any]:
    """Prompt and completion count that came out."""
    if run.streamed:
        stats = run.stats or {}
        return stats.get("prompt_tokens"), stats.get("completion_tokens")
    usage = run.usage
    return usage.get("prompt"), usage.get("completion")


def must_count(run: Run, prompt: int | None, completion: int | None) -> None:
    """Demand exactly these counts; None stands for unknown, which may come out as 0, None or not at all."""
    run.must_not_raise()
    for name, given, wanted in zip(("prompt", "completion"), counts(run), (prompt, completion), strict=True):
        if wanted is None:
            if given:
                raise Broken(f"the {name} count is {given!r}; the server did not say one", run.wire)
        elif given != wanted or isinstance(given, bool):
            raise Broken(f"the {name} count is {given!r}; the server said {wanted}", run.wire)


async def _both(stage: Stage, play: Play, method: str) -> Run:
    if method == "stream":
        if not stage.takes("stream", "stats"):
            raise NotApplicable("stream() takes no stats")
        await plain_stream(stage)
        return await stage.stream(play)
    await plain_complete(stage)
    return await stage.complete(play)


METHODS = tuple(Case(f"{method}-{mock}", (method, mock)) for method in ("stream", "complete") for mock in COUNTED)


@clause("usage/counts", cases=METHODS, covers=(111,), source=OPENAI, why="Swapped or missing counts make every bill and every context gauge wrong.")
async def usage_counts(stage: Stage, case: Case) -> None:
    """Prompt and completion counts are the server's, each in its place.

    prompt_tokens and completion_tokens; prompt_eval_count and eval_count in Ollama's own protocol.
    """
    method, mock = case.value
    run = await _both(stage, Play(mock), method)
    usage = run.reading.usage
    if usage is None:
        raise NotApplicable("the provider did not count: see usage/asked-for")
    must_count(run, usage.prompt, usage.completion)


@clause("usage/complete-stats", cases=tuple(Case(mock) for mock in COUNTED), covers=(111,), source=INTERFACE, why="The gauge reads the same dict whichever method filled it.")
async def complete_stats(stage: Stage, case: Case) -> None:
    """Counts that complete() puts into `stats` are the server's, each in its place, as in its result.

    Fill `stats` and the result from one reading of the reply.
    """
    if not stage.takes("complete", "stats"):
        raise NotApplicable("complete() takes no stats")
    run = await _both(stage, Play(case.id), "complete")
    usage, stats = run.reading.usage, run.stats or {}
    if usage is None or counts(run) != (usage.prompt, usage.completion):
        raise NotApplicable("the counts of the result are already wrong: see usage/counts")
    wanted = {"prompt_tokens": usage.prompt, "completion_tokens": usage.completion, "ctx_used": (usage.prompt or 0) + (usage.completion or 0)}
    if all(stats.get(name) is None for name in wanted):
        raise NotApplicable("complete() puts no counts into stats")
    for name, count in wanted.items():
        if stats.get(name) not in (None, count):
            raise Broken(f"complete() put {name} {stats[name]!r} into stats; the server said {count}", run.wire)


@clause("usage/asked-for", cases=(Case("stream"),), covers=(11,), source=OPENAI, why="OpenAI counts a stream only when `stream_options.include_usage` asks for it.")
async def asked_for(stage: Stage, case: Case) -> None:
    """A backend asks for the counts of a stream where the provider gives them only when asked."""
    if not stage.takes("stream", "stats"):
        raise NotApplicable("stream() takes no stats")
    if stage.contract.get("stream.usage.when", "asked") != "asked":
        raise NotApplicable("the provider counts without being asked, or not at all")
    run = await stage.stream()
    if run.body.get("stream") is None or run.body["stream"] is False:
        raise NotApplicable("stream() asks for a reply in one piece, which is counted unasked")
    options = run.body.get("stream_options")
    if not isinstance(options, dict) or options.get("include_usage") is not True:
        raise Broken("stream() did not ask for the counts", run.chats[0].request.body, "request body")


@clause("usage/context-used", cases=METHODS, covers=(112,), source=INTERFACE, why="The context gauge shows how full the window is.")
async def context_used(stage: Stage, case: Case) -> None:
    """ctx_used is prompt plus completion."""
    method, mock = case.value
    run = await _both(stage, Play(mock), method)
    run.must_not_raise()
    prompt, completion = counts(run)
    if not isinstance(prompt, int) or not isinstance(completion, int):
        raise NotApplicable("the counts did not come out: see usage/counts")
    holder = (run.stats or {}) if method == "stream" else run.usage
    if holder.get("ctx_used") != prompt + completion:
        raise Broken(f"ctx_used is {holder.get('ctx_used')!r}; prompt {prompt} and completion {completion} make {prompt + completion}", run.wire)


@clause("usage/context-window", cases=(Case("stream"), Case("complete")), covers=(113,), source=INTERFACE, why="0 shows as '18 of 0', or divides by zero.")
async def context_window(stage: Stage, case: Case) -> None:
    """ctx_max is the configured window, or None; never 0, and the same however much of it is used.

    What is left of the window is for whoever draws the gauge to work out.
    """
    windows = []
    for mock in ("hello", "verbatim"):
        run = await _both(stage, Play(mock), case.id)
        run.must_not_raise()
        holder = (run.stats or {}) if case.id == "stream" else run.usage
        window = holder.get("ctx_max")
        if window is not None and (isinstance(window, bool) or not isinstance(window, int) or window <= 0):
            raise Broken(f"ctx_max is {window!r}")
        windows.append(window)
    if None not in windows and windows[0] != windows[1]:
        raise Broken(f"ctx_max is {windows[0]} after a small reply and {windows[1]} after a large one; the window has not changed")


@clause("usage/window-asked-for", protocol="ndjson", level="should", policy=True, cases=(Case("stream"), Case("complete")), covers=(113,), source=f"{NDJSON}#generate-a-chat-completion",
        why="A server that is not asked for a window takes its own, often 4096, and drops the beginning of a longer prompt without a word.")  # fmt: skip
async def window_asked_for(stage: Stage, case: Case) -> None:
    """The window that ctx_max shows is the one that the request asks for, where the provider sizes it by request.

    Send the configured window as `num_ctx` with each call.
    """
    if "num_ctx" not in stage.contract.get("body.definitions.options.properties", {}):
        raise NotApplicable("the provider does not size its window by request")
    run = await _both(stage, Play("hello"), case.id)
    run.must_not_raise()
    window = ((run.stats or {}) if case.id == "stream" else run.usage).get("ctx_max")
    if not window:
        raise NotApplicable("the backend shows no window")
    options = run.body.get("options")
    asked = options.get("num_ctx") if isinstance(options, dict) else None
    if asked != window:
        raise Broken(f"ctx_max shows {window}, and the request asks for num_ctx {asked!r}", run.chats[0].request.body, "request body")


@clause("usage/missing", cases=(Case("stream-no-usage"), Case("complete-no-usage"), Case("complete-reply-no-usage"), Case("complete-reply-usage-null")), covers=(114, 119),
        source="https://github.com/co-l/openfox/pull/236", why="An estimate that looks like a count is billed as one.")  # fmt: skip
async def missing(stage: Stage, case: Case) -> None:
    """Counts that the server does not give are unknown: None, 0 or absent; never an estimate."""
    method, _, mock = case.id.partition("-")
    run = await _both(stage, applicable(stage, Play(mock)), method)
    must_count(run, None, None)


@clause("usage/not-stale", cases=(Case("stream"), Case("complete")), covers=(114, 129), source="https://github.com/co-l/openfox/pull/236", why="The last call's numbers look plausible, which is the worst of it.")
async def not_stale(stage: Stage, case: Case) -> None:
    """A call whose reply does not count never shows the numbers of the call before; what an earlier call gave, no later
    one changes.

    Make the counts of each call anew; do not hand out a dict that the client keeps.
    """
    from onpaper.driving.acts import completing, streaming
    from onpaper.mock import Mock

    await (plain_stream(stage) if case.id == "stream" else plain_complete(stage))
    mock = Mock.of({"about": "Counts once, then not", "reply": [{"text": ["a"], "usage": {"prompt": 321, "completion": 123}, "times": 1}, {"text": ["b"], "usage": False}]})
    from onpaper.answer import Provider

    make = streaming if case.id == "stream" else completing
    first: list[tuple[Any, str]] = []

    async def twice(backend: Any, run: Run) -> None:
        await make()(backend, run)
        run.pieces.clear()
        given = run.stats if run.streamed else run.usage
        first.append((given, repr(given)))
        await make()(backend, run)

    run = await stage.drive(f"{case.id}()", twice, Provider(stage.contract, mock, strict=False))
    must_count(run, None, None)
    for given, before in first:
        if repr(given) != before:
            raise Broken(f"the counts that {run.operation} had given, {before[:300]}, the call after it changed to {str(given)[:300]}")


def places(name: str, *mocks: str, why: str, source: str, covers: tuple[int, ...]):  # type: ignore[no-untyped-def]
    """A clause about where a stream carries its counts."""
    return clause(f"usage/{name}", protocol="sse", cases=plays(*mocks, cuts=("events", "random")), source=source, covers=covers, why=why)


async def _counted(stage: Stage, play: Play) -> None:
    run = await _both(stage, play, "stream")
    if not await counts_right(stage):
        raise NotApplicable("the counts of an ordinary stream are already wrong: see usage/counts")
    run.must_say()
    usage = run.reading.usage
    must_count(run, usage.prompt if usage else None, usage.completion if usage else None)


@places("any-place", "usage-in-first-chunk", "usage-in-finish-chunk", "usage-in-own-chunk", "usage-with-choices-after-finish", "usage-twice", why="Each provider puts them elsewhere.",
        source="https://github.com/BerriAI/litellm/issues/8450", covers=(117,))  # fmt: skip
async def any_place(stage: Stage, play: Play) -> None:
    """Counts are found in the first, the finishing or the last chunk, with or without choices beside them."""
    await _counted(stage, play)


@places("in-choice", "usage-in-choice", why="Moonshot puts them into the last choice.", source="https://github.com/earendil-works/pi/issues/2017", covers=(117,))
async def in_choice(stage: Stage, play: Play) -> None:
    """Counts inside `choices[0].usage` are found."""
    await _counted(stage, play)


@places("cumulative", "usage-on-every-chunk", "usage-corrected", why="Counts on every chunk are running totals; summed up they bill many times over, and a first estimate is put right later.", source="https://github.com/open-webui/open-webui/issues/29064", covers=(118,))
async def cumulative(stage: Stage, play: Play) -> None:
    """Counts on every chunk are running totals: the last one wins, also when it is smaller; nothing is summed."""
    await _counted(stage, play)


@places("null", "usage-null-members", "usage-completion-null", why="`None + int` ends the reply at its very last chunk.", source="https://github.com/huggingface/smolagents/issues/1436", covers=(115, 116))
async def null(stage: Stage, play: Play) -> None:
    """`usage: null`, and null members of it, are unknown counts and no crash."""
    await _counted(stage, play)


@places("odd-values", "usage-odd-counts", why="Negative and textual counts have been seen; a count is a whole number from 0.", source=INTERFACE, covers=(123,))
async def odd_values(stage: Stage, play: Play) -> None:
    """Counts that are negative or no number are unknown, and no crash."""
    await _counted(stage, play)


@clause("usage/odd-values-in-reply", protocol="sse", cases=plays("reply-usage-odd"), covers=(123,), source=INTERFACE, why="The same in one piece.")
async def odd_in_reply(stage: Stage, play: Play) -> None:
    """Counts of a reply in one piece that are negative or no number are unknown, and no crash."""
    run = await _both(stage, play, "complete")
    must_count(run, None, None)


@clause("usage/details", protocol="sse", cases=(*plays("usage-details", cuts=("events", "random")), *plays("reply-usage-details")), source=OPENAI, covers=(120,), why="Cached and reasoning tokens are shown apart, and already counted.")
async def details(stage: Stage, play: Play) -> None:
    """Cached and reasoning tokens are part of the counts; they are never added on top, in a stream or in one piece."""
    if not play.name.startswith("reply-"):
        return await _counted(stage, play)
    plain = await _both(stage, Play("hello"), "complete")
    usage = plain.reading.usage
    if usage is None or counts(plain) != (usage.prompt, usage.completion):
        raise NotApplicable("the counts of an ordinary reply are already wrong: see usage/counts")
    run = await stage.complete(play)
    usage = run.reading.usage
    must_count(run, usage.prompt if usage else None, usage.completion if usage else None)
    return None


@clause("usage/early-close", covers=(122,), source="https://github.com/BerriAI/litellm/pull/21213", why="Counts of a reply that nobody read to its end are not its counts.")
async def early_close(stage: Stage, case: Case) -> None:
    """A stream that the caller leaves early leaves the counts untouched or unknown; none is made up."""
    if not stage.takes("stream", "stats"):
        raise NotApplicable("stream() takes no stats")
    await plain_stream(stage)

    async def act(backend: Any, run: Run) -> None:
        run.stats = {}
        source = await opened(backend, stats=run.stats)
        async for piece in source:
            run.pieces.append(piece)
            break
        if hasattr(source, "aclose"):
            await source.aclose()

    run = await stage.drive("stream()", act, Play("long-answer"))
    run.must_not_raise()
    given = (run.stats or {}).get("prompt_tokens"), (run.stats or {}).get("completion_tokens")
    true = _told(run)
    if not any(all(not one or one == other for one, other in zip(given, pair, strict=True)) for pair in true):
        raise Broken(f"stats say {run.stats}; the server counted {' or '.join(map(str, true))}")


def _told(run: Run) -> list[tuple[int | None, int | None]]:
    """What the server said of the counts in the course of a stream, at its end last."""
    found = [run.reading.usage]
    if run.contract.protocol == "sse":
        paths = [path.split(".") for path in run.contract.usage_paths]
        data = [event.data for event in sse.decode([run.wire])[0] if event.data.startswith("{")]
        found = [*(find_usage(json.loads(one), paths) for one in data), *found]
    return list(dict.fromkeys((one.prompt, one.completion) for one in found if one)) or [(None, None)]
