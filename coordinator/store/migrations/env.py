"""Alembic's entry: runs the versions over one synchronous connection, in one transaction.

SQLite makes tables within a transaction, if the driver is kept from ending it before each: so
whoever dies on the way leaves the database as it was.
"""

from alembic import context
from sqlalchemy import create_engine, event

from coordinator.steps import Write
from coordinator.store.tables import metadata
from quorate.crash_points import crash_point

_engine = create_engine(context.config.get_main_option("sqlalchemy.url") or "")
event.listen(_engine, "connect", lambda raw, _: setattr(raw, "isolation_level", None))
event.listen(_engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
with _engine.connect() as _connection:
    context.configure(
        connection=_connection,
        target_metadata=metadata,
        render_as_batch=True,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()
        crash_point(Write.TABLES.before_commit)
_engine.dispose()
crash_point(Write.TABLES.after_commit)
