"""What holds for every test."""

from __future__ import annotations

import asyncio

# Without this pytest-asyncio finds no event loop and makes one, to put it back later; whoever runs a loop of his own in
# between drops it, and it is found unclosed in somebody else's test.
asyncio.set_event_loop(None)
