"""The tables of key storage (`docs/decisions/0011-key-storage.md`)."""

import sqlalchemy as sa

metadata = sa.MetaData()

inventory = sa.Table(
    "inventory",
    metadata,
    sa.Column("one", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("vouched", sa.LargeBinary, nullable=False),
)
"""One row, 1: `Vouched`; `version` is the inventory's, by which a change finds it unchanged."""

events = sa.Table(
    "events",
    metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("event", sa.LargeBinary, nullable=False),
)
"""`KeyEvent`, by its place in the log."""

wraps = sa.Table(
    "wraps",
    metadata,
    sa.Column("key", sa.LargeBinary(16), primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("master", sa.LargeBinary(32), primary_key=True),
    sa.Column("wrap", sa.LargeBinary(60), nullable=False),
)
"""A root key under a master key, named by its VP."""
