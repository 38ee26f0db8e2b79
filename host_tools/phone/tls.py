"""A certificate of this machine's own, for `bench_phone.py --https`."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

from swin2mcu.common.cli import UserError, atomic_path

DAYS = 2  # made anew for each day's work


def self_signed(host: str, folder: Path) -> tuple[ssl.SSLContext, str]:
    """A server context for `host`, and the certificate's SHA-256 fingerprint to compare by eye."""
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        raise UserError("--https needs the package cryptography: pip install it") from error
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "swin2mcu")])
    try:
        reachable: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        try:
            reachable = x509.DNSName(host.encode("idna").decode())
        except UnicodeError as error:
            raise UserError(f"{host!r} is no name of a host ({error})") from error
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName([reachable]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with atomic_path(folder / "certificate.pem") as path:
        path.chmod(0o600)
        path.write_bytes(pem)
        context.load_cert_chain(path)
    (folder / "certificate.pem").unlink()  # the context has read it; no key stays on disk
    return context, certificate.fingerprint(hashes.SHA256()).hex(":").upper()
