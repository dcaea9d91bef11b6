"""The tables. A change here is a new file in `migrations/versions`.

Structures are kept as their canonical bytes (`body`), beside the columns that are searched by.
Instants are milliseconds since 1970-01-01 00:00 UTC.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

_Id = BigInteger().with_variant(Integer, "sqlite")

singles = Table(
    "singles",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
"""One value each: the store's epoch, the log's frontier."""

requests = Table(
    "requests",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("instance", String(64), nullable=False),
    Column("state", String(20), nullable=False),
    Column("ended", Boolean, nullable=False),
    Column("filing", LargeBinary(32), nullable=False, unique=True),
    Column("digest", LargeBinary(32), unique=True),
    Column("idempotency", String(200), unique=True),
    Column("body", LargeBinary, nullable=False),
    Index("ix_requests_instance_ended", "instance", "ended"),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("note", LargeBinary, nullable=False),
)

feed = Table(
    "feed",
    metadata,
    Column("instance", String(64), primary_key=True),
    Column("subject", String(200), primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    UniqueConstraint("instance", "position"),
)
"""Of each subject the newest news; positions rise."""

charters = Table(
    "charters",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("instance", String(64), nullable=False),
    Column("number", Integer, nullable=False),
    Column("in_force", Boolean, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

acceptances = Table(
    "acceptances",
    metadata,
    Column("charter", LargeBinary(32), primary_key=True),
    Column("person", String(30), primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

agents = Table(
    "agents",
    metadata,
    Column("identity", LargeBinary(32), primary_key=True),
    Column("instance", String(64), nullable=False),
    Column("person", String(30), nullable=False),
    Column("enrolled", BigInteger, nullable=False),
    UniqueConstraint("instance", "person"),
)

invitations = Table(
    "invitations",
    metadata,
    Column("token", LargeBinary(32), primary_key=True),
    Column("instance", String(64), nullable=False),
    Column("person", String(30), nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("used", Boolean, nullable=False),
)
"""By the SHA-256 of their token, which only the invited know."""

history = Table(
    "history",
    metadata,
    Column("unit", LargeBinary(32), primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

units = Table(
    "units",
    metadata,
    Column("unit", LargeBinary(32), primary_key=True),
    Column("identity", LargeBinary(32), nullable=False),
)

log_entries = Table(
    "log_entries",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("instance", String(64), nullable=True),
    Column("body", LargeBinary, nullable=False),
)

log_nodes = Table(
    "log_nodes",
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary(32), nullable=False),
)

accounts = Table(
    "accounts",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("role", String(20), nullable=False),
    Column("password", String(200), nullable=True),
    Column("made", BigInteger, nullable=False),
)
"""`password` is an Argon2id hash in its usual text form; None until its owner has chosen one."""

tokens = Table(
    "tokens",
    metadata,
    Column("hash", LargeBinary(32), primary_key=True),
    Column("id", String(16), nullable=False, unique=True),
    Column("account", String(64), nullable=True),
    Column("kind", String(20), nullable=False),
    Column("label", String(64), nullable=False),
    Column("fresh", Boolean, nullable=False),
    Column("made", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Index("ix_tokens_account", "account"),
)
"""By the SHA-256 of the token, which only its holder knows. A set-up token has no account yet."""

login_failures = Table(
    "login_failures",
    metadata,
    Column("key", LargeBinary(32), primary_key=True),
    Column("count", Integer, nullable=False),
    Column("last", BigInteger, nullable=False),
    Index("ix_login_failures_last", "last"),
)
"""By the hash of an account's name, there or not, or of an address."""
