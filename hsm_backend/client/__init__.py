"""How others reach crypto units: the only part of this package that other packages import.

`driver` is the interface that the coordinator works with; `host_client` speaks our own unit wire.
`key_client` is for programs that use root keys, over the units of `key_units`.
"""
