"""Errors by status: raised, with the provider's words, once, and without leaking a connection."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from typing import Any

from onpaper.clauses import INTERFACE, Case, clause
from onpaper.clauses.conditions import applicable, limited, needs_result, plain_complete, plain_stream
from onpaper.driving.acts import MESSAGES, completing, opened, streaming
from onpaper.driving.play import Play, answer_of
from onpaper.driving.run import Hung, Run, chain, status_of, words_of
from onpaper.driving.stage import Stage
from onpaper.driving.verdict import Broken, NotApplicable
from onpaper.exchange import Request
from onpaper.script import Script, Write

STATUSES = ("bad-request", "unauthorized", "forbidden", "model-not-found", "rate-limit", "context-length", "server-error", "overloaded", "html-502", "error-no-body")
BOTH = tuple(Case(f"{method}-{name}", (method, name)) for method in ("stream", "complete") for name in STATUSES)


async def _failed(stage: Stage, case: Case) -> Run:
    method, name = case.value
    run = await (stage.stream(Play(name)) if method == "stream" else stage.complete(Play(name)))
    if not run.scripts:
        raise Broken(f"{run.operation} sent no request{run._raised()}")
    run.must_raise(f"the provider answered {run.scripts[-1].status}")
    return run


@clause("errors/raised", cases=BOTH, covers=(141, 146, 148), source="https://www.rfc-editor.org/rfc/rfc9110#section-15", why="An error status that becomes an empty reply is a silent outage.")
async def raised(stage: Stage, case: Case) -> None:
    """Every error status raises, also with a page or nothing as its body."""
    run = await _failed(stage, case)
    if run.pieces:
        raise Broken(f"text came out of an error: {run.pieces!r}", run.wire)


IN_UNICODE = "error-in-unicode"
ENVELOPES = ("error-envelope-openai", "error-envelope-string", "error-envelope-message", "error-envelope-detail", "error-envelope-detail-list", "error-envelope-array", "error-text", IN_UNICODE)


@clause("errors/words-kept", cases=tuple(Case(f"{method}-{name}", (method, name)) for method in ("stream", "complete") for name in ENVELOPES),
        covers=(142, 147, 149), source="https://github.com/saurabhav88/EnviousWispr/issues/2062",
        why="'400 Bad Request' costs an afternoon; the provider had said which parameter it was. A streamed reply's body has to be read before it can be kept.")  # fmt: skip
async def words_kept(stage: Stage, case: Case) -> None:
    """The exception keeps the provider's words, in whichever envelope they came, from stream() as from complete().

    Read the body of an error status before you raise.
    """
    run = await _failed(stage, case)
    if case.value[1] == IN_UNICODE:
        _must_keep_unicode(run)
    else:
        run.must_keep_words("upstream exploded: quota drained")


def _must_keep_unicode(run: Run) -> None:
    """Demand the words also where they are not ASCII, as they are or escaped as JSON or Python escape them."""
    words = "配额已用完 – Kontingent erschöpft"
    error = run.must_raise("the server reported an error")
    forms = (words, json.dumps(words)[1:-1], repr(words.encode())[2:-1])
    if not any(form in text for form in forms for text in words_of(error)):
        raise Broken(f"the error does not keep the server's words {words!r}: {type(error).__name__}: {str(error)[:300]}", run.wire)


@clause("errors/status-kept", cases=BOTH, covers=(141, 142), source=INTERFACE, why="Calling code tells 401 from 429 from 503 by the status.")
async def status_kept(stage: Stage, case: Case) -> None:
    """A backend that declares `errors` gives the HTTP status on the exception, as `status`."""
    needs_result(stage, "errors")
    run = await _failed(stage, case)
    assert run.error is not None
    found, wanted = getattr(run.error, "status", None), run.scripts[-1].status
    if found != wanted:
        raise Broken(f"the exception's status is {found!r}; the provider answered {wanted}", run.wire)


ODD_BODIES: dict[str, tuple[str, bytes]] = {
    "latin-1": ("text/html; charset=iso-8859-1", "<html><body>Délai d'attente dépassé</body></html>".encode("latin-1")),
    "no-text": ("application/octet-stream", b"\x1f\x8b\x08\x00\xff\xfe"),
    "message-null": ("application/json", b'{"error": {"message": null, "type": null, "param": null, "code": null}}'),
    "message-object": ("application/json", b'{"error": {"message": {"reason": "busy"}, "code": {}}}'),
    "error-null": ("application/json", b'{"error": null}'),
    "error-number": ("application/json", b'{"error": 7}'),
    "list": ("application/json", b"[]"),
    "text": ("application/json", b'"busy"'),
    "null": ("application/json", b"null"),
}
"""Bodies of an error that are no text, or of a shape that nobody expects."""
ODD = tuple(Case(f"{method}-{name}", (method, name)) for method in ("stream", "complete") for name in ODD_BODIES)


@clause("errors/status-visible", cases=(*BOTH, *ODD), covers=(141,), level="should", source="https://github.com/withceleste/celeste-python/issues/170", why="Without the status nobody knows whether to wait, to sign in or to give up.")
async def status_visible(stage: Stage, case: Case) -> None:
    """The HTTP status can be found on the exception, or in its words, whatever the error's body is made of.

    Decode it with `errors="replace"`, and look what each part of it is before you use it.
    """
    run = await (_odd(stage, case) if case in ODD else _failed(stage, case))
    assert run.error is not None
    wanted = run.scripts[-1].status
    if status_of(run.error) != wanted and str(wanted) not in " ".join(str(one) for one in chain(run.error)):
        raise Broken(f"neither {type(run.error).__name__} nor its text says {wanted}: {run.error}", run.wire)


async def _odd(stage: Stage, case: Case) -> Run:
    """Drive a call that is refused with a body that is hard to read."""
    method, name = case.value
    kind, body = ODD_BODIES[name]
    script = Script(502, (("content-type", kind),), (Write(body),), transfer="length")
    run = await stage.drive(f"{method}()", streaming() if method == "stream" else completing(), lambda _: script)
    if not run.scripts:
        raise Broken(f"{run.operation} sent no request{run._raised()}")
    run.must_raise("the provider answered 502")
    return run


@clause("errors/retry-after", cases=tuple(Case(f"{method}-{name}", (method, name)) for method in ("stream", "complete") for name in ("rate-limit", "rate-limit-date", "unavailable")),
        covers=(144,), source="https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3", why="The provider says how long to wait; a client that guesses is refused again.")  # fmt: skip
async def retry_after(stage: Stage, case: Case) -> None:
    """A backend that declares `errors` gives Retry-After on the exception as seconds, from seconds and from an HTTP date, of a
    503 as of a 429.
    """
    needs_result(stage, "errors")
    if case.id.endswith("unavailable"):
        run = await _waits(stage, case.value[0], "7", 503)
        if getattr(run.error, "retry_after", None) != 7:
            raise Broken(f"retry_after of a 503 is {getattr(run.error, 'retry_after', None)!r}; the provider said '7'")
        return
    run = await _failed(stage, case)
    header = next((value for name, value in run.scripts[-1].headers if name.lower() == "retry-after"), None)
    if header is None:
        raise NotApplicable("the provider sends no Retry-After")
    if case.id.endswith("date"):
        header = formatdate(time.time() + DATE_SECONDS, usegmt=True)
        run = await _waits(stage, case.value[0], header)
    found = getattr(run.error, "retry_after", None)
    if case.id.endswith("date"):
        good = isinstance(found, (int, float)) and DATE_SECONDS - 15 <= found <= DATE_SECONDS
    else:
        good = found == float(header)
    if not good:
        raise Broken(f"retry_after is {found!r}; the provider said {header!r}")


DATE_SECONDS = 60


async def _waits(stage: Stage, method: str, said: str, status: int = 429) -> Run:
    """Drive a call that is refused with this Retry-After."""
    answer = answer_of(Play("rate-limit"), stage.contract)

    def refuse(request: Request) -> Script:
        script = answer(request)
        kept = tuple(pair for pair in script.headers if pair[0].lower() != "retry-after")
        return replace(script, status=status, headers=(*kept, ("retry-after", said)))

    run = await stage.drive(f"{method}()", streaming() if method == "stream" else completing(), refuse)
    if not run.scripts:
        raise Broken(f"{run.operation} sent no request{run._raised()}")
    run.must_raise(f"the provider answered {status}")
    return run


ODD_WAITS = {"fraction": "1.5", "words": "soon", "nothing": "", "negative": "-1", "long-ago": "Thu, 01 Jan 1970 00:00:00 GMT"}


@clause("errors/retry-after-odd", cases=tuple(Case(f"{method}-{name}", (method, said)) for method in ("stream", "complete") for name, said in ODD_WAITS.items()),
        covers=(144,), source="https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3", why="`int(\"1.5\")` hides the refusal behind a ValueError of the client's own.")  # fmt: skip
async def retry_after_odd(stage: Stage, case: Case) -> None:
    """A Retry-After that is no whole number and no date does not hide the refusal behind an error of the client's own."""
    if stage.declared.can("retries") == "yes":
        raise NotApplicable("the backend declares retries")
    usual = (await _failed(stage, Case("", (case.value[0], "rate-limit")))).error
    run = await _waits(stage, *case.value)
    assert run.error is not None
    if type(run.error) is not type(usual) and status_of(run.error) != 429:
        said = f"{type(run.error).__name__}: {str(run.error)[:300]}"
        raise Broken(f"Retry-After: {case.value[1]} made the refusal a {said}; with whole seconds it is a {type(usual).__name__}")


