"""Accounts, their tokens, and failed attempts to log in."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_BYTES = sa.LargeBinary
_BIG = sa.BigInteger


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("password", sa.String(200)),
        sa.Column("made", _BIG, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_accounts"),
    )
    op.create_table(
        "tokens",
        sa.Column("hash", _BYTES(32), nullable=False),
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("account", sa.String(64)),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("label", sa.String(64), nullable=False),
        sa.Column("fresh", sa.Boolean, nullable=False),
        sa.Column("made", _BIG, nullable=False),
        sa.Column("expires", _BIG, nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_tokens"),
        sa.UniqueConstraint("id", name="uq_tokens_id"),
    )
    op.create_index("ix_tokens_account", "tokens", ["account"])
    op.create_table(
        "login_failures",
        sa.Column("key", _BYTES(32), nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("last", _BIG, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_login_failures"),
    )
    op.create_index("ix_login_failures_last", "login_failures", ["last"])


def downgrade() -> None:
    raise NotImplementedError("a coordinator's record isn't taken back")
