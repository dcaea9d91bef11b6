"""The TLS certificate that a client shows to unit hosts; its people copy it into `clients`.

Not the one that a server of ours has (`quorate.tls`): that is good for servers only (RFC 5280,
4.2.1.12), and this one for clients only.
"""

from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from protocol.identifiers import HOUR, Instant
from quorate import private_files, tls

_NEVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # RFC 5280, 4.1.2.5: no expiry known
_UNTOUCHED = "no client certificate was made"


def write_client_certificate(
    certificate: Path, key: Path, name: str, *, at: Instant
) -> tls.Fingerprint:
    """Makes a self-signed certificate for `name` and its key as new files; gives the fingerprint.

    Refused trouble when one of the files is there already.
    """
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        # An hour early: the host's clock may be a little behind.
        .not_valid_before(datetime.fromtimestamp((at - HOUR) / 1000, UTC))
        .not_valid_after(_NEVER)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(private, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    secret = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    private_files.create(key, secret, untouched=_UNTOUCHED)
    private_files.create(certificate, pem, untouched=_UNTOUCHED, mode=0o644)
    return tls.fingerprint(pem.decode())