@clause("errors/says-something", cases=(Case("stream-reset"), Case("complete-reset")), level="should", source=INTERFACE, why="An empty line in a log is nothing to begin with.")
async def says_something(stage: Stage, case: Case) -> None:
    """A backend's own exception for a connection that is lost has a text.

    Name what happened yourself where the library's exception has no words: `str(httpx.ReadError(""))` is empty.
    """
    act = streaming() if case.id == "stream-reset" else completing()
    run = await stage.drive("stream()" if case.id == "stream-reset" else "complete()", act, lambda _: Script(end="reset", head=b""))
    error = run.must_raise("the connection was reset before the reply")
    if _package(type(error).__module__) != _package(stage.declared.factory):
        raise NotApplicable(f"{type(error).__name__} is not the backend's own: its words are its library's")
    if not str(error).strip():
        raise Broken(f"{type(error).__name__} has no text")


def _package(module: str) -> str:
    return module.partition(":")[0].partition(".")[0]


@clause("errors/partial-kept", cases=(Case("truncated"), Case("error-object"), Case("connection-cut"), Case("ndjson-truncated")), covers=(60, 62), source=INTERFACE,
        why="Half an answer is worth showing, as half an answer.")  # fmt: skip
async def partial_kept(stage: Stage, case: Case) -> None:
    """A backend that declares `errors` gives the text that had arrived on the exception, as `partial`."""
    needs_result(stage, "errors")
    await plain_stream(stage)
    run = await stage.stream(applicable(stage, Play(case.id)))
    error = run.must_raise("the reply was not complete")
    found = getattr(error, "partial", None)
    if found != "".join(run.pieces):
        raise Broken(f"partial is {found!r}; {''.join(run.pieces)!r} had been handed on", run.wire)


