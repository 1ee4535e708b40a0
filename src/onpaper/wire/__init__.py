"""Bytes to values and back: SSE, NDJSON, chat completions. Nothing here does I/O."""
