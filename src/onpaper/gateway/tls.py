"""TLS for the gateway: with a certificate of one's own, or with one made on the spot and thrown away
after.
"""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

from onpaper.errors import BadInput

LIFETIME = datetime.timedelta(days=7)


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """A server's TLS context from two PEM files. Raises BadInput if they are none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise BadInput(
            f"cannot use {certificate} and {key} as certificate and key: {error}; give PEM files"
        ) from None
    context.set_alpn_protocols(["http/1.1"])
    return context


def throwaway_certificate(host: str, folder: Path) -> tuple[Path, Path]:
    """A fresh self-signed certificate for `host` and localhost, and its key, as PEM files in `folder`.

    Raises BadInput when the package that makes certificates is not installed.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError:
        raise BadInput(
            "a throw-away certificate needs the package cryptography; pip install cryptography"
        ) from None
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "onpaper throw-away gateway")])
    names: list[x509.GeneralName] = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    try:
        names.append(x509.IPAddress(ipaddress.ip_address(host)))
    except ValueError:
        names.append(x509.DNSName(host))
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName(list(dict.fromkeys(names))), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].touch(0o600)
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return paths
