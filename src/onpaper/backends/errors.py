"""What can go wrong with a call.

Local refusals (a bad argument, a NaN) are ValueError and happen before a byte is sent. Everything that the
provider, or the way to it, did is a `BackendError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

MAX_SHOWN = 64 * 1024
"""How much of a provider's reply an error keeps, in characters."""
MAX_MESSAGE = 2000
"""How long the message of an error may be, in characters."""


class BackendError(Exception):
    """The provider refused the call, or reported an error inside a reply.

    `status` is the HTTP status, or the numeric code of an error that came inside a 200; None when no reply
    arrived. `code`, `type` and `param` are the provider's, `body` is its reply as text (up to 64 KiB),
    `retry_after` is in seconds, `request_id` is for the provider's support, `partial` is the text that had
    arrived before.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | int | None = None,
        type: str | None = None,
        param: str | None = None,
        body: str = "",
        retry_after: float | None = None,
        request_id: str | None = None,
        partial: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.type = type
        self.param = param
        self.body = body
        self.retry_after = retry_after
        self.request_id = request_id
        self.partial = partial

    def seal(self, mask: Callable[[str], str]) -> None:
        """Mask what a server may have echoed of the key, then cut what is too long.

        In this order: cut first, a part of the key could be left over.
        """
        self.args = tuple(mask(str(arg))[:MAX_MESSAGE] for arg in self.args)
        for name in ("code", "type", "param", "body", "request_id"):
            value = getattr(self, name)
            if isinstance(value, str):
                setattr(self, name, mask(value)[:MAX_SHOWN])


class ConnectionFailed(BackendError):
    """No connection to the provider could be made."""


class BackendTimeout(BackendError):
    """A time limit ran out; the message names which one."""


class IncompleteReply(BackendError):
    """The reply ended before it was complete; `partial` is the text that did arrive."""


class UnusableReply(BackendError):
    """The reply is not what was asked for: not JSON, without choices, a refusal, broken tool calls."""


@contextmanager
def about(text: str) -> Iterator[None]:
    """What is read inside is this text: an error that it causes keeps it as its `body`."""
    try:
        yield
    except BackendError as error:
        error.body = error.body or text
        raise
