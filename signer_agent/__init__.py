"""The signer agent: a custodian's own process, between the coordinator and the custodian.

`trust` remembers and judges, `desk` decides what may be shown, signed and given, `session` talks to
the coordinator without sockets, `agent` puts these together over the `store`; `daemon` and `client`
do input and output. Secrets are opened in `keys` only. Nobody imports this package but its own
commands and tests; there is no server for others in it.
"""
