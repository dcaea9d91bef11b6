"""The emulator: many crypto units in one process, reached over TLS.

`vendor` makes and certifies units; `instance` runs them, one command at a time each; `api` is their
HTTP interface; `clients` says who may connect; `server` is the process.
"""
