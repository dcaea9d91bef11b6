"""Alembic's entry: runs the versions over one synchronous connection."""

from alembic import context
from sqlalchemy import create_engine

from coordinator.store.tables import metadata

_engine = create_engine(context.config.get_main_option("sqlalchemy.url") or "")
with _engine.connect() as _connection:
    context.configure(connection=_connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
_engine.dispose()
