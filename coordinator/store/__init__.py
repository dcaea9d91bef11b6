"""What the coordinator keeps: requests, people, the feed, units' histories, the log.

SQLAlchemy Core over SQLite; nothing here is written in SQL that only one database understands.
`database` opens and migrates it and writes in groups; the other modules read and write one concept
each, inside a transaction that their caller holds.
"""