@clause("errors/one-type", covers=(151,), source=INTERFACE, why="Calling code catches one type, whatever went wrong with the provider.")
async def one_type(stage: Stage, case: Case) -> None:
    """A backend that declares `errors` raises one family of exceptions for an error status, an error in a stream and an incomplete one."""
    needs_result(stage, "errors")
    await plain_stream(stage)
    lines = stage.contract.protocol == "ndjson"
    names = ("server-error", "ndjson-error-line" if lines else "error-object", "ndjson-truncated" if lines else "truncated", "connection-reset")
    errors = [(await stage.stream(Play(name))).error for name in names]
    kinds = [set(type(error).__mro__) - {object, BaseException, Exception, RuntimeError, ValueError, OSError} for error in errors if error is not None]
    if len(kinds) < len(names) or not set.intersection(*kinds):
        raise Broken(f"the exceptions have no type in common: {[type(error).__name__ for error in errors]}")


RETRIED = ("server-error", "overloaded", "rate-limit", "html-502", "gateway-timeout", "request-timeout", "conflict")
"""What clients send again of their own accord."""


@clause("errors/no-retry", cases=tuple(Case(f"{method}-{name}", (method, name)) for method in ("stream", "complete") for name in (*RETRIED, "bad-request", "context-length", "not-found")),
        covers=(145,), source=INTERFACE, why="A request that is sent again is billed again, and a person waits for it.")  # fmt: skip
