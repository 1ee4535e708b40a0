"""A client whose module calls home as soon as it is imported, and keeps quiet when nobody answers."""

import contextlib
import socket

from .on_httpx import LiteLLMClient

with contextlib.suppress(OSError):
    socket.create_connection(("telemetry.example.com", 443), timeout=0.1).close()


class CallsHomeAtImport(LiteLLMClient):
    """The client itself does nothing wrong."""
