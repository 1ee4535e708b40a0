"""A backend used in any order and concurrently, with the gateway's journal as the model."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from onpaper.driving.run import Run
from onpaper.driving.verdict import Broken
from onpaper.exchange import Exchange, Request
from onpaper.mock import Say
from onpaper.script import Script
from onpaper.strategies.calls import Given, bare, replying, wordy
from onpaper.strategies.on_requests import SOURCE
from onpaper.strategies.properties import Property, enter
from onpaper.strategies.subject import METHODS, NotMade, Subject, close
from onpaper.wire.dialect import Asked, Speaker

T = TypeVar("T")
MODELS = ("m", "model-b", "maker/model-c:1b")


def _ignore(broken: Broken) -> None:
    """Nobody asked to be told."""


def machine(
    subject: Subject,
    run: Callable[[Coroutine[Any, Any, Any]], Any],
    steps: list[str] | None = None,
    broke: Callable[[Broken], None] = _ignore,
) -> type[RuleBasedStateMachine]:
    """A state machine over one backend: stream, complete, prefill, set_model, list_models, cancel, close,
    in any order, several streams at once.

    After each step the journal must hold exactly the requests that the steps explain: each call one,
    `prefill` none where requests cost money, each with the current model and with the body that the same
    arguments gave before. Every reply echoes its question, and its counts are its own, so that a mix-up
    shows. `run` runs a coroutine where the backend lives; `steps` is kept at the steps of the present run,
    in words, and `broke` is told when one goes wrong. Raises `Broken`.
    """
    told: list[str] = [] if steps is None else steps

    def step(**drawn: Any) -> Callable[[Callable[..., None]], Any]:
        return lambda act: rule(**drawn)(noting(act))

    def noting(act: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(act)
        def noted(self: Any, **given: Any) -> None:
            try:
                act(self, **given)
            except Broken as broken:
                broke(broken)
                raise

        return noted

    class AnyOrder(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.asked = 0
            self.bodies: dict[str, bytes] = {}
            self.model: str | None = None
            self.backend: Any = None
            self.expected = 0

        @initialize()
        def begin(self) -> None:
            told[:] = ["backend = Backend()"]
            subject.gateway.answer = echo(subject)
            self.mark = subject.gateway.journal.mark()
            self.backend = self._do(self._make())

        async def _make(self) -> Any:
            made = subject.make()
            self.model = None
            return await made if inspect.isawaitable(made) else made

        def _do(self, work: Coroutine[Any, Any, T]) -> T:
            result: T = run(work)
            return result

        # ---- calls ---------------------------------------------------------------------------------------

        @step(given=bare(subject))
        def call(self, given: Any) -> None:
            self._call(given)

        @step(given=wordy(subject))
        def call_with_parameters_and_without(self, given: Any) -> None:
            self._call(given)
            self._call(Given(given.method))

        def _call(self, given: Any) -> None:
            told.append(f"await backend.{given.method}(…, {given.call})")
            one = self._do(self._ask(given.method, given.kwargs))
            self.expected += 1
            self._judge(one)

        @step(count=st.integers(2, 4))
        def streams_at_once(self, count: int) -> None:
            if not subject.has("stream"):
                return
            told.append(f"{count} streams at once")

            async def all_of_them() -> list[Run]:
                return list(await asyncio.gather(*(self._ask("stream", {}) for _ in range(count))))

            runs = self._do(all_of_them())
            self.expected += count
            for one in runs:
                self._judge(one)

        async def _ask(self, method: str, kwargs: dict[str, Any]) -> Run:
            self.asked += 1
            question = f"question {self.asked}."
            one = await subject.call(self.backend, method, [{"role": "user", "content": question}], **kwargs)
            one.notes["question"], one.notes["arguments"] = question, repr((method, kwargs))
            return one

        def _judge(self, one: Run) -> None:
            question = one.notes["question"]
            one.must_not_raise()
            if one.text != answer_to(question):
                raise Broken(
                    f"{one.operation} gave {one.text!r} to {question!r}, not {answer_to(question)!r}"
                )
            counts = (one.stats or {}) if one.streamed else one.usage
            found = counts.get("completion_tokens" if one.streamed else "completion")
            if found not in (None, 0, tokens_of(question)):
                raise Broken(f"{one.operation} counted {found} tokens for a reply of {tokens_of(question)}")
            self._judge_body(one)

        def _judge_body(self, one: Run) -> None:
            question = one.notes["question"]
            sent = [each for each in one.chats if question.encode() in each.request.body]
            if len(sent) != 1:
                raise Broken(f"{one.operation} sent {len(sent)} requests")
            raw = sent[0].request.body.replace(question.encode(), b"question")
            body = json.loads(raw)
            self.model = self.model or body.get("model")
            if body.get("model") != self.model:
                raise Broken(f"the model is {self.model!r}, and the body says {body.get('model')!r}", raw)
            body["model"] = "model"
            same = json.dumps(body).encode()
            before = self.bodies.setdefault(one.notes["arguments"], same)
            if before != same:
                raise Broken(f"the same arguments gave another body before: {before!r}", same, "body")

        @step(pieces=st.integers(1, 2))
        def cancel(self, pieces: int) -> None:
            if not subject.has("stream"):
                return
            told.append(f"a stream that is closed after {pieces} pieces")
            before = len(self._chats())
            self._do(_within(subject, self._cancelled(pieces)))
            sent = len(self._chats()) - before
            if sent > 1:
                raise Broken(f"one stream() sent {sent} requests")
            self.expected += sent

        async def _cancelled(self, pieces: int) -> None:
            counting = {"stats": {}} if subject.takes("stream", "stats") else {}
            stream = self.backend.stream([{"role": "user", "content": "question 0."}], **counting)
            stream = aiter(await stream if inspect.isawaitable(stream) else stream)
            for _ in range(pieces):
                await anext(stream, None)
            if hasattr(stream, "aclose"):
                await stream.aclose()

        # ---- the rest ------------------------------------------------------------------------------------

        @step()
        def prefill(self) -> None:
            if not subject.has("prefill"):
                return
            told.append("await backend.prefill(…)")
            before = len(self._chats())
            self._do(_within(subject, self.backend.prefill([{"role": "user", "content": "question 0."}])))
            if not subject.contract.metered:
                self._do(self._arrival(before))
            sent = len(self._chats()) - before
            if sent > (0 if subject.contract.metered else 1):
                raise Broken(f"prefill() sent {sent} requests" + " that bill" * subject.contract.metered)
            self.expected += sent

        async def _arrival(self, before: int) -> None:
            """Wait for the request of a prefill that only starts one, a quarter of a second at most."""
            for _ in range(25):
                if len(self._chats()) > before:
                    return
                await asyncio.sleep(0.01)

        @step(name=st.sampled_from(MODELS))
        def set_model(self, name: str) -> None:
            if not subject.has("set_model"):
                return
            told.append(f"await backend.set_model({name!r})")

            async def switch() -> bool:
                try:
                    value = self.backend.set_model(name)
                    await value if inspect.isawaitable(value) else None
                except Exception:
                    return False  # a provider of one model for each process raises
                return True

            if self._do(switch()):
                self.model = name
                for method in replying(subject):
                    self._call(Given(method))

        @step()
        def list_models(self) -> None:
            if not subject.has("list_models"):
                return
            told.append("await backend.list_models()")
            found = self._do(_within(subject, self.backend.list_models()))
            if (
                not isinstance(found, (list, tuple))
                or not all(isinstance(one, str) for one in found)
                or not found
            ):
                raise Broken(f"list_models() gave {found!r}, not a list of names")

        @step()
        def close(self) -> None:
            told.append("await backend.aclose(); backend = Backend()")
            self._do(close(self.backend))
            self.backend = self._do(self._make())

        @invariant()
        @noting
        def the_journal_holds_what_was_asked(self) -> None:
            if self.backend is None:
                return
            found = len(self._chats())
            if found != self.expected:
                raise Broken(f"{found} chat requests reached the gateway; the calls explain {self.expected}")

        def _chats(self) -> list[Exchange]:
            return [one for one in subject.gateway.journal.since(self.mark) if one.request.method == "POST"]

        def teardown(self) -> None:
            if self.backend is not None:
                self._do(close(self.backend))

    return AnyOrder


async def _within(subject: Subject, work: Any) -> Any:
    """The result of a call. Raises Broken when it raises, or does not end in time."""
    try:
        async with asyncio.timeout(subject.patience):
            return await work if inspect.isawaitable(work) else work
    except NotMade:
        raise
    except Exception as error:
        raise Broken(f"the call raised {type(error).__name__}: {error}") from error


def answer_to(question: str) -> str:
    """What the echoing provider answers to a question."""
    return f"You asked {question}"


def tokens_of(question: str) -> int:
    """How many tokens it says that took: another number for each question."""
    return 100 + int(question.rstrip(".").rpartition(" ")[2])


def echo(subject: Subject) -> Callable[[Request], Script]:
    """A provider whose every reply repeats the question, and counts tokens by its number."""
    provider = subject.provider()

    def answer(request: Request) -> Script:
        if provider.kind_of(request) != "chat":
            return provider(request)
        body = request.json()
        question = str(body["messages"][-1].get("content"))
        text = answer_to(question)
        pieces = (text[:5], text[5:12], text[12:])
        streams = body.get("stream", subject.contract.protocol == "ndjson") is True
        say = Say(text=pieces, usage={"prompt": 1, "completion": tokens_of(question)})
        return Speaker(subject.contract, Asked(stream=streams, usage=True)).script(say)

    return answer


enter(
    Property(
        "property/any-order",
        "Calls in any order, several at once, cancelled or not, send what they say and nothing else, and each gets"
        " its own reply.",
        "Keep no state of a call in the backend beyond the model's name and the pool of connections.",
        SOURCE,
        applies=lambda subject: (
            "" if any(map(subject.has, METHODS)) else "the backend has neither stream() nor complete()"
        ),
        examples=8,
        machine=machine,
        socket=True,
    )
)
