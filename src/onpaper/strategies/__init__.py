"""Hypothesis strategies for clients of chat endpoints: what to send, what to answer, and how to cut it.

Everything is read from a `Contract`, so that what is drawn is what that provider takes and says.

>>> from hypothesis import given
>>> from onpaper import Contract, strategies
>>> contract = Contract.load("openai")
>>> def body_of(params):  # your client's own
...     return {"model": "m", "messages": [{"role": "user", "content": "hi"}], **params}
>>> @given(strategies.sampling(contract))
... def test_the_provider_takes_what_my_client_sends(params):
...     assert contract.violations(body_of(params)) == []
>>> test_the_provider_takes_what_my_client_sends()

| drawn | by |
|---|---|
| sampling parameters, or a set with exactly one mistake | `sampling(contract)`, `sampling(…, valid=False)` |
| whole request bodies, or one with exactly one mistake | `request_bodies(contract)`, `… valid=False)` |
| conversations | `messages()`, `tools()`, `tool_choice(tools)`, `texts()` |
| replies in the provider's dialect | `replies(contract)`, `framings()` |
| how a reply arrives, and what goes wrong with it | `cuts(body)`, `fault_schedules(script)` |

All shrink to something that a person can read.

`properties()` are rules about a backend that hold for every case; `search(property, subject, run)` looks
for the smallest case that breaks one.
"""

from onpaper.strategies.bodies import WrongBody, request_bodies
from onpaper.strategies.conversation import messages, tool_choice, tools
from onpaper.strategies.cuts import cuts
from onpaper.strategies.properties import Property, properties
from onpaper.strategies.replies import Spoken, framings, replies
from onpaper.strategies.sampling import WrongSampling, body_with, sampling
from onpaper.strategies.schedules import fault_schedules
from onpaper.strategies.search import Counterexample, search
from onpaper.strategies.subject import Subject
from onpaper.strategies.texts import texts

__all__ = [
    "Counterexample",
    "Property",
    "Spoken",
    "Subject",
    "WrongBody",
    "WrongSampling",
    "body_with",
    "cuts",
    "fault_schedules",
    "framings",
    "messages",
    "properties",
    "replies",
    "request_bodies",
    "sampling",
    "search",
    "texts",
    "tool_choice",
    "tools",
]
