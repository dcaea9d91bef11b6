"""The database's versions, one file each; Alembic runs them. Made by hand, never changed later."""
