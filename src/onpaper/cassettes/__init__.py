"""Recordings of real servers: the vcrpy format with chunk boundaries and times, on disk and as scripts.

The recorder is imported by its own name (`onpaper.cassettes.recorder`), because playing needs none of it.
"""

from onpaper.cassettes.cassette import INVALID_ORIGIN, Cassette, CassetteError, Provenance
from onpaper.cassettes.replay import script_of
from onpaper.cassettes.store import find, load, save

__all__ = ["INVALID_ORIGIN", "Cassette", "CassetteError", "Provenance", "find", "load", "save", "script_of"]
