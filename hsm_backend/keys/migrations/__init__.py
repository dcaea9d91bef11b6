"""Alembic's versions of the tables of key storage, for SQLite and PostgreSQL alike."""
