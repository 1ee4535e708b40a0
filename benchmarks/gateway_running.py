"""Starting the servers that are measured, and putting load on them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway_subjects import QUESTION, Subject

LOAD = str(Path(__file__).with_name("gateway_load.py"))
CONNECTIONS = 16
TICK = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def body(stream: bool) -> str:
    return json.dumps({**QUESTION, **({"stream": True} if stream else {})})


class Running:
    """A server that runs: its port and its process."""

    def __init__(self, subject: Subject, port: int, process: subprocess.Popen[bytes], start: float) -> None:
        self.subject = subject
        self.port = port
        self.process = process
        self.start = start

    def cpu(self) -> float:
        """Seconds of CPU that the process has used (Linux)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory(self) -> float:
        """MiB in use (Linux)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


@contextlib.contextmanager
def running(subject: Subject) -> Iterator[Running]:
    """The server, from its first reply on."""
    port = free_port()
    began = time.perf_counter()
    process = subprocess.Popen(
        subject.command(port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tempfile.gettempdir()
    )
    try:
        path = next(iter(subject.paths.values()))
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body(False).encode())
        request.add_header("authorization", "Bearer sk-benchmark")
        request.add_header("content-type", "application/json")
        while True:
            try:
                urllib.request.urlopen(request, timeout=5).read()
                break
            except OSError as error:
                if process.poll() is not None or time.perf_counter() - began > 30:
                    raise SystemExit(f"{subject.name} does not start: {error}") from None
                time.sleep(0.002)
        yield Running(subject, port, process, time.perf_counter() - began)
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()


def load(workload: str, **how: Any) -> dict[str, Any]:
    done = subprocess.run([sys.executable, LOAD, workload, json.dumps(how)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"the load failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout)


def wrk(port: int, path: str, content: str, seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "post.lua"
        script.write_text(
            'wrk.method = "POST"\n'
            'wrk.headers["Content-Type"] = "application/json"\n'
            'wrk.headers["Authorization"] = "Bearer sk-benchmark"\n'
            f"wrk.body = [=[{content}]=]\n"
        )
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "-s", str(script)]
        command.append(f"http://127.0.0.1:{port}{path}")
        shown = subprocess.run(command, capture_output=True, text=True).stdout
    replies = int(re.search(r"(\d+) requests in", shown)[1])  # type: ignore[index]
    per_second = float(re.search(r"Requests/sec:\s+([0-9.]+)", shown)[1])  # type: ignore[index]
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", shown)
    return {"per_second": per_second, "replies": replies, "errors": int(bad[1]) if bad else 0}


def requests(server: Running, workload: str, seconds: float) -> dict[str, Any]:
    """As many requests as the server takes: `per_second`, `replies` and `errors`."""
    content, path = body(workload != "json"), server.subject.paths[workload]
    if shutil.which("wrk"):
        return wrk(server.port, path, content, seconds)
    how = {"port": server.port, "path": path, "body": content, "connections": CONNECTIONS, "seconds": seconds}
    return load("closed", **how)
