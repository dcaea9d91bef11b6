"""Alembic's entry: runs the versions over one connection, in one transaction, or not at all."""

from alembic import context

from hsm_backend.durable.steps import Write
from hsm_backend.keys.engine import made_engine
from hsm_backend.keys.tables import metadata
from quorate.crash_points import crash_point

_engine = made_engine(context.config.attributes["url"])
with _engine.connect().execution_options(writes=True) as _connection:
    context.configure(
        connection=_connection,
        target_metadata=metadata,
        render_as_batch=True,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()
        crash_point(Write.KEY_TABLES.before_commit)
_engine.dispose()
crash_point(Write.KEY_TABLES.after_commit)
