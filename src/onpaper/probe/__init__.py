"""A provider that has no contract: what to ask it, what its answers show, and a draft of its contract.

Everything here works on recordings and does no I/O; `onpaper record --new` makes them and writes the file.
"""

from onpaper.probe.draft import draft
from onpaper.probe.fact import Evidence, Fact
from onpaper.probe.questions import FIXED, follow_ups, questions

__all__ = ["FIXED", "Evidence", "Fact", "draft", "follow_ups", "questions"]
