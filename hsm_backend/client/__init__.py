"""How others reach crypto units: the only part of this package that other packages import.

`driver` is the interface that the coordinator works with; `host_client` speaks our own unit wire.
"""
