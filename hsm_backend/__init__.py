"""The emulated crypto unit and its host.

`unit` is the state machine, pure; `durable` keeps it on disk; `host` serves many units; `client` is
how others reach them. Nothing but `client` is for other packages.
"""
