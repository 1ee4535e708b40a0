"""What holds for every test."""

from __future__ import annotations

import asyncio

from hypothesis import settings

# Without this pytest-asyncio finds no event loop and makes one, to put it back later; whoever runs a loop of his own in
# between drops it, and it is found unclosed in somebody else's test.
asyncio.set_event_loop(None)

# Everywhere as in CI: the same cases each time, and no deadline that a busy machine would miss.
settings.load_profile("ci")
