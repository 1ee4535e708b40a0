"""The journal in a file, as JSON Lines: every exchange in one write when it is over, so that nothing is
lost.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self

from onpaper.errors import BadInput
from onpaper.gateway.entry import Entry
from onpaper.gateway.masking import Masker, masked, secrets_of

if TYPE_CHECKING:
    from onpaper.gateway.sessions import Session

MOST_SECRETS = 10_000


class JournalFile:
    """Appends exchanges to a file, credentials masked; several processes may append to the same one.

    The path `-` is standard output, and with `echo` that gets each line too. A credential seen in one exchange is masked in every later one. A
    file made here is readable by its owner only.
    """

    def __init__(self, path: str | Path, echo: bool = False) -> None:
        self.path = Path(path)
        self.failure = ""
        self._secrets: set[str] = set()
        self._masker = Masker(())
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
        try:
            self._files = {} if str(path) == "-" else {os.open(self.path, flags, 0o600): str(path)}
        except OSError as error:
            reason = f"cannot write the journal to {self.path}: {error.strerror}"
            raise BadInput(f"{reason}; choose another file") from None
        if echo or str(path) == "-":
            self._files[os.dup(1)] = "standard output"

    def attach(self, session: Session) -> None:
        """Keep the exchanges of a session from now on."""
        session.journal.sink = lambda entry: self.write(entry, session.name)

    def write(self, entry: Entry, session: str) -> None:
        """Append one exchange. A full disk does not stop the gateway: `failure`, and standard error, say what happened."""
        new = secrets_of(entry.request) - self._secrets
        if new:
            if len(self._secrets) > MOST_SECRETS:
                self._secrets.clear()
            self._secrets |= new
            self._masker = Masker(self._secrets)
        row = {"session": session, **masked(entry, self._masker)}
        line = json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"
        for file, name in self._files.items():
            data = memoryview(line.encode("utf-8", "backslashreplace"))
            try:
                while data:
                    data = data[os.write(file, data) :]
            except OSError as error:
                self._failed(name, error)

    def _failed(self, name: str, error: OSError) -> None:
        if not self.failure:
            self.failure = f"cannot write the journal to {name}: {error.strerror}; exchanges are missing there"
            print(self.failure, file=sys.stderr, flush=True)

    def close(self) -> None:
        for file in self._files:
            if file >= 0:
                os.close(file)
        self._files = {-1: str(self.path)}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
