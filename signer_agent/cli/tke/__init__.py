"""`quorate tke`: every command of IBM's TKE plug-in by its own name.

`group` lists them; `units` chooses and shows crypto units, `sigkeys` and `mks` work on local key
files, `administrators`, `thresholds` and `master_key` file commands by way of `filing`.
"""
