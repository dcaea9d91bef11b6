"""The coordinator's directory: which file is which, and the keys in it."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from nacl.signing import SigningKey

from coordinator.engine.ledger import OwnKeys
from protocol.displayable import InstanceName
from protocol.identifiers import IdentityKey
from quorate import private_files
from quorate.exits import Exit, Trouble


@dataclass(frozen=True)
class CoordinatorDirectory:
    """A directory of one user's alone that holds all of a coordinator."""

    path: Path

    @property
    def database(self) -> Path:
        """Everything that happened."""
        return self.path / "coordinator.db"

    @property
    def settings(self) -> Path:
        """What `quorate coordinator serve` reads."""
        return self.path / "coordinator.toml"

    @property
    def tls_certificate(self) -> Path:
        """What agents, browsers and unit hosts see."""
        return self.path / "tls.pem"

    @property
    def tls_key(self) -> Path:
        """Its private key."""
        return self.path / "tls.key"

    @property
    def identity_key(self) -> Path:
        """The 32-byte seed of the key by which agents know the coordinator."""
        return self.path / "identity.key"

    @property
    def log_key(self) -> Path:
        """The 32-byte seed of the key that signs the log's checkpoints."""
        return self.path / "log.key"

    @property
    def address(self) -> Path:
        """HOST:PORT where it listens."""
        return self.path / "address"

    def url(self) -> str:
        """Where it listened last; usage trouble where it never did."""
        if not self.address.exists():
            raise Trouble(
                Exit.USAGE,
                "this coordinator has never listened, so its address isn't known",
                next="serve it first, or give --url https://HOST:PORT",
            )
        return f"https://{self.address.read_text().strip()}"

    def make_keys(self, entropy: bytes) -> None:
        """Writes both keys from 64 random bytes; the identity key last: once it is there, both are.

        Whatever else is there is left of an attempt that was cut short.
        """
        untouched = "no coordinator was made"
        private_files.write(self.log_key, entropy[32:], untouched=untouched)
        private_files.create(self.identity_key, entropy[:32], untouched=untouched)

    def keys(self) -> OwnKeys:
        """Both keys with what signs by them."""
        identity, log = (self._signing_key(path) for path in (self.identity_key, self.log_key))
        return OwnKeys(
            identity=IdentityKey(bytes(identity.verify_key)),
            sign=lambda message: identity.sign(message).signature,
            log=IdentityKey(bytes(log.verify_key)),
            sign_log=lambda message: log.sign(message).signature,
        )

    def instance(self) -> tuple[InstanceName, bool]:
        """The service instance that its settings name, and whether it is practice."""
        settings = tomllib.loads(self.settings.read_text(encoding="utf-8"))
        return InstanceName(settings["instance"]), bool(settings["practice"])

    def _signing_key(self, path: Path) -> SigningKey:
        try:
            seed = private_files.read(path, limit=32)
        except FileNotFoundError:
            raise Trouble(
                Exit.USAGE,
                f"{self.path} holds no coordinator",
                next=f"make one: quorate coordinator init {self.path} --instance NAME",
            ) from None
        if len(seed) != 32:
            raise Trouble(
                Exit.DAMAGED, f"{path.name} isn't as it was written", next="put your copy back"
            )
        return SigningKey(seed)
