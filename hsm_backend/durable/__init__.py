"""Crypto units on disk: one SQLite database a host, secrets in it sealed under a device key.

`store` writes every step of a unit as one transaction; `steps` names where a power cut may come;
`database` is the file under it, `rows` what stands there, `sealed` the device key; `directory` says
which file is which. A directory belongs to one process (`quorate.state_lock`). What a unit decides
is none of this package's business: see `hsm_backend.unit`.

A copy of the whole directory that is put back later is not noticed here, and can't be: the unit
then goes on from the older state. Agents notice, who have seen more of its history (DESIGN §2.5).
"""
