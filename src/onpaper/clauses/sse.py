"""SSE framing: every way of writing the same events gives the same text, however the bytes are cut.

Source of all rules: WHATWG HTML, server-sent events.
"""

from __future__ import annotations

from dataclasses import replace

from onpaper.clauses import WHATWG, Case, clause
from onpaper.clauses.conditions import counts_right, plain_stream
from onpaper.driving.acts import streaming
from onpaper.driving.play import CUTS, Play, plays
from onpaper.driving.run import Hung, Run
from onpaper.driving.stage import PATIENCE, Stage
from onpaper.driving.verdict import Broken, NotApplicable
from onpaper.exchange import Request
from onpaper.mock import Mock
from onpaper.script import Script, Write


async def same_text(stage: Stage, play: Play) -> Run:
    """Stream a play and demand the text, the usage and the end that its bytes say."""
    await plain_stream(stage)
    run = await stage.stream(play)
    run.must_say()
    if await counts_right(stage):
        _same_usage(run)
    return run


def _same_usage(run: Run) -> None:
    """Demand the counts that the stream carries: a backend that finds those of an ordinary one finds these too."""
    usage, stats = run.reading.usage, run.stats or {}
    if usage is None:
        return
    for name, wanted in (("prompt_tokens", usage.prompt), ("completion_tokens", usage.completion)):
        if wanted is not None and stats.get(name) != wanted:
            raise Broken(f"stats[{name!r}] is {stats.get(name)!r}; the server said {wanted}", run.wire)


def framing(name: str, mock: str, why: str, source: str = WHATWG, covers: tuple[int, ...] = (), cuts: tuple[str, ...] = ("events", *CUTS)):  # type: ignore[no-untyped-def]
    """A clause whose rule is the docstring of the function it decorates, judged by the text that comes out."""
    return clause(f"sse/{name}", protocol="sse", cases=plays(mock, cuts=cuts), source=source, covers=covers, why=why)


@framing("line-ends-crlf", "sse-crlf", "Servers on Windows and several Java frameworks write CRLF.", covers=(39, 40))
async def crlf(stage: Stage, play: Play) -> None:
    """CRLF ends a line, also when a chunk boundary falls between CR and LF.

    Split bytes on CR, LF and CRLF yourself; remember a CR at the end of a chunk.
    """
    await same_text(stage, play)


@framing("line-ends-cr", "sse-cr", "CR alone ends a line in the standard.", covers=(39,))
async def cr(stage: Stage, play: Play) -> None:
    """CR alone ends a line."""
    await same_text(stage, play)


@framing("line-ends-mixed", "sse-mixed-line-ends", "A proxy that adds keep-alives writes its own line ends between the server's.", covers=(39,))
async def mixed(stage: Stage, play: Play) -> None:
    """LF, CRLF and CR may be mixed in one stream."""
    await same_text(stage, play)


@framing("no-space", "sse-no-space", "Several providers write `data:{`; a client that splits on 'data: ' gives an empty reply and no error.",
         "https://github.com/openai/openai-python/issues/498", (41,))  # fmt: skip
async def no_space(stage: Stage, play: Play) -> None:
    """`data:` needs no space after its colon.

    Cut at the colon, then remove one leading space if there is one.
    """
    await same_text(stage, play)


@framing("bom", "sse-bom", "The first token is lost when the byte order mark hides the first field's name.",
         "https://github.com/openai/openai-python/pull/3819", (38,))  # fmt: skip
async def bom(stage: Stage, play: Play) -> None:
    """One byte order mark at the start of the stream is dropped, also when a chunk boundary cuts it.

    Look at the first three bytes before parsing; decode with `utf-8-sig` only if you decode incrementally.
    """
    await same_text(stage, play)


@framing("comments", "sse-comments", "`: OPENROUTER PROCESSING` comes before the first token of most OpenRouter streams.",
         "https://openrouter.ai/docs/api-reference/streaming", (43,))  # fmt: skip
async def comments(stage: Stage, play: Play) -> None:
    """Lines that begin with a colon are comments, and blank keep-alives mean nothing."""
    await same_text(stage, play)


@framing("multi-line-data", "sse-multi-line", "JSON that is printed over several lines becomes several data lines of one event.", covers=(44,))
async def multi_line(stage: Stage, play: Play) -> None:
    """The data lines of one event are joined with LF before they are parsed.

    Collect data lines until the blank line, then parse.
    """
    await same_text(stage, play)


@clause("sse/other-fields", protocol="sse", cases=(*plays("sse-fields", cuts=("events", *CUTS)), *plays("sse-field-names", "sse-named-events", cuts=("events", "random"))), covers=(45,), source=WHATWG,
        why="A client that takes any line for data, or stops at `id:`, loses events or makes some up.")  # fmt: skip
