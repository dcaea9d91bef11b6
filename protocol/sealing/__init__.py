"""Key parts on their way: the importer key of a unit, the seal, the custodian's statement.

Primitives are `cryptography`'s; the format is `docs/decisions/0004-sealing.md`.
"""
