"""The crypto unit's decision core: commands in, receipts out. No files, sockets or clocks.

`machine` executes commands; `admission` is what every command must pass; `master_key` opens key
parts; `memory` is all that a unit knows.
"""
