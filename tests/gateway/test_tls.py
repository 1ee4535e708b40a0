"""TLS with a certificate that is thrown away."""

from __future__ import annotations

import ssl
import sys

import httpx
import pytest

from onpaper.errors import BadInput
from onpaper.gateway import ServerThread
from onpaper.gateway.tls import server_context, throwaway_certificate
from onpaper.script import Script, Write

STREAM = Script(writes=(Write(b"one"), Write(b"two")))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return throwaway_certificate("127.0.0.1", tmp_path_factory.mktemp("tls"))


def trusting(certificate) -> httpx.Client:
    return httpx.Client(verify=ssl.create_default_context(cafile=certificate[0]), trust_env=False)


def test_a_client_that_trusts_the_certificate_is_served(certificate):
    with ServerThread(lambda request: STREAM, tls=server_context(*certificate)) as gateway:
        assert gateway.url.startswith("https://")
        with trusting(certificate) as client:
            assert client.get(gateway.url).text == "onetwo"
            assert client.get(gateway.url.replace("127.0.0.1", "localhost")).text == "onetwo"


def test_a_client_that_does_not_is_not(certificate):
    with ServerThread(lambda request: STREAM, tls=server_context(*certificate)) as gateway:
        with pytest.raises(httpx.ConnectError):
            httpx.get(gateway.url, trust_env=False)
        assert len(gateway.journal) == 0


@pytest.mark.parametrize("end", ["reset", "cut"])
def test_endings_reach_the_client_through_tls(certificate, end):
    script = Script(writes=(Write(b"one", fault="half"),), end=end, end_fault=end)
    with ServerThread(lambda request: script, tls=server_context(*certificate)) as gateway:
        with trusting(certificate) as client, pytest.raises(httpx.TransportError):
            client.get(gateway.url)
        assert gateway.journal[0].fired == ["half", end]


def test_a_half_close_cannot_be_played_through_tls_and_says_so(certificate):
    script = Script(writes=(Write(b"one"),), end="half-close", end_fault="half-close")
    with ServerThread(lambda request: script, tls=server_context(*certificate)) as gateway:
        with trusting(certificate) as client, pytest.raises(httpx.RemoteProtocolError):
            client.get(gateway.url)
        assert gateway.journal[0].problem == "TLS has no half-closed connections, so this one was cut"
        assert gateway.journal[0].unfired == ["half-close"]


def test_the_key_is_its_owner_s(certificate):
    assert certificate[1].stat().st_mode & 0o777 == 0o600


def test_files_that_are_no_certificate_are_one_sentence(tmp_path):
    (tmp_path / "x").write_text("no certificate")
    with pytest.raises(BadInput, match="give PEM files"):
        server_context(tmp_path / "x", tmp_path / "x")


def test_without_the_package_the_sentence_says_which(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(BadInput, match="pip install cryptography"):
        throwaway_certificate("127.0.0.1", tmp_path)
