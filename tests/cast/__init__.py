"""The cast of the tests: custodians, crypto units and charters, the same in every run.

`keys` makes signature keys from names, `people` custodians, `units` crypto units in memory around
the real state machine, `charters` the document that binds them, `commands` what is sent. Nothing
here tests anything, and nothing here is slow.
"""