async def other_fields(stage: Stage, play: Play) -> None:
    """`id`, `retry` and unknown fields never change the text, nor does `event: message`, which names the usual type; a
    field's name is compared as it is, case and blanks too.
    """
    await same_text(stage, play)


@framing("field-without-colon", "sse-field-without-colon", "The standard reads such a line as a field with no value.", covers=(46,), cuts=("events", "random"))
async def without_colon(stage: Stage, play: Play) -> None:
    """A line without a colon is a field name with an empty value."""
    await same_text(stage, play)


@framing("blank-lines", "sse-blank-lines", "Proxies add blank lines to keep a connection awake.", covers=(52,), cuts=("events", "random"))
async def blank_lines(stage: Stage, play: Play) -> None:
    """Further blank lines between events are no events."""
    await same_text(stage, play)


@framing("events-without-data", "sse-events-without-data", "Heartbeats such as `event: ping` carry no data.", covers=(52, 45), cuts=("events", "random"))
async def without_data(stage: Stage, play: Play) -> None:
    """An event without data dispatches nothing; a bad `retry` and a NUL in `id` are ignored."""
    await same_text(stage, play)


@framing("unicode-separators", "sse-unicode-separators", "pydantic, orjson and JSON.stringify write these characters raw, and str.splitlines cuts there: the token is lost without an error.",
         "https://github.com/florimondmanca/httpx-sse/issues/34", (50,))  # fmt: skip
async def unicode_separators(stage: Stage, play: Play) -> None:
    """U+2028, U+2029 and U+0085 inside JSON are text, not line ends.

    Do not use `iter_lines` or `splitlines`: cut bytes at CR and LF only.
    """
    await same_text(stage, play)


@framing("looks-like-framing", "sse-looks-like-framing", "A search for '[DONE]' in the line ends the stream when the model talks about it.", covers=(51,))
async def looks_like_framing(stage: Stage, play: Play) -> None:
    """Text that looks like framing (`data: [DONE]`, blank lines, `event:`) is text when it is inside JSON."""
    await same_text(stage, play)


@clause("sse/any-cut", protocol="sse", cases=plays("hello", "unicode", "long-answer", "tool-call-after-text", cuts=CUTS), covers=(47, 40),
        source="https://github.com/open-webui/open-webui/issues/13474",
        why="Reads end in the middle of an event whenever the network likes; most hand-written clients parse per read.")  # fmt: skip
async def any_cut(stage: Stage, play: Play) -> None:
    """However the bytes of a stream are cut, the text and the usage are the same."""
    plain = await stage.stream(Play(play.name))
    run = await stage.stream(play)
    if plain.reading.tool_calls and plain.error is not None and type(run.error) is type(plain.error):
        raise NotApplicable("the backend refuses tool calls in a stream, as it may, in this cut too")
    await same_text(stage, play)


@clause("sse/utf8-across-chunks", protocol="sse", cases=plays("unicode", cuts=("bytewise", "random")), covers=(48,), source="https://github.com/graniet/llm/pull/90",
        why="A character cut in two becomes two replacement characters.")  # fmt: skip
async def utf8_across_chunks(stage: Stage, play: Play) -> None:
    """A character whose bytes are cut by a chunk boundary comes out whole.

    Decode after the line is complete, or with an incremental decoder.
    """
    await plain_stream(stage)
    run = await stage.stream(play)
    run.must_not_raise()
    if "\ufffd" in run.text or run.text != run.reading.text:
        raise Broken(f"the text came out as {run.text!r}; the server said {run.reading.text!r}", run.wire)


@clause("sse/invalid-utf8", protocol="sse", cases=plays("sse-invalid-utf8", cuts=("events", "random")), covers=(49,), source=WHATWG,
        why="One broken byte must not silently cost an event.")  # fmt: skip
async def invalid_utf8(stage: Stage, play: Play) -> None:
    """Bytes that are not UTF-8 become U+FFFD, or an error; the event is not lost."""
    await plain_stream(stage)
    run = await stage.stream(play)
    if run.error is not None and not isinstance(run.error, TimeoutError):
        return
    run.must_not_raise()
    wanted = run.reading.text
    if run.text.replace("\ufffd", "") != wanted.replace("\ufffd", ""):
        raise Broken(f"the text came out as {run.text!r}; the server said {wanted!r}", run.wire)


MEGABYTE = "0123456789abcdef" * 65536
OPENAI_TESTS = "https://github.com/openai/openai-python/blob/main/tests/test_sse_framing.py"


