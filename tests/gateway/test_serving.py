"""The gateway as a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from onpaper.errors import BadInput
from onpaper.gateway.server import listen
from onpaper.gateway.serving import Serving, serving

KEY = {"authorization": "Bearer sk-canary"}


@pytest.fixture
def run():
    """`run(*arguments)` starts the process; its first line is the URL."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-c", "from onpaper.cli import main; main()", "serve", *arguments]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
        )
        started.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=10)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_prints_its_url_serves_and_stops_with_a_complete_journal(run, tmp_path, workers):
    file = tmp_path / "journal.jsonl"
    process, url = run("--as", "groq", "--workers", workers, "--journal", str(file))
    assert httpx.get(f"{url}/openai/v1/models", headers=KEY, trust_env=False).status_code == 200
    with socket.create_connection(("127.0.0.1", httpx.URL(url).port)) as client:
        client.sendall(b"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n\r\n")
        client.recv(10)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["reply"]["status"] for row in rows] == [200, 200]
    assert process.stderr.read().startswith("admin endpoint: http://127.0.0.1:")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_goes_into_the_file_is_printed_as_well(run, tmp_path, workers):
    file = tmp_path / "journal.jsonl"
    process, url = run("--workers", workers, "--journal", str(file), "--json-log")
    httpx.get(f"{url}/v1/models", headers=KEY, trust_env=False)
    process.terminate()
    printed, _ = process.communicate(timeout=10)
    assert printed == file.read_text()
    (row,) = map(json.loads, printed.splitlines())
    assert row["reply"]["status"] == 200


def test_an_interrupt_stops_it_without_a_traceback(run):
    process, _ = run("--no-admin")
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert process.stderr.read() == ""


def test_tls_prints_the_certificate_to_trust(run):
    process, url = run("--tls", "--no-admin")
    assert url.startswith("https://127.0.0.1:")
    process.terminate()
    process.wait(10)
    assert "-----BEGIN CERTIFICATE-----" in process.stderr.read()


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"play": {"provider": "grok"}}, "did you mean 'groq'"),
        ({"host": "0.0.0.0"}, "not a loopback address"),
        ({"port": 99999}, "a port is between 0 and 65535"),
        ({"workers": 0}, "at least one worker, found 0"),
        ({"workers": 2, "play": {"mock": "helo"}}, "did you mean 'hello'"),
        ({"tls": (Path("no"), Path("no"))}, "give PEM files"),
        ({"play": {"requests_per_minute": 0}}, "a quota is at least 1"),
        ({"journal_file": "/no/such/folder/file"}, "cannot write the journal"),
    ],
)
def test_bad_input_is_one_sentence(how, sentence):
    with pytest.raises(BadInput, match=re.escape(sentence)), serving(Serving(**how)):
        pytest.fail("it started")


def test_a_port_in_use_says_which_option_to_change():
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BadInput, match="--port"), serving(Serving(port=port)):
            pytest.fail("it started")


def test_a_failed_start_frees_the_port():
    with listen("127.0.0.1", 0) as found:
        port = found.getsockname()[1]
    for _ in range(2):
        with pytest.raises(BadInput), serving(Serving(port=port, journal_file="/no/such/folder/file")):
            pytest.fail("it started")
