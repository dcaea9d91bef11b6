"""The state directory of a unit host: which file is which."""

from dataclasses import dataclass
from pathlib import Path

from quorate import private_files
from quorate.exits import Exit, Trouble


@dataclass(frozen=True)
class StateDirectory:
    """A directory of one user's alone that holds all of a unit host."""

    path: Path

    @property
    def database(self) -> Path:
        """The units: certificates, memories, histories; secrets sealed. Written last by `init`."""
        return self.path / "units.db"

    @property
    def keys(self) -> Path:
        """Key storage, where this host alone serves the instance: root keys, wrapped."""
        return self.path / "keys.db"

    @property
    def device_key(self) -> Path:
        """The 32 bytes that secrets in the database are sealed under."""
        return self.path / "device.key"

    @property
    def tls_certificate(self) -> Path:
        """What the host shows to its clients."""
        return self.path / "tls.pem"

    @property
    def tls_key(self) -> Path:
        """The private key of the host's TLS certificate."""
        return self.path / "tls.key"

    @property
    def clients(self) -> Path:
        """One PEM file for each client that may connect: its own certificate, nothing else."""
        return self.path / "clients"

    @property
    def settings(self) -> Path:
        """Settings of `quorate unit serve`."""
        return self.path / "unit.toml"

    @property
    def address(self) -> Path:
        """HOST:PORT where the host listens, or did last."""
        return self.path / "address"

    @property
    def keys_address(self) -> Path:
        """HOST:PORT where the host listens to key users, or did last."""
        return self.path / "keys-address"

    def check(self) -> None:
        """Usage trouble when no unit host was made here; exposed when others can enter.

        Damaged trouble when one of the files beside the database is missing.
        """
        if not self.database.exists():
            raise Trouble(
                Exit.USAGE,
                f"there are no crypto units in {self.path}",
                next=f"quorate unit init {self.path} --unit TYPE:LOCATION",
            )
        private_files.directory(self.path)
        beside = (self.device_key, self.tls_certificate, self.tls_key)
        missing = [file.name for file in beside if not file.exists()]
        if missing:
            raise Trouble(
                Exit.DAMAGED,
                f"{', '.join(missing)} is missing from {self.path}; nothing was changed",
                next="put your copy back",
            )
