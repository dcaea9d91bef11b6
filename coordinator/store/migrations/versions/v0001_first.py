"""The first version: every table as `coordinator.store.tables` had it then."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_BYTES = sa.LargeBinary
_BIG = sa.BigInteger


def upgrade() -> None:
    op.create_table(
        "singles",
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("value", _BYTES, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_singles"),
    )
    op.create_table(
        "requests",
        sa.Column("id", _ID, nullable=False),
        sa.Column("instance", sa.String(64), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("ended", sa.Boolean, nullable=False),
        sa.Column("filing", _BYTES(32), nullable=False),
        sa.Column("digest", _BYTES(32)),
        sa.Column("idempotency", sa.String(200)),
        sa.Column("body", _BYTES, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_requests"),
        sa.UniqueConstraint("filing", name="uq_requests_filing"),
        sa.UniqueConstraint("digest", name="uq_requests_digest"),
        sa.UniqueConstraint("idempotency", name="uq_requests_idempotency"),
    )
    op.create_index("ix_requests_instance_ended", "requests", ["instance", "ended"])
    op.create_table(
        "checkpoints",
        sa.Column("digest", _BYTES(32), nullable=False),
        sa.Column("size", _BIG, nullable=False),
        sa.Column("note", _BYTES, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_checkpoints"),
    )
    op.create_table(
        "feed",
        sa.Column("instance", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("position", _BIG, nullable=False),
        sa.Column("body", _BYTES, nullable=False),
        sa.PrimaryKeyConstraint("instance", "subject", name="pk_feed"),
        sa.UniqueConstraint("instance", "position", name="uq_feed_instance_position"),
    )
    op.create_table(
        "charters",
        sa.Column("digest", _BYTES(32), nullable=False),
        sa.Column("instance", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("in_force", sa.Boolean, nullable=False),
        sa.Column("body", _BYTES, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_charters"),
    )
    op.create_table(
        "acceptances",
        sa.Column("charter", _BYTES(32), nullable=False),
        sa.Column("person", sa.String(30), nullable=False),
        sa.Column("body", _BYTES, nullable=False),
        sa.PrimaryKeyConstraint("charter", "person", name="pk_acceptances"),
    )
    op.create_table(
        "agents",
        sa.Column("identity", _BYTES(32), nullable=False),
        sa.Column("instance", sa.String(64), nullable=False),
        sa.Column("person", sa.String(30), nullable=False),
        sa.Column("enrolled", _BIG, nullable=False),
        sa.PrimaryKeyConstraint("identity", name="pk_agents"),
        sa.UniqueConstraint("instance", "person", name="uq_agents_instance_person"),
    )
    op.create_table(
        "invitations",
        sa.Column("token", _BYTES(32), nullable=False),
        sa.Column("instance", sa.String(64), nullable=False),
        sa.Column("person", sa.String(30), nullable=False),
        sa.Column("expires", _BIG, nullable=False),
        sa.Column("used", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("token", name="pk_invitations"),
    )
    op.create_table(
        "history",
        sa.Column("unit", _BYTES(32), nullable=False),
        sa.Column("version", _BIG, nullable=False),
        sa.Column("body", _BYTES, nullable=False),
        sa.PrimaryKeyConstraint("unit", "version", name="pk_history"),
    )
    op.create_table(
        "units",
        sa.Column("unit", _BYTES(32), nullable=False),
        sa.Column("identity", _BYTES(32), nullable=False),
        sa.PrimaryKeyConstraint("unit", name="pk_units"),
    )
    op.create_table(
        "log_entries",
        sa.Column("position", _BIG, nullable=False, autoincrement=False),
        sa.Column("instance", sa.String(64)),
        sa.Column("body", _BYTES, nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_log_entries"),
    )
    op.create_table(
        "log_nodes",
        sa.Column("level", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("position", _BIG, nullable=False, autoincrement=False),
        sa.Column("hash", _BYTES(32), nullable=False),
        sa.PrimaryKeyConstraint("level", "position", name="pk_log_nodes"),
    )


def downgrade() -> None:
    raise NotImplementedError("a coordinator's record isn't taken back")
