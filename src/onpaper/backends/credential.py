"""A key that authenticates and does not show itself."""

from __future__ import annotations

import json


class Key:
    """A bearer key, or none.

    Blanks around it are dropped, and an empty one is no key: `Bearer ` with nothing behind it is an illegal
    header. A key with control or non-ASCII characters raises ValueError here, without showing it, because the
    HTTP library would print it when it refuses the header. It has no readable repr, so no traceback, log or
    debugger shows it.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str | None) -> None:
        self._value = (value or "").strip()
        if not (self._value.isascii() and self._value.isprintable()):
            raise ValueError(
                "the API key holds a character that no HTTP header may carry (a line break, a control or a "
                "non-ASCII character); copy the key again, without what surrounds it"
            )

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "Key(***)" if self else "Key()"

    @property
    def headers(self) -> dict[str, str]:
        """The header that authenticates (RFC 6750 §2.1), or no header at all."""
        return {"Authorization": f"Bearer {self._value}"} if self else {}

    def mask(self, text: str) -> str:
        """The text with the key replaced, as it is or as JSON writes it."""
        for shown in {self._value, json.dumps(self._value)[1:-1]} if self else ():
            text = text.replace(shown, "***")
        return text
