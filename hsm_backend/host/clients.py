"""Who may connect to a unit host: clients whose own certificate lies in its directory.

Mutual TLS 1.3 with self-signed certificates. The handshake proves that a client holds the key of a
certificate that OpenSSL accepts; `name_of` then compares the certificate itself, because OpenSSL
would also accept what such a certificate had issued.
"""

import hashlib
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from hsm_backend.durable.directory import StateDirectory
from quorate import private_files, tls
from quorate.exits import Exit, Trouble
from quorate.tls import Fingerprint


@dataclass(frozen=True)
class Clients:
    """The clients that may connect, by the fingerprint of their certificate."""

    names: Mapping[Fingerprint, str]
    certificates: tuple[str, ...]

    def require(self, context: ssl.SSLContext) -> None:
        """Makes a server's context ask for a client certificate and accept only these."""
        context.verify_mode = ssl.CERT_REQUIRED
        for certificate in self.certificates:
            context.load_verify_locations(cadata=certificate)

    def name_of(self, connection: ssl.SSLObject | None) -> str | None:
        """Who is at the other end; None for a stranger."""
        shown = connection.getpeercert(binary_form=True) if connection is not None else None
        return self.names.get(Fingerprint(hashlib.sha256(shown or b"").digest()))


def allowed_clients(directory: StateDirectory) -> Clients:
    """Reads `clients/*.pem`."""
    files = sorted(directory.clients.glob("*.pem"))
    certificates = [(file, read_certificate(file)) for file in files]
    return Clients(
        names={tls.fingerprint(text): file.stem for file, text in certificates},
        certificates=tuple(text for _, text in certificates),
    )


def allow(directory: StateDirectory, files: Iterable[Path]) -> None:
    """Copies clients' certificates into the directory, each under its file's name."""
    private_files.directory(directory.clients)
    copies = {file: directory.clients / f"{file.stem}.pem" for file in files}
    if len(set(copies.values())) < len(copies):
        raise Trouble(
            Exit.USAGE,
            "two clients' certificates have the same name; none was copied",
            found=", ".join(map(str, copies)),
            next="name each file after its client",
        )
    for file, copy in copies.items():
        text = read_certificate(file)
        private_files.write(copy, text.encode(), untouched=f"{file.name} wasn't copied")


def read_certificate(file: Path) -> str:
    """The one PEM certificate in the file; damaged trouble otherwise."""
    try:
        text = file.read_text("ascii").strip() + "\n"
        tls.fingerprint(text)
        if len(x509.load_pem_x509_certificates(text.encode())) != 1:
            raise ValueError("more than one certificate")
    except OSError as error:
        raise Trouble(
            Exit.USAGE, f"{file} can't be read: {error.strerror}", next="name another file"
        ) from None
    except ValueError:
        raise Trouble(
            Exit.DAMAGED,
            f"{file} isn't one certificate in PEM",
            next="ask that client's people for its certificate, never for its key",
        ) from None
    return text
