"""Benchmarks: `python -m bench`. Each row stands beside its limit or peer, from the same run.

One file a row. For the first row `instance` and `fleet` bring a hundred agents before a coordinator
in one process, and `bare_server` is its limit. Nothing here is installed.
"""
