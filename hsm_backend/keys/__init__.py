"""Key storage: the root keys of an instance, wrapped by its master key, in a database of its own.

Pure: `master` (what the master key does), `data_keys` (what root keys do), `inventory` and `mirror`
(what the database must hold), `draft` (what a call changes), `admission` (who may call). Around
them `database` with `tables` and `migrations`, and `storage`, a unit's part of it at work.

The database belongs to nobody's trust: what is read from it is authenticated under the master key.
See `docs/decisions/0011-key-storage.md`.
"""
