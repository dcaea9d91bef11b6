"""The coordinator: it queues commands, asks people, forwards what a quorum signed.

`workflow` is pure; `engine` makes it happen; `store` keeps it; `agents`, `units` and `api` are the
gateways.
Nobody has to trust it: units and agents check everything themselves.
"""
