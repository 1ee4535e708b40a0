"""Sampling parameters that are dropped, changed, mixed up or remembered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..correct import Correct
from ..table import breaks


@breaks("sampling/call", "temperature=0.25 went out as 0.2")
class RoundsTheTemperature(Correct):
    """Sends one digit of the temperature."""

    def chosen(self, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
        return {name: round(value, 1) for name, value in super().chosen(given, defaults).items()}


@breaks("sampling/zero", "went out as 'absent'")
@breaks("property/zeros-kept", "0")
class DropsZero(Correct):
    """Asks for truth where it means: given."""

    def chosen(self, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in super().chosen(given, defaults).items() if value}


@breaks("sampling/constructor", "temperature=0.75 went out as 0.0")
class LetsADefaultHideTheConstructor(Correct):
    """Lets complete()'s own default win over what the constructor was told."""

    def chosen(self, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
        return super().chosen({**defaults, **given}, {})


@breaks("sampling/call-before-constructor", "went out as 0.75")
@breaks("property/precedence", "sampling")
class LetsTheConstructorWin(Correct):
    """Lets the constructor's parameters win over the call's."""

    def chosen(self, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
        return super().chosen({**given, **self.sampling}, defaults)


@breaks("sampling/max-tokens", "max_tokens=1 went out as nothing")
class ForgetsTheLimit(Correct):
    """Sends no limit of tokens."""

    def body(self, messages: Any, stream: bool, max_tokens: Any, *rest: Any) -> dict[str, Any]:
        return super().body(messages, stream, None, *rest)


@breaks("sampling/max-tokens", "'max_completion_tokens': 1}")
@breaks(
    "body/combinations", "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported"
)
class SendsBothLimits(Correct):
    """Sends the limit of tokens under both of its names."""

    def body(self, messages: Any, stream: bool, max_tokens: Any, *rest: Any) -> dict[str, Any]:
        body = super().body(messages, stream, max_tokens, *rest)
        return body | ({"max_completion_tokens": max_tokens} if max_tokens else {})


@breaks("sampling/none-in-constructor", "changed the body")
class TakesNoneForAValue(Correct):
    """Lets a None in the constructor's parameters stand for zero."""

    def checked(self, sampling: Mapping[str, Any]) -> dict[str, Any]:
        return super().checked(
            {name: value or 0 for name, value in sampling.items()} if len(sampling) < 4 else sampling
        )


@breaks("sampling/not-kept", "the plain call sent another body")
@breaks("property/any-order", "the same arguments gave another body before")
class KeepsTheLastParameters(Correct):
    """Remembers the parameters of a call for the next."""

    def chosen(self, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
        self.sampling = {**self.sampling, **given}
        return super().chosen(given, defaults)


@breaks("sampling/not-kept", "after a call with tools the plain call sent another body")
class KeepsTheLastTools(Correct):
    """Offers the tools of a call in the next one as well, which names none."""

    tools: Any = None

    def body(self, messages: Any, stream: bool, max_tokens: Any, sampling: Any, stop: Any, tools: Any) -> Any:
        if not stream:
            tools = self.tools = tools or self.tools
        return super().body(messages, stream, max_tokens, sampling, stop, tools)


@breaks("sampling/unknown-key", "was neither refused nor sent")
@breaks("property/nothing-dropped", "sampling")
class DropsUnknownParameters(Correct):
    """Drops a parameter that it does not know."""

    def checked(self, sampling: Mapping[str, Any]) -> dict[str, Any]:
        return super().checked(
            {name: value for name, value in sampling.items() if name in (*self.parameters, "top_k")}
        )


@breaks("sampling/call", "top_k was sent to a provider that does not accept it")
class SendsTopKWhenGiven(Correct):
    """Sends top_k where the caller gives it, also to a provider that does not know it."""

    parameters = (*Correct.parameters, "top_k")


@breaks("sampling/constructor", "the factory raised TypeError")
class TakesNoSampling(Correct):
    """Has a constructor without the sampling that it declares."""

    def __init__(
        self, model: str, base_url: str | None = None, *, connect: float = 10.0,
        first_byte: float = 60.0, between: float = 60.0,
    ) -> None:  # fmt: skip
        super().__init__(model, base_url, connect=connect, first_byte=first_byte, between=between)
