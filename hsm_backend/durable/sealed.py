"""Secrets at rest: sealed under a device key, each for one owner and one column.

XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) with a random nonce, which stands before the
ciphertext. The associated data names the unit and the column, so that a sealed value opens nowhere
but where it was put. In a real crypto unit the device key is in hardware; here it is a private
file beside the database, so whoever owns the host owns its units.
"""

import secrets

from nacl.exceptions import CryptoError
from nacl.secret import Aead

from hsm_backend.durable.directory import StateDirectory
from protocol.secrets import Secret
from quorate import private_files
from quorate.exits import Exit, Trouble

_LABEL = b"quorate sealed v1\0"


class DeviceKey:
    """Seals and opens the secrets of one unit host."""

    def __init__(self, key: Secret) -> None:
        self._key = key

    def seal(self, value: Secret, *, owner: bytes, column: str) -> bytes:
        """What is written down in `column` of the unit (or vendor root) `owner`, 32 bytes."""
        aead = Aead(self._key.reveal())
        return bytes(aead.encrypt(value.reveal(), _associated(owner, column)))

    def open(self, sealed: bytes, *, owner: bytes, column: str) -> Secret:
        """The secret; damaged trouble when it isn't what was sealed there under this key."""
        try:
            return Secret(Aead(self._key.reveal()).decrypt(sealed, _associated(owner, column)))
        except CryptoError:
            raise Trouble(
                Exit.DAMAGED,
                f"the {column} isn't as it was written, or belongs to another device key",
                next="device.key and units.db belong together: put both back from one copy",
            ) from None


def make_device_key(directory: StateDirectory) -> DeviceKey:
    """A new device key in its file; the one that is there, if there is one.

    One that is there is never replaced: a database put back later may need it.
    """
    if not directory.device_key.exists():
        key = secrets.token_bytes(Aead.KEY_SIZE)
        private_files.create(directory.device_key, key, untouched="no crypto unit was made")
    return load_device_key(directory)


def load_device_key(directory: StateDirectory) -> DeviceKey:
    """The device key from its file."""
    try:
        key = private_files.read(directory.device_key, limit=Aead.KEY_SIZE)
    except FileNotFoundError:
        key = b""
    if len(key) != Aead.KEY_SIZE:
        raise Trouble(
            Exit.DAMAGED,
            f"{directory.device_key.name} isn't as it was written; the units can't be opened",
            expected=f"{Aead.KEY_SIZE} bytes",
            found=f"{len(key)} bytes",
            next=f"put your copy of {directory.device_key} back",
        )
    return DeviceKey(Secret(key))


def _associated(owner: bytes, column: str) -> bytes:
    return _LABEL + owner + column.encode("ascii")
