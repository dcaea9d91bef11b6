"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "inventory",
        sa.Column("one", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("vouched", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("one", name="pk_inventory"),
    )
    op.create_table(
        "events",
        sa.Column("number", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("event", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_events"),
    )
    op.create_table(
        "wraps",
        sa.Column("key", sa.LargeBinary(16), nullable=False),
        sa.Column("version", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("master", sa.LargeBinary(32), nullable=False),
        sa.Column("wrap", sa.LargeBinary(60), nullable=False),
        sa.PrimaryKeyConstraint("key", "version", "master", name="pk_wraps"),
    )


def downgrade() -> None:
    raise NotImplementedError("keys aren't taken back")
