"""Everything that can go wrong on the wire, each a function from a script to a script, by name."""

from onpaper.gateway.faults import (  # noqa: F401 - importing a module enters its faults into the table
    coding,
    cutting,
    finishing,
    framing,
    pacing,
    replacing,
    sequence,
    splitting,
)
from onpaper.gateway.faults.table import Fault, Parameter, apply, check, known_faults

__all__ = ["Fault", "Parameter", "apply", "check", "known_faults"]