async def _one_line(stage: Stage, megabytes: int, size: int) -> Run:
    """Stream one token of that length in pieces of `size` bytes."""
    await plain_stream(stage)
    from onpaper.answer import Provider

    reply = {"text": [MEGABYTE * megabytes, "!"]}
    provider = Provider(stage.contract, Mock.of({"about": "One very long token", "reply": [reply]}), strict=False)

    def answer(request: Request) -> Script:
        script = provider(request)
        body = script.body
        writes = tuple(Write(body[at : at + size]) for at in range(0, len(body), size))
        return replace(script, writes=writes) if script.status == 200 else script

    return await stage.drive("stream()", streaming(), answer, memo=("one line", megabytes, size), patience=PATIENCE)


@clause("sse/long-line", timed=True, protocol="sse", cases=(Case("one-megabyte"),), covers=(53,), source=OPENAI_TESTS,
        why="Line readers have limits that nobody chose, 64 KiB in asyncio; what is longer is cut, or never handed on.")  # fmt: skip
async def long_line(stage: Stage, case: Case) -> None:
    """A line of a megabyte, in pieces as large as a network packet, comes through whole, or is an error."""
    run = await _one_line(stage, 1, 1400)
    if run.error is not None and run.exchanges and not isinstance(run.error, Hung):
        return  # a limit that says so is allowed
    run.must_not_raise()
    if run.text != MEGABYTE + "!":
        raise Broken(f"{len(MEGABYTE) + 1} characters were sent, {len(run.text)} came out")


@clause("sse/linear-time", timed=True, protocol="sse", cases=(Case("small-pieces"),), covers=(53,), level="should", source=OPENAI_TESTS,
        why="A buffer that is copied and searched again for each read makes the time grow with the square of the length.")  # fmt: skip
async def linear_time(stage: Stage, case: Case) -> None:
    """A line of four megabytes that comes in 6,500 pieces is read in time that grows with its length, not with its square.

    Keep the pieces of an open line in a list, and join them when its end has come.
    """
    run = await _one_line(stage, 4, 640)
    if isinstance(run.error, Hung):
        raise Broken(f"a line of four megabytes in pieces of 640 bytes: {run.error}; a parser that looks at each byte once needs half a second")


@clause("sse/unterminated-event", protocol="sse", cases=plays("sse-unterminated"), covers=(54,), policy=True, source=WHATWG,
        why="WHATWG discards an event that no blank line closes: it may be half of one.")  # fmt: skip
async def unterminated(stage: Stage, play: Play) -> None:
    """A last event that no blank line closes does not count, so the stream is incomplete; a backend may declare
    `unterminated_event = "yes"` and read it.
    """
    await plain_stream(stage)
    run = await stage.stream(play)
    if stage.declared.can("unterminated_event") == "yes":
        run.must_say("Hello")
    elif run.error is None:
        if run.text != "Hello":
            raise Broken(f"the stream ends inside an event, and {run.operation} gave {run.given}", run.wire)
        raise NotApplicable("the backend reads the event; declare unterminated_event = \"yes\" to hold it to that")


@clause("sse/sentinel-with-blanks", protocol="sse", cases=plays("sse-done-with-blanks"), covers=(42,), level="should", policy=True, source=WHATWG,
        why="`data:  [DONE]` broke four of seven clients measured.")  # fmt: skip
async def sentinel_with_blanks(stage: Stage, play: Play) -> None:
    """The sentinel is recognised with blanks around it."""
    await same_text(stage, play)


@clause("sse/content-type", protocol="sse", cases=plays("sse-no-charset", "sse-wrong-charset", "hello"), covers=(55,), source=WHATWG,
        why="An exact comparison refuses the charset parameter, or its absence.")  # fmt: skip
async def content_type(stage: Stage, play: Play) -> None:
    """`text/event-stream` is accepted with and without parameters, and is UTF-8 whatever its charset says.

    Decode as UTF-8; HTTP libraries take text without a charset, or with another, for Latin-1.
    """
    await same_text(stage, play)


@clause("sse/as-it-arrives", timed=True, cases=plays("slow-pieces"), covers=(56,), source="https://github.com/CopilotKit/aimock/pull/125",
        why="A client that collects the stream first makes the first word as late as the last.")  # fmt: skip
async def as_it_arrives(stage: Stage, play: Play) -> None:
    """A piece of text is handed on when it arrives, while the rest is still to come.

    Do not read the body to its end before you parse; do not fill a buffer first.
    """
    await plain_stream(stage)
    run = await stage.stream(play)
    run.must_say()
    first, end = run.marks.get("first piece"), run.marks["end"]
    sent = run.chats[0].reply.chunks if run.chats and run.chats[0].reply else ()
    span = sent[-1].at - sent[0].at if sent else 0.0
    if first is None or end - first < span / 3:
        late = 0.0 if first is None else end - first
        raise Broken(f"the first piece came {late * 1000:.0f} ms before the end; the server took {span * 1000:.0f} ms between first and last")

