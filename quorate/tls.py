"""TLS 1.3 between our own processes: self-signed certificates, each known by its fingerprint.

No certificate authority is trusted, and no name or date in a certificate: a client accepts the
one certificate that it was told, by SHA-256 of its DER bytes, and the handshake fails with any
other. Who a peer is beyond that, signatures say (`protocol.session`); TLS keeps others from
reading along.
"""

import hashlib
import ipaddress
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NewType

from protocol.identifiers import HOUR, Instant
from quorate import private_files
from quorate.exits import Exit, Trouble

Fingerprint = NewType("Fingerprint", bytes)
"""SHA-256 of a certificate's DER bytes: 32 bytes."""

_NEVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # RFC 5280, 4.1.2.5: no expiry known
_LIMIT = 64 * 1024


def make_certificate(names: Sequence[str], *, at: Instant) -> tuple[bytes, bytes]:
    """A new P-256 key and a certificate that it signs itself, for DNS names and IP addresses.

    Gives the certificate and the key, both PEM. P-256, because browsers take no Ed25519.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    # Both ends: a coordinator shows the same certificate to agents and to unit hosts.
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # An hour early: a client whose clock is a little behind is told so later, in words.
        .not_valid_before(datetime.fromtimestamp((at - HOUR) / 1000, UTC))
        .not_valid_after(_NEVER)
        .add_extension(x509.SubjectAlternativeName([_general_name(n) for n in names]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def _general_name(name: str) -> Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def write_certificate(
    certificate: Path, key: Path, names: Sequence[str], *, at: Instant
) -> Fingerprint:
    """Makes a certificate and its key as new files, and gives the fingerprint."""
    certificate_pem, key_pem = make_certificate(names, at=at)
    private_files.create(key, key_pem, untouched="no certificate was made")
    private_files.create(
        certificate, certificate_pem, untouched="no certificate was made", mode=0o644
    )
    return fingerprint(certificate_pem.decode())


def fingerprint(certificate_pem: str) -> Fingerprint:
    """The fingerprint of a PEM certificate; ValueError when it isn't one."""
    return Fingerprint(hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate_pem)).digest())


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """What a server listens with. The key file must be its user's alone."""
    private_files.read(key, limit=_LIMIT)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise Trouble(
            Exit.DAMAGED,
            f"{certificate.name} and {key.name} aren't a certificate and its key",
            found=str(error),
            next="put your copies back, or make new ones and tell the peers the new fingerprint",
        ) from None
    return context


def client_context(pinned: Fingerprint) -> ssl.SSLContext:
    """What a client connects with: the handshake ends well only with the `pinned` certificate.

    Otherwise it raises ssl.SSLCertVerificationError, before anything is sent.
    """
    if len(pinned) != hashlib.sha256().digest_size:
        raise ValueError("a fingerprint has 32 bytes")
    context = _Pinned(ssl.PROTOCOL_TLS_CLIENT)
    context.pinned = pinned
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # Not less checking but another check: OpenSSL still verifies that the peer holds the
    # certificate's key, and `_Checked` that it is the certificate we know.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class _Pinned(ssl.SSLContext):
    """A context whose connections, of either kind, compare the peer's certificate."""

    pinned: Fingerprint


class _Checked:
    """Ends a handshake with the wrong certificate."""

    def do_handshake(self, *arguments: Any) -> None:
        super().do_handshake(*arguments)  # type: ignore[misc]
        connection: Any = self
        found = hashlib.sha256(connection.getpeercert(binary_form=True) or b"").digest()
        if found != connection.context.pinned:
            raise ssl.SSLCertVerificationError(
                f"the peer's certificate is {found.hex()}, not {connection.context.pinned.hex()}"
            )


class _CheckedObject(_Checked, ssl.SSLObject):
    pass


class _CheckedSocket(_Checked, ssl.SSLSocket):
    pass


_Pinned.sslobject_class = _CheckedObject
_Pinned.sslsocket_class = _CheckedSocket