async def no_retry(stage: Stage, case: Case) -> None:
    """A failed request is not sent again unless the backend declares `retries`; a 400 or a 404 never is, nor a shorter
    one after it, nor one for another model or to another path.
    """
    if stage.declared.can("retries") == "yes" and case.value[1] in RETRIED:
        raise NotApplicable("the backend declares retries")
    run = await _failed(stage, case)
    if len(run.chats) > 1:
        raise Broken(f"the request was sent {len(run.chats)} times")


ASKED_ONCE = {
    "stream": ("truncated-empty", "no-events", "error-first", "html-200", "ndjson-error-first", "empty-answer"),
    "complete": ("reply-cut", "reply-not-json", "html-200", "error-200", "empty-answer"),
}
"""Replies with status 200 that fail before any text, or hold none."""


@clause("errors/no-second-reply", cases=tuple(Case(f"{method}-{name}", (method, name)) for method, names in ASKED_ONCE.items() for name in (*names, "connection-lost", "reset-before-the-head")),
        covers=(145,), source=INTERFACE, why="A reply that was cut off, cannot be read or says nothing is billed; asked for again it is billed twice.")  # fmt: skip
async def no_second_reply(stage: Stage, case: Case) -> None:
    """A reply that breaks off before its head or its text, cannot be read or is empty is not asked for again, nor in
    another way, unless the backend declares `retries`.

    Raise what went wrong, give the empty reply as it is, and let the caller decide.
    """
    if stage.declared.can("retries") == "yes":
        raise NotApplicable("the backend declares retries")
    method, name = case.value
    await (plain_stream(stage) if method == "stream" else plain_complete(stage))
    if name in ("connection-lost", "reset-before-the-head"):
        answer = _lost(stage) if name == "connection-lost" else lambda _: Script(end="reset", head=b"")
        run = await stage.drive(f"{method}()", streaming() if method == "stream" else completing(), answer)
    else:
        play = applicable(stage, Play(name))
        run = await (stage.stream(play) if method == "stream" else stage.complete(play))
    if len(run.chats) > 1:
        raise Broken(f"the reply was asked for {len(run.chats)} times", run.wire)


def _lost(stage: Stage) -> Callable[[Request], Script]:
    """Answers with the first bytes of a greeting, and closes the connection inside the body: no text has come yet."""
    answer = answer_of(Play("hello"), stage.contract)

    def cut(request: Request) -> Script:
        script = answer(request)
        return replace(script, writes=(Write(script.body[:9]),), length=len(script.body), transfer="length", end="cut")

    return cut


@clause("errors/no-retry-after-text", covers=(145,), source=INTERFACE, why="A stream that begins again says its first words twice.")
async def no_retry_after_text(stage: Stage, case: Case) -> None:
    """A stream that fails after its first text is never begun again."""
    await plain_stream(stage)
    run = await stage.stream(Play("connection-cut"))
    if len(run.chats) > 1:
        raise Broken(f"after the first text the request was sent again, {len(run.chats)} times in all")
    run.must_raise("the connection was lost")


@clause("errors/bounded-body", timed=True, cases=(Case("stream"), Case("complete")), covers=(143,), source=INTERFACE, why="An error page that never ends holds the call for ever.")
async def bounded_body(stage: Stage, case: Case) -> None:
    """The body of an error is read up to a bound in time: a server that never ends it does not hold a call whose
    time-out between chunks is short.
    """
    setup = limited(stage, "between")
    act = streaming() if case.id == "stream" else completing()
    script = Script(500, (("content-type", "application/json"),), (Write(b'{"error": {"message": "never en'),), end="hang")
    run = await stage.drive(f"{case.id}()", act, lambda _: script, setup, patience=8.0)
    if isinstance(run.error, Hung):
        raise Broken("the call was still reading an error's body after 8 s", script.body)
    run.must_raise("the provider answered 500")


@clause("errors/large-body", cases=(Case("stream"), Case("complete")), covers=(143,), source=INTERFACE, why="An exception of a hundred megabytes ends in a log.")
async def large_body(stage: Stage, case: Case) -> None:
    """The words that an exception shows are bounded: an error page of 4 MiB does not come out as a message of 4 MiB."""
    act = streaming() if case.id == "stream" else completing()
    script = Script(500, (("content-type", "text/plain"),), (Write(b"x" * (4 << 20)),), transfer="length")
    run = await stage.drive(f"{case.id}()", act, lambda _: script)
    error = run.must_raise("the provider answered 500")
    longest = max(len(str(error)), len(repr(error)))
    if longest > 1 << 20:
        raise Broken(f"the exception's text is {longest} characters long")


@clause("errors/releases-connection", cases=(Case("stream"), Case("complete")), covers=(150, 156), source="https://github.com/mistralai/client-python/issues/532",
        why="A pool that loses a connection with each 429 is empty after a busy minute.")  # fmt: skip
async def releases(stage: Stage, case: Case) -> None:
    """A refused call leaves no connection checked out: after 30 of them an ordinary one still works."""
    stage.needs(case.id)
    await plain_stream(stage)
    bad, good = answer_of(Play("rate-limit"), stage.contract), answer_of(Play("hello"), stage.contract)
    count = 0

    def answer(request: Any) -> Script:
        nonlocal count
        count += 1
        return (bad if count <= 30 else good)(request)

    async def one(backend: Any) -> None:
        try:
            if case.id == "stream":
                async for _ in await opened(backend):
                    pass
            else:
                await backend.complete(list(MESSAGES))
        except Exception:  # the refusal itself is judged by errors/raised
            return

    async def act(backend: Any, run: Run) -> None:
        for _ in range(30):
            await one(backend)
        async for piece in await opened(backend):
            run.pieces.append(piece)

    if stage.declared.can("retries") == "yes":
        raise NotApplicable("the backend declares retries")
    run = await stage.drive("stream()", act, answer)
    run.must_not_raise()
    await asyncio.sleep(0)
    if "".join(run.pieces) != "Hello, world!":
        raise Broken(f"after 30 refused calls stream() gave {run.pieces!r}")


@clause("errors/connect", covers=(141,), source=INTERFACE, why="The server is not there: the most common failure of all.")
async def connect(stage: Stage, case: Case) -> None:
    """A server that cannot be reached is an error."""

    async def act(backend: Any, run: Run) -> None:
        await asyncio.to_thread(stage.hall.end, run.notes["server"])
        async for piece in await opened(backend):
            run.pieces.append(piece)

    run = await stage.drive("stream()", act)
    run.must_raise("nothing listens at base_url")
